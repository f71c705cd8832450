"""What the service tells of itself, and whom: logs and metrics."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings


def listed(words: str) -> frozenset[str]:
    """Return the words of a list that commas separate."""
    return frozenset(word.strip() for word in words.split(","))


def networks(words: str) -> frozenset[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the networks in a list like `10.0.0.0/8,::1,unix`, whose words `unix` and `none` are none."""
    return frozenset(ipaddress.ip_network(name, strict=False) for name in listed(words) - {"unix", "none"})


def _listed_networks(words: str) -> str:
    networks(words)
    return words


class Watching(BaseSettings):
    """What is logged in which form, and who may see the service from inside."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least serious log record kept."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="`text` for people, `json` for programs: an object a line. Production: `json`."
    )
    metrics_from: Annotated[str, AfterValidator(_listed_networks)] = Field(
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
