"""The two profiles: what each sets by default. `config.load` picks one."""

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
