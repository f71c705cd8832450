"""Which profile it is, and where it keeps what it writes, listens, and finds the services beside it."""

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ByteSize, Field
from pydantic_settings import BaseSettings
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


def _readable_address(url: str) -> str:
    """Refuse an address whose parts are not what they seem: a password's pieces would turn up in errors as a host."""
    try:
        host = make_url(url).host if url else None
        _ = urlsplit(url).port
    except (ArgumentError, ValueError):
        raise ValueError("it is no address; what is special in a password must be percent-encoded") from None
    if "@" in (host or ""):
        raise ValueError("its host holds an @; what is special in a password must be percent-encoded")
    return url


Address = Annotated[str, AfterValidator(_readable_address)]
AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]


class Places(BaseSettings):
    """The profile, folders, addresses and the keys to them."""

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
    database_seconds: int = Field(
        10,
        ge=1,
        le=20,  # core/locks.py: who holds a lock waits no longer than others wait for it
        description="A statement that takes longer is given up on, and its request told to come again.",
    )
    broker_url: Address = Field("", repr=False, description="Celery's broker.")
    cache_url: Address = Field(
        "",
        repr=False,
        description="Redis that keeps 4XX answers and counts for the limits. Embedded: files in `DATA_DIR/cache`.",
    )
    journal: Path | None = Field(None, description="nginx's delivery journal. Embedded: none, downloads end in Python.")
    keep_free: ByteSize = Field(
        ByteSize(64 * 1024**2),
        description="Bytes of the spool's filesystem that uploads leave free, for database, journal and logs.",
    )
