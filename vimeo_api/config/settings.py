"""All settings together, and what each profile makes of them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from vimeo_api.config.access import Access
from vimeo_api.config.deliveries import Deliveries
from vimeo_api.config.fetching import Fetching
from vimeo_api.config.places import Address, Places
from vimeo_api.config.surfaces import Surfaces
from vimeo_api.config.watching import Watching


class Settings(Access, Watching, Deliveries, Fetching, Surfaces, Places):
    """What both profiles know. Each field is an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

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
