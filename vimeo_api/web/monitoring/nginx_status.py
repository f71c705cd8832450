"""nginx's own numbers, read on the socket of its second server. `gauges` asks. Source: ngx_http_stub_status_module."""

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from vimeo_api.extensions import settings

PATH = "/nginx_status"
_TIMEOUT = 1.0  # seconds
_MAX_RESPONSE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class NginxStatus:
    """nginx's numbers, in the order of its page."""

    active: int
    accepted: int
    handled: int
    requests: int
    reading: int
    writing: int
    waiting: int


def ask() -> NginxStatus | None:
    """Return nginx's numbers, None if no socket is set. Raises OSError, and ValueError for an unexpected response."""
    return None if settings.nginx_status is None else _parsed(_response(settings.nginx_status))


def _response(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT)
        connection.connect(str(path))
        connection.sendall(f"GET {PATH} HTTP/1.0\r\nHost: nginx\r\n\r\n".encode())
        response = b""
        while len(response) < _MAX_RESPONSE_BYTES and (piece := connection.recv(_MAX_RESPONSE_BYTES)):
            response += piece
    return response.decode("latin-1")


def _parsed(response: str) -> NginxStatus:
    head, _, body = response.partition("\r\n\r\n")
    numbers = re.findall(r"\d+", body)
    if " 200 " not in head.partition("\r\n")[0] or len(numbers) != len(NginxStatus.__dataclass_fields__):
        raise ValueError("the response is not a stub_status page")
    return NginxStatus(*map(int, numbers))
