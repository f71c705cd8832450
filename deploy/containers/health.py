"""The health checks of containers, in docker-compose.yml: `health.py web` and `health.py heartbeats`.

A failing check prints why, for `docker inspect`, and ends with status 1.
"""

import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from vimeo_api.core.errors import Unavailable
from vimeo_api.core.monitoring import heartbeats

UWSGI_SOCKET = "/run/vimeo_api/uwsgi.sock"
REQUEST = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/healthz",
    "REQUEST_URI": "/healthz",
    "QUERY_STRING": "",
    "HTTP_HOST": "localhost",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
}


def web() -> None:
    """Ask uWSGI for /healthz in its own protocol. Source: uwsgi-docs, Protocol."""
    variables = b"".join(struct.pack("<H", len(word)) + word.encode() for pair in REQUEST.items() for word in pair)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(UWSGI_SOCKET)
        connection.sendall(struct.pack("<BHB", 0, len(variables), 0) + variables)
        status = connection.makefile("rb").readline().decode()
    if " 200 " not in status:
        raise Unavailable(status.strip())


def own_heartbeats() -> None:
    """Check the heartbeats of the worker or beat in this container."""
    heartbeats.check_host(Path(os.environ["DATA_DIR"]) / "heartbeats")


CHECKS: dict[str, Callable[[], None]] = {"web": web, "heartbeats": own_heartbeats}


def main() -> int:
    """Run the check that the command line names; return the exit status."""
    try:
        CHECKS[sys.argv[1]]()
    except (Unavailable, OSError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
