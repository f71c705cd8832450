"""Every setting: its name, default, unit and a sentence.

A field is an environment variable of the same name in capitals; a field of a surface's object has the surface in front
(`settings.vimeo.max_bytes` is VIMEO_MAX_BYTES). `manage.py settings` prints each class as a section of
docs/settings.md, its docstring as the heading.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field

from vimeo_api.config.values import (
    AbsolutePath,
    DraftVersions,
    Duration,
    Endpoint,
    Extensions,
    FernetKeys,
    ForHeader,
    Forwarded,
    FractionalDuration,
    HashName,
    HostName,
    HostNames,
    ListeningAddress,
    Networks,
    Origins,
    PeerAddress,
    Rates,
    Region,
    ServiceUrl,
    StoreUrl,
    WebhookSecrets,
    listed,
    rates,
)

MOST_BYTES = 2**62  # that a limit may be: with MULTIPART_OVERHEAD, nginx and the database can still count them
MULTIPART_OVERHEAD = 1024**2  # bytes of a body beside its file: fields, part headers, boundaries


class Section(BaseModel):
    """Settings about one topic."""

    model_config = ConfigDict(frozen=True, validate_default=True)


class General(Section):
    """Profile, folders and services."""

    profile: Literal["embedded", "production"] = Field(
        "embedded", description="`embedded` needs no other service; `production` runs behind nginx."
    )
    secrets_dir: AbsolutePath | None = Field(
        None,
        description="Folder with one file per setting, such as `secret_key`. The environment wins over a file. "
        "Default: the folder that systemd's `LoadCredential` makes.",
    )
    data_dir: AbsolutePath = Field(Path("data"), description="Folder for everything the service writes.")
    store_dir: AbsolutePath = Field(
        default_factory=lambda data: data["data_dir"] / "store",
        description="Folder of stored files. Default: `DATA_DIR/store`.",
    )
    spool_dir: AbsolutePath = Field(
        default_factory=lambda data: data["data_dir"] / "incoming",
        description="Folder of uploads in progress. If it is on another filesystem than `STORE_DIR`, files are served "
        "from here until a worker has copied them. Default: `DATA_DIR/incoming`.",
    )
    host_name: HostName = Field(
        "local",
        description="Name of this host among several that share a database. Production: the machine's name at the "
        "first start, kept in `DATA_DIR`. Embedded: `local`, for it is alone.",
    )
    peer_address: PeerAddress = Field(
        "",
        description="IP address and port, such as `10.0.0.1:80`, on which this host's nginx listens for the other "
        "hosts: they ask for its pending files, and pass on uploads that began there. Default: none, for one host.",
    )
    site_name: str = Field("Files", min_length=1, max_length=60, description="Name of the site, as its pages show it.")
    bind: ListeningAddress = Field("127.0.0.1", description="Address that `make run` and `make stack` listen on.")
    port: int = Field(
        8080,
        ge=0,
        le=65535,
        description="Port that `make run` and `make stack` listen on; with `make run`, 0 picks a free one.",
    )
    hosts: HostNames = Field(
        "*",
        description="Host names that the service answers to, separated by commas; any other gets 421. `.example.org` "
        "is all names below it, `addresses` every IP address, `*` any host. This machine's own names (`localhost`, "
        "`127.0.0.1`, `::1`) need not be listed. Embedded: `addresses`, and `BIND` if it is a name.",
    )
    secret_key: str = Field(
        default="",
        repr=False,
        description="Secret of at least 32 characters; cache keys are derived from it. Embedded: generated on first "
        "start and kept in `DATA_DIR`.",
    )
    sealing_keys: FernetKeys = Field(
        "",
        repr=False,
        description="Fernet keys for the file ids of `transfer`, separated by commas: the first encrypts, all decrypt. "
        "Embedded: generated on first start and kept in `DATA_DIR`.",
    )
    database_url: ServiceUrl = Field(
        "", repr=False, description="SQLAlchemy URL of the database. Embedded: SQLite in `DATA_DIR`."
    )
    database_seconds: Duration = Field(
        10,
        ge=1,
        le=20,  # core/storage/locks.py: a lock's holder gives up on the database before others give up on the lock
        description="Longest time a database statement may take, in seconds; then it is cancelled, and the client gets "
        "503.",
    )
    broker_url: ServiceUrl = Field(
        "", repr=False, description="URL of Celery's broker. Embedded: an SQLite file in `DATA_DIR`."
    )
    cache_url: ServiceUrl = Field(
        "",
        repr=False,
        description="URL of the Redis that caches 4XX responses and counts for the rate limits. Embedded: responses "
        "are cached in `DATA_DIR/cache`, and each process counts in memory.",
    )
    journal: Path | None = Field(
        None,
        description="nginx's access log of downloads; it confirms one-time downloads. Production: "
        "`DATA_DIR/journal/deliveries.log`. Embedded: not used.",
    )
    keep_free: ByteSize = Field(
        ByteSize(64 * 1024**2),
        description="Bytes of the spool's filesystem that uploads leave free for database, journal and logs. "
        "Uploads that do not announce their length stop at twice that, or at 64 MiB more.",
    )
    keep_free_files: int = Field(
        10_000,
        ge=0,
        description="Files (inodes) of the spool's filesystem that uploads leave free.",
    )
    space_per_client: int = Field(
        80,
        ge=1,
        le=100,
        description="Largest share of the free space that the running uploads of one token or address, or the fetches "
        "from one host, may reserve together, in percent.",
    )
    digests: bool = Field(
        default=True,
        description="Whether every file gets a SHA-256 for `Repr-Digest`, even if its upload needs none.",
    )


class ObjectStorage(Section):
    """Object store."""

    store_url: StoreUrl = Field(
        "",
        description="Bucket of an S3-compatible object store, as `s3://bucket/prefix`, where workers place files that "
        "the spool has received. Default: files are stored in `STORE_DIR`.",
    )
    store_endpoint: Endpoint = Field(
        "",
        description="Its server, such as `https://objects.example.org:9000`. Default: AWS in `STORE_REGION`.",
    )
    store_region: Region = Field("us-east-1", description="Its region; many servers other than AWS accept any.")
    store_path_style: bool = Field(
        default_factory=lambda data: bool(data["store_endpoint"]),
        description="Whether the bucket is in the path of a request (`host/bucket/key`) and not in the host "
        "(`bucket.host/key`). Default: yes with `STORE_ENDPOINT`.",
    )
    store_checksum: Literal["crc64nvme", "sha256"] = Field(
        "crc64nvme",
        description="Checksum by which the object store refuses what was damaged on the way. `sha256` costs 0.6 CPU "
        "seconds per GiB more. It is for servers that do not know the other one, and, as the signature covers it, for "
        "networks without HTTPS that you do not trust.",
    )
    store_ca_file: str = Field(
        "",
        description="PEM file with the certificates that vouch for its server. The server's own must be for a name, "
        "not an address, and not that of an authority (`CA:FALSE`). Default: those that the system trusts.",
    )
    store_encryption: Literal["", "AES256", "aws:kms", "aws:kms:dsse"] = Field(
        "",
        description="How the object store is to encrypt objects: `AES256`, `aws:kms`, `aws:kms:dsse`.",
    )
    store_kms_key: ForHeader = Field("", description="Key for `aws:kms`. Default: that of the bucket.")
    aws_access_key_id: ForHeader = Field(
        "",
        repr=False,
        description="Access key of the object store. Default: a web identity or the role of the container or machine, "
        "by the usual `AWS_…` variables.",
    )
    aws_secret_access_key: ForHeader = Field("", repr=False, description="Secret of the access key.")
    aws_session_token: ForHeader = Field("", repr=False, description="Session token of temporary credentials.")
    place: Literal["later", "through"] = Field(
        "later",
        description="When an upload is answered: `later` once it is durable on this host, before a worker places it; "
        "`through` once it is in the object store.",
    )


class Uploads(Section):
    """Resumable uploads."""

    unfinished_seconds: Duration = Field(
        24 * 3600,
        ge=1,
        description="Seconds after its last byte until an interrupted upload is given up and its bytes are removed.",
    )
    upload_draft_versions: DraftVersions = Field(
        "5,6,7,8",
        description="Interop versions of the IETF's Resumable Uploads for HTTP that are spoken, from 5 on, separated "
        "by commas. A client that says another one in `Upload-Draft-Interop-Version` gets 400.",
    )

    @property
    def draft_versions(self) -> frozenset[int]:
        """The interop versions as numbers."""
        return frozenset(int(version) for version in listed(self.upload_draft_versions))


class Downloads(Section):
    """One-time downloads."""

    lease_seconds: Duration = Field(
        60,
        ge=1,
        description="Seconds until an unfinished one-time download is released for another client, in addition to "
        "the time that the file takes at `LEASE_MIN_RATE`.",
    )
    lease_min_rate: ByteSize = Field(
        ByteSize(4 * 1024), gt=0, description="Slowest download that keeps its lease, in bytes per second."
    )
    grace_seconds: Duration = Field(
        30,
        ge=0,
        description="Seconds after a complete download in which the same client may resume; then the file is removed.",
    )


class Fetching(Section):
    """Uploads from URLs."""

    fetch_urls: bool = Field(default=True, description="Whether clients may upload by URL.")
    fetch_wait_seconds: FractionalDuration = Field(
        3, ge=0, description="Seconds that an upload by URL waits for the worker before it returns 202."
    )
    fetch_waiters: int = Field(
        4, ge=0, description="Requests per web process that may wait for fetches; any others get 202 at once."
    )
    fetch_seconds: Duration = Field(6 * 3600, ge=1, description="Longest time a fetch may take, in seconds.")
    fetch_idle_seconds: Duration = Field(60, ge=1, description="Seconds without a byte after which a fetch fails.")
    fetch_min_rate: ByteSize = Field(
        ByteSize(4 * 1024), ge=0, description="Slowest origin to tolerate, in bytes per second; 0 is any."
    )
    fetch_min_rate_seconds: Duration = Field(
        60, ge=1, description="Seconds over which `FETCH_MIN_RATE` is measured; a fetch that stays slower fails."
    )
    fetch_space_seconds: Duration = Field(
        30,
        ge=0,
        description="Seconds from its request on for which a fetch waits for space on a full disk, before it fails.",
    )
    fetch_per_client: int = Field(
        4,
        ge=1,
        description="Fetches of one token or address that run at the same time; the others wait. A worker runs 8.",
    )
    fetch_per_origin: int = Field(
        4, ge=1, description="Fetches from one host, as their URLs name it, that run at the same time; the others wait."
    )
    fetch_connections: int = Field(8, ge=1, le=64, description="Most connections per URL, each fetching a range.")
    fetch_allow_private: bool = Field(
        default=False,
        description="Whether URLs may resolve to private and loopback addresses. Embedded: yes.",
    )


class Receipts(Section):
    """Receipts by webhook."""

    notify_urls: bool = Field(
        default=True,
        description="Whether an upload may name a URL (`notify`) that gets a receipt of what became of the file. "
        "`FETCH_ALLOW_PRIVATE` holds for these URLs, too.",
    )
    notify_secrets: WebhookSecrets = Field(
        "",
        repr=False,
        description="Secrets that sign the receipts, `whsec_` and base64, separated by commas: each makes a signature, "
        "so a receiver may have any of them. Default: generated once and kept in `DATA_DIR`; "
        "`manage.py receipts secret` shows it.",
    )


class Access(Section):
    """Tokens, rate limits and other sites."""

    require_tokens: bool = Field(
        default=False,
        description="Whether uploading, listing, deleting and taking from queues need an API token.",
    )
    trusted_proxies: int = Field(
        0,
        ge=0,
        description="Number of proxies in front of our nginx (embedded: of the server) whose `X-Forwarded-…` headers "
        "are trusted.",
    )
    trusted_headers: Forwarded = Field(
        "for,proto",
        description="Which headers those proxies set: `for` is `X-Forwarded-For`; `proto`, `host`, `port` and `prefix` "
        "make links. A client can forge a header that is listed but that the proxies do not set.",
    )
    password_limit_address: Rates = Field(
        rates("20 per minute"), description="Most wrong passwords from one address, as `20 per minute`, or `off`."
    )
    password_limit_file: Rates = Field(
        rates("100 per hour"), description="Most wrong passwords for one file, from all addresses; as a rate or `off`."
    )
    fetch_limit: Rates = Field((), description="Most uploads from URLs by one token or address. Default: no limit.")
    cors_origins: Origins = Field(
        "",
        description="Origins whose pages may call the API from a browser, separated by commas. Default: none.",
    )


class Monitoring(Section):
    """Logs and metrics."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe level to log.")
    log_format: Literal["text", "json"] = Field(
        "text", description="`text` for people; `json` for programs, one object per line. Production: `json`."
    )
    metrics_from: Networks = Field(
        "127.0.0.0/8,::1,unix",
        description="Networks that may read `/metrics` and the details of `/readyz`, separated by commas; "
        "`unix` is any Unix socket, `none` is nobody.",
    )
    nginx_status: Path | None = Field(None, description="Socket on which nginx serves `stub_status` for `/metrics`.")
    prometheus_multiproc_dir: Path | None = Field(
        None, description="Folder in which web processes share their counters; the uWSGI configuration sets it."
    )


class SurfaceSettings(Section):
    """The settings of every surface; a subclass adds or changes what differs for one surface."""

    max_bytes: ByteSize | None = Field(
        None, gt=0, le=MOST_BYTES, description="Largest file, in bytes or as `16MiB`. Default: no limit."
    )
    expires_seconds: Duration | None = Field(
        None,
        ge=1,
        description="Longest time a file is kept, in seconds; also used if the client sets none. Default: forever.",
    )
    upload_limit: Rates = Field(
        (), description="Most uploads by one token or address, as `100 per minute`. Default: no limit."
    )

    @property
    def allowed_extensions(self) -> frozenset[str] | None:
        """The file name extensions that are accepted, in lower case; None accepts any name."""
        return None


class VimeoSettings(SurfaceSettings):
    """Surface `vimeo`."""

    max_bytes: ByteSize = Field(
        ByteSize(16 * 1024**2), gt=0, le=MOST_BYTES, description="Largest file, in bytes or as `16MiB`."
    )
    budget: int = Field(
        5,
        ge=1,
        description="How many times each byte may be sent, counting interrupted downloads and ranges. With 1, an "
        "interrupted client can fetch only what was not sent yet.",
    )


class StreamsSettings(SurfaceSettings):
    """Surface `streams`."""

    join_max_bytes: ByteSize = Field(
        ByteSize(16 * 1024**3), gt=0, description="Largest stream that joining may make, in bytes or as `16GiB`."
    )
    join_repeats: int = Field(100, ge=1, description="How often one stream may be repeated in a join.")

    path: str = Field("DATA", description="Name of the folder in error messages; `runserver --path` sets it too.")


class StoreSettings(SurfaceSettings):
    """Surface `store`."""

    algorithm: HashName = Field(
        "sha256", description="Hash that names new files, such as `md5`; stored files keep their names."
    )


class NamedSettings(SurfaceSettings):
    """Surface `named`."""

    open_delete: bool = Field(
        default=False, description="Whether anyone may delete files while `REQUIRE_TOKENS` is off."
    )

    extensions: Extensions = Field(
        "csv,doc,docx,gif,jpeg,jpg,pdf,png,rtf,txt,xls,xlsx,zip",
        description="File name extensions to accept, in upper or lower case, separated by commas.",
    )

    @property
    def allowed_extensions(self) -> frozenset[str]:
        """The file name extensions that are accepted, in lower case."""
        return listed(self.extensions.lower())


class TransferSettings(SurfaceSettings):
    """Surface `transfer`."""

    open_delete: bool = Field(
        default=False,
        description="Whether anyone who has the id of a file may delete it while `REQUIRE_TOKENS` is off.",
    )


class Settings(Monitoring, Access, Receipts, Fetching, Downloads, Uploads, ObjectStorage, General):
    """All settings of both profiles."""

    vimeo: VimeoSettings = VimeoSettings()
    streams: StreamsSettings = StreamsSettings()
    store: StoreSettings = StoreSettings()
    named: NamedSettings = NamedSettings()
    transfer: TransferSettings = TransferSettings()

    @property
    def surfaces(self) -> dict[str, SurfaceSettings]:
        """The settings of each surface, by its name."""
        return {  # each request looks here several times: iterating over all settings took a tenth of a small PUT
            "vimeo": self.vimeo,
            "streams": self.streams,
            "store": self.store,
            "named": self.named,
            "transfer": self.transfer,
        }

    @property
    def uploads_journal(self) -> Path | None:
        """The log of resumable uploads that nginx keeps beside the journal; None in the embedded profile."""
        return self.journal and self.journal.with_name("uploads.log")

    @property
    def behind_nginx(self) -> bool:
        """Whether nginx spools the bodies, sends the bytes and keeps the journal."""
        return self.profile == "production"


SURFACE_SECTIONS: dict[str, type[SurfaceSettings]] = {
    "vimeo": VimeoSettings,
    "streams": StreamsSettings,
    "store": StoreSettings,
    "named": NamedSettings,
    "transfer": TransferSettings,
}

# In the order of docs/settings.md, each with the prefix of its settings' names.
SECTIONS: tuple[tuple[str, type[Section]], ...] = (
    ("", General),
    ("", ObjectStorage),
    *((f"{name}_", section) for name, section in SURFACE_SECTIONS.items()),
    ("", Uploads),
    ("", Downloads),
    ("", Fetching),
    ("", Receipts),
    ("", Access),
    ("", Monitoring),
)
