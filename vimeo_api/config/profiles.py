"""The two profiles: their own defaults, and what they cannot start without. `config.load` picks one."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from vimeo_api.config import host_name
from vimeo_api.config.settings import Settings
from vimeo_api.config.values import HostName, HostNames, ServiceUrl


class Embedded(Settings):
    """No other service needed: SQLite, a broker in a file, the 4XX cache on disk."""

    database_url: ServiceUrl = Field(
        default_factory=lambda data: f"sqlite:///{data['data_dir'] / 'vimeo_api.db'}", repr=False
    )
    broker_url: ServiceUrl = Field(
        default_factory=lambda data: f"sqla+sqlite:///{data['data_dir'] / 'broker.db'}", repr=False
    )
    hosts: HostNames = Field(default_factory=lambda data: f"addresses,{data['bind']}")
    fetch_allow_private: bool = True


class Production(Settings):
    """nginx → uWSGI, PostgreSQL, two Redis, Celery worker and beat."""

    host_name: HostName = Field(default_factory=lambda data: host_name.read(data["data_dir"]))
    journal: Path | None = Field(default_factory=lambda data: data["data_dir"] / "journal" / "deliveries.log")
    log_format: Literal["text", "json"] = "json"

    def faults(self) -> Iterator[str]:
        """Yield a sentence for each setting that production cannot start with."""
        yield from super().faults()
        if (kept := host_name.read(self.data_dir)) != self.host_name and host_name.is_kept(self.data_dir):
            yield (
                f"HOST_NAME is {self.host_name}, but what lies in DATA_DIR belongs to the host {kept}. Unset it; "
                f"or, once `manage.py hosts` shows nothing pending there, remove {self.data_dir / host_name.FILE}."
            )
        if importlib.util.find_spec("psycopg") is None:
            yield "Production needs the packages of the extra `production`: pip install 'vimeo_api[production]'."
        if not self.database_url.startswith("postgresql+psycopg://"):
            yield "DATABASE_URL must name a PostgreSQL database, such as postgresql+psycopg://vimeo_api@/vimeo_api."
        if not self.broker_url.startswith(("redis://", "rediss://", "redis+socket://")):
            yield "BROKER_URL must name the Redis of Celery's broker, such as redis+socket:///run/redis-broker/redis.sock."
        if not self.cache_url.startswith(("redis://", "rediss://", "unix://")):
            yield "CACHE_URL must name the Redis that caches 4XX responses, such as unix:///run/redis-cache/redis.sock."
        if self.cache_url and _redis_server(self.cache_url) == _redis_server(self.broker_url):
            yield "CACHE_URL and BROKER_URL name the same Redis; the cache may forget anything, the broker nothing."
        if self.journal is None or not os.access(self.journal.parent, os.R_OK | os.X_OK, effective_ids=True):
            yield f"JOURNAL ({self.journal}) must be in a folder that this user can read: nginx writes it, we read it."


def _redis_server(url: str) -> str:
    return url.split("://", 1)[-1].split("?", 1)[0].rstrip("/")
