"""What the benchmarks know of a server: where it sends and receives bytes, and its processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

OURS = "vimeo_api"


@dataclass(frozen=True)
class Upload:
    """How a server receives bytes, and what it does with them before it responds."""

    method: str
    path: str  # `{name}` stands for a name of its own each time
    includes: str
    headers: Mapping[str, str] = field(default_factory=dict)  # `{bytes}` stands for the length of the body
    part: str = ""  # of a multipart body, the one with the file; without it the body is raw
    fields: Mapping[str, str] = field(default_factory=dict)  # others of a multipart body


class Uploads(Protocol):
    """What was uploaded to a server, as its disk shows it."""

    def size(self) -> int:
        """Return how many bytes it is in all."""

    def clear(self) -> None:
        """Remove it all."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    origin: str  # such as http://127.0.0.1:8080
    roots: Sequence[int]  # its processes are these and all below them
    setup: str  # version, and how it is run
    gets: str  # what decides on a GET
    uploads: Uploads
    small: str = ""  # paths; an empty one is not offered
    large: str = ""
    missing: str = ""
    raw: Upload | None = None
    form: Upload | None = None
