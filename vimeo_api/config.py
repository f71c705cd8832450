"""Every setting, read from the environment in this one place.

Two profiles share all code and differ only here: `Embedded` needs no service, `Production` stands behind nginx.
`load()` picks one by `PROFILE` and `check()` looks at the host; both answer a mistake with one sentence.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ByteSize, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from vimeo_api import secret_files
from vimeo_api.values import AbsolutePath, Address, Algorithm, FernetKeys, Networks


class ConfigError(Exception):
    """A setting is missing or wrong; the message says which, and what to do."""


class Settings(BaseSettings):
    """What both profiles know. Each field is an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    profile: Literal["embedded", "production"] = Field(
        "embedded", description="`embedded` needs no service; `production` stands behind nginx."
    )
    secrets_dir: AbsolutePath | None = Field(
        default_factory=lambda: os.environ.get("CREDENTIALS_DIRECTORY"),
        validate_default=True,
        description="Folder of files that hold settings, such as `secret_key`, where the environment does not. "
        "Default: the one that systemd's `LoadCredential` makes.",
    )
    data_dir: AbsolutePath = Field(Path("data"), description="Folder for everything that is written.")
    store_dir: AbsolutePath = Field(
        default_factory=lambda data: data["data_dir"] / "store",
        description="Folder of the published files. Default: `DATA_DIR/store`.",
    )
    spool_dir: AbsolutePath = Field(
        default_factory=lambda data: data["data_dir"] / "incoming",
        description="Folder of bytes still being received. On another filesystem than `STORE_DIR`, files are served "
        "from here until a worker has copied them. Default: `DATA_DIR/incoming`.",
    )
    bind: str = Field("127.0.0.1", description="Address that `runserver` listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port that `runserver` listens on; 0 picks a free one.")
    secret_key: str = Field(
        default="",
        repr=False,
        description="At least 32 characters that nobody knows; keys the cache. Embedded: made and kept on first start.",
    )
    database_url: Address = Field("", repr=False, description="SQLAlchemy address of the database.")
    broker_url: Address = Field("", repr=False, description="Celery's broker.")
    cache_url: Address = Field(
        "", repr=False, description="Redis that keeps 4XX answers. Embedded: files in `DATA_DIR/cache`."
    )
    journal: Path | None = Field(None, description="nginx's delivery journal. Embedded: none, downloads end in Python.")

    vimeo_max_bytes: ByteSize = Field(
        ByteSize(16 * 1024**2),
        gt=0,
        description="Largest file of the surface `vimeo`, in bytes or as `16MiB`.",
    )
    streams_max_bytes: ByteSize | None = Field(None, gt=0, description="Largest stream; none by default.")
    store_max_bytes: ByteSize | None = Field(
        None, gt=0, description="Largest file of the surface `store`; none by default."
    )
    named_max_bytes: ByteSize | None = Field(
        None, gt=0, description="Largest file of the surface `named`; none by default."
    )
    transfer_max_bytes: ByteSize | None = Field(
        None, gt=0, description="Largest file of the surface `transfer`; none by default."
    )
    vimeo_expires_seconds: int | None = Field(
        None, ge=1, description="Longest life of a file of the surface `vimeo`, in seconds; for ever by default."
    )
    streams_expires_seconds: int | None = Field(
        None, ge=1, description="Longest life of a file of the surface `streams`, in seconds; for ever by default."
    )
    store_expires_seconds: int | None = Field(
        None, ge=1, description="Longest life of a file of the surface `store`, in seconds; for ever by default."
    )
    named_expires_seconds: int | None = Field(
        None, ge=1, description="Longest life of a file of the surface `named`, in seconds; for ever by default."
    )
    transfer_expires_seconds: int | None = Field(
        None, ge=1, description="Longest life of a file of the surface `transfer`, in seconds; for ever by default."
    )
    streams_path: str = Field("DATA", description="How the surface `streams` names its folder in errors, as `--path`.")
    store_algorithm: Algorithm = Field(
        "sha256",
        description="Hash that names new files of the surface `store`, such as `md5`; stored ones keep their names.",
    )
    named_extensions: str = Field(
        "csv,doc,docx,gif,jpeg,jpg,pdf,png,rtf,txt,xls,xlsx,zip",
        description="Extensions that the surface `named` takes, in any case, separated by commas.",
    )
    sealing_keys: FernetKeys = Field(
        "",
        repr=False,
        description="Fernet keys of the surface `transfer`, separated by commas: the first seals, all open. "
        "Embedded: made and kept on first start.",
    )
    fetch_urls: bool = Field(default=True, description="Whether URL uploads are taken at all.")
    fetch_wait_seconds: float = Field(
        3, ge=0, description="A URL upload waits so long for the workers before it answers 202."
    )
    fetch_waiters: int = Field(
        4, ge=0, description="So many requests of a web process wait for fetches at once; others get 202 right away."
    )
    fetch_seconds: int = Field(6 * 3600, ge=1, description="Longest time a fetch may take.")
    fetch_idle_seconds: int = Field(60, ge=1, description="A fetch that gets no byte for so long fails.")
    fetch_connections: int = Field(8, ge=1, le=64, description="Ranges of one URL that are fetched at the same time.")
    fetch_allow_private: bool = Field(
        default=False,
        description="Whether URLs may lead to private and loopback addresses. Embedded: yes.",
    )
    lease_seconds: int = Field(
        60,
        ge=1,
        description="A download that nobody reports on is given back after this time and what `LEASE_MIN_RATE` adds.",
    )
    lease_min_rate: ByteSize = Field(
        ByteSize(4 * 1024), gt=0, description="Slowest download that keeps its lease, in bytes per second."
    )
    grace_seconds: int = Field(
        30,
        ge=0,
        description="After a complete download its holder may resume for so many seconds; then the bytes go.",
    )
    keep_free: ByteSize = Field(
        ByteSize(64 * 1024**2),
        description="Bytes of the spool's filesystem that uploads leave free, for database, journal and logs.",
    )
    digests: bool = Field(
        default=True,
        description="Whether workers add the SHA-256 of files whose upload needed none, for `Repr-Digest`.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least serious log record kept."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="`text` for people, `json` for programs: an object a line. Production: `json`."
    )
    metrics_from: Networks = Field(
        "127.0.0.0/8,::1,unix",
        description="Networks whose requests may see `/metrics` and the details of `/readyz`, separated by commas; "
        "`unix` stands for a socket, `none` for nobody.",
    )
    nginx_status: Path | None = Field(
        None, description="Socket on which nginx tells `/metrics` of itself (`stub_status`)."
    )
    prometheus_multiproc_dir: Path | None = Field(
        None, description="Folder in which web processes count their requests together; the uWSGI file sets it."
    )

    @property
    def behind_nginx(self) -> bool:
        """Whether nginx spools the bodies, sends the bytes and keeps the journal."""
        return self.profile == "production"

    def faults(self) -> Iterator[str]:
        """Yield a sentence for each setting that this profile cannot start with."""
        if len(self.secret_key) < 32:  # noqa: PLR2004 -- RFC 2104 asks for a key as long as the hash, 32 bytes
            yield "SECRET_KEY needs at least 32 characters; `openssl rand -hex 32` makes one."
        if not self.sealing_keys:
            yield "SEALING_KEYS needs a Fernet key; `openssl rand -base64 32 | tr +/ -_` makes one."
        for folder in (self.data_dir, self.store_dir, self.spool_dir):
            yield from _folder_faults(folder)


class Embedded(Settings):
    """No service needed: SQLite, a broker in a file, the 4XX cache on disk."""

    database_url: Address = Field(
        default_factory=lambda data: f"sqlite:///{data['data_dir'] / 'vimeo_api.db'}",
        repr=False,
        description="SQLAlchemy address of the database. Embedded: SQLite in `DATA_DIR`.",
    )
    broker_url: Address = Field(
        default_factory=lambda data: f"sqla+sqlite:///{data['data_dir'] / 'broker.db'}",
        repr=False,
        description="Celery's broker. Embedded: an SQLite file in `DATA_DIR`.",
    )

    fetch_allow_private: bool = Field(default=True, description="Whether URLs may lead to private addresses.")


class Production(Settings):
    """nginx → uWSGI, PostgreSQL, two Redis, Celery worker and beat."""

    journal: Path | None = Field(
        default_factory=lambda data: data["data_dir"] / "journal" / "deliveries.log",
        description="nginx's delivery journal. Default: `DATA_DIR/journal/deliveries.log`.",
    )
    log_format: Literal["text", "json"] = Field("json", description="`text` for people, `json` for programs.")

    def faults(self) -> Iterator[str]:
        """Yield a sentence for each setting that production cannot start with."""
        yield from super().faults()
        if not self.database_url.startswith("postgresql+psycopg://"):
            yield "DATABASE_URL must name a PostgreSQL database, such as postgresql+psycopg://vimeo_api@/vimeo_api."
        if not self.broker_url.startswith(("redis://", "rediss://", "redis+socket://")):
            yield "BROKER_URL must name the Redis that is Celery's broker, as redis+socket:///run/redis-broker/redis.sock."
        if not self.cache_url.startswith(("redis://", "rediss://", "unix://")):
            yield "CACHE_URL must name the Redis that keeps 4XX answers, such as unix:///run/redis-cache/redis.sock."
        if self.cache_url and _redis_place(self.cache_url) == _redis_place(self.broker_url):
            yield "CACHE_URL and BROKER_URL name the same Redis; the cache forgets what it likes, a broker must not."
        if self.journal is None or not os.access(self.journal.parent, os.R_OK | os.X_OK, effective_ids=True):
            yield f"JOURNAL ({self.journal}) must lie in a folder that this user can read: nginx writes it, we read it."


def load(environ: dict[str, str] | None = None) -> Settings:
    """Return the settings of the profile that the environment names.

    Raises ConfigError with a sentence for each value that cannot be read.
    """
    values: dict[str, Any] = {} if environ is None else {k.lower(): v for k, v in environ.items()}
    try:
        first = Settings(**values)
        profile = Production if first.profile == "production" else Embedded
        settings = profile(_secrets_dir=_readable_folder(first.secrets_dir), **values)
        if isinstance(settings, Embedded):
            settings = Embedded(_secrets_dir=settings.secrets_dir, **{**values, **_kept_secrets(settings)})
    except ValidationError as error:
        # The message names the setting and the rule, never the value, which may be a secret.
        raise ConfigError(
            " ".join(f"{str(e['loc'][0]).upper()}: {e['msg']}." for e in error.errors(include_input=False))
        ) from None
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be used: {error.strerror}.") from error
    return settings


def check(settings: Settings) -> Settings:
    """Return the settings if the service can start with them on this host, making its own folders first.

    Raises ConfigError with all faults, a sentence each.
    """
    if faults := list(settings.faults()):
        raise ConfigError(" ".join(faults))
    return settings


def fields() -> Iterator[tuple[str, str, str]]:
    """Yield name, default and description of every setting, for the README's table."""
    for name, field in Settings.model_fields.items():
        default: object = field.default
        if isinstance(default, ByteSize):
            default = default.human_readable()
        yield (
            name.upper(),
            "" if field.default_factory or default in ("", None) else str(default),
            field.description or "",
        )


def _readable_folder(folder: Path | None) -> Path | None:
    if folder is not None:
        next(folder.iterdir(), None)
    return folder


def _folder_faults(folder: Path) -> Iterator[str]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        yield f"{folder} cannot be made: {error.strerror}."
        return
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        yield f"{folder} is not writable for this user."


def _redis_place(url: str) -> str:
    return url.split("://", 1)[-1].split("?", 1)[0].rstrip("/")


def _kept_secrets(settings: Settings) -> dict[str, str]:
    """Return the secrets that nobody set, made on the first start and kept since."""
    return {
        "secret_key": settings.secret_key or secret_files.secret_key(settings.data_dir),
        "sealing_keys": settings.sealing_keys or secret_files.sealing_keys(settings.data_dir),
    }
