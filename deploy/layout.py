"""Where a stack puts what a host has in /etc, /run and /var, with which configuration; `deploy/stack.py` calls it."""

import configparser
import hashlib
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vimeo_api import config
from vimeo_api.config import secret
from vimeo_api.service_commands.nginx import body_limit, objects_upstream, origins, peer_key

ROOT = Path(__file__).resolve().parent.parent
DATABASE_USER = "vimeo_api"
# The settings that lead to a service, the part that it is, and the port on which other hosts reach it.
SERVICES = {
    "DATABASE_URL": ("postgres", 5432),
    "BROKER_URL": ("redis-broker", 6379),
    "CACHE_URL": ("redis-cache", 6380),
}
# They start once the tables exist. uWSGI loads the app meanwhile; no request can reach it yet.
LATER = ("worker", "fetcher", "placer", "beat", "nginx")
PARTS = (*(part for part, _ in SERVICES.values()), "web", *LATER)
MAX_SOCKET_FOLDER = 80  # characters; unix(7) gives a socket's path 108 bytes, file name included
CONFIGS = {
    "nginx/nginx.conf": "/etc/nginx/nginx.conf",
    "nginx/vimeo_api.conf": "/etc/nginx/conf.d/vimeo_api.conf",
    "nginx/vimeo_api": "/etc/nginx/vimeo_api",
    "nginx/http/listen.conf": "/etc/nginx/vimeo_api/listen.conf",
    "uwsgi/vimeo_api.ini": "/etc/uwsgi/vimeo_api.ini",
    "redis/redis-broker.conf": "/etc/redis/redis-broker.conf",
    "redis/redis-cache.conf": "/etc/redis/redis-cache.conf",
    "supervisor/stack.conf": "/etc/supervisor/stack.conf",
}


class StackError(Exception):
    """The stack cannot start; the message says why."""


@dataclass(frozen=True)
class Layout:
    """Where this stack puts what a host has in /etc, /run and /var."""

    bind: str
    port: int
    data: Path
    run: Path
    settings: config.Settings
    parts: tuple[str, ...] = PARTS
    shared_at: str = ""  # where other hosts reach our services, "" if none does
    balanced: bool = False  # a load balancer is in front, which speaks the PROXY protocol

    @property
    def moved(self) -> dict[str, str]:
        """The paths and words in a host's configuration, and their replacements here."""
        return {
            "listen 80 ": f"listen {self.host}:{self.port} ",
            "listen 8081 ": f"listen {self.settings.peer_address} ",
            **{place: str(self.etc(place)) for place in CONFIGS.values()},
            "listen_addresses=": f"listen_addresses={self.shared_at}",
            "/run/redis-broker": f"{self.run}/redis-broker",
            "/run/redis-cache": f"{self.run}/redis-cache",
            "/run/vimeo_api-nginx": f"{self.run}/nginx",
            "/run/vimeo_api": str(self.run),
            "/var/log/vimeo_api": f"{self.data}/log",
            "/var/lib/vimeo_api/store": str(self.settings.store_dir),
            "/var/lib/vimeo_api/incoming": str(self.settings.spool_dir),
            "/var/lib/vimeo_api": str(self.data),
            "/var/lib/redis": f"{self.data}/redis",
            "/srv/vimeo_api/.venv": sys.prefix,
            "/srv/vimeo_api": str(ROOT),
        }

    @property
    def host(self) -> str:
        """The address where our nginx listens, as URLs and nginx write it."""
        return _written(self.bind)

    @property
    def address(self) -> str:
        """Where our nginx listens, for the other hosts of this machine."""
        return f"{_written({'0.0.0.0': '127.0.0.1', '::': '::1'}.get(self.bind, self.bind))}:{self.port}"

    @property
    def supervisor_config(self) -> Path:
        """Where supervisord's configuration is."""
        return self.etc(CONFIGS["supervisor/stack.conf"])

    @property
    def supervisor_socket(self) -> Path:
        """Where supervisord listens, as supervisor/stack.conf says."""
        return self.run / "supervisor.sock"

    def etc(self, place: str) -> Path:
        """Return our path for a file or folder of a host."""
        return self.data / place.lstrip("/")

    def environ(self) -> dict[str, str]:
        """Return the environment of all parts: our own plus deploy/env.example with our paths."""
        lines = (ROOT / "deploy/env.example").read_text().splitlines()
        example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        postgres = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
        return {
            **os.environ,
            **{name: self.move(value.strip('"')) for name, value in example.items()},
            "DATABASE_URL": f"postgresql+psycopg:///vimeo_api?host={self.run}&user={DATABASE_USER}",
            **{name: os.environ.get(name, "") for name, (part, _) in SERVICES.items() if part not in self.parts},
            "SECRET_KEY": self.settings.secret_key or secret.secret_key(self.data),
            "SEALING_KEYS": self.settings.sealing_keys or secret.sealing_keys(self.data),
            "PEER_ADDRESS": self.settings.peer_address or self.address,
            "PATH": os.pathsep.join([os.environ["PATH"], *postgres, "/usr/sbin"]),
            "PYTHONUNBUFFERED": "1",
        }

    def move(self, text: str) -> str:
        """Return text with the paths of a host replaced by ours."""
        moved = self.moved
        longest_first = sorted(moved, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)), lambda found: moved[found[0]], text)


def _written(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def run_folder(data: Path) -> Path:
    """Return the folder for sockets: DATA_DIR/run, unless its path is too long for a socket."""
    folder = data / "run"
    if len(str(folder)) > MAX_SOCKET_FOLDER:
        folder = Path(tempfile.gettempdir()) / f"vimeo_api-{hashlib.sha256(bytes(data)).hexdigest()[:12]}"
    return folder


def make_folders(layout: Layout) -> None:
    """Create the folders of all parts, for our user only. Raises StackError if another user owns that of sockets."""
    layout.run.mkdir(mode=0o700, exist_ok=True)
    try:
        layout.run.chmod(0o700)  # its sockets trust every client, and in /tmp anyone may have created the folder
    except PermissionError:
        raise StackError(f"{layout.run} belongs to another user.") from None
    runs = [layout.run / name for name in ("redis-broker", "redis-cache", "nginx")]
    kept = [layout.data / name for name in ("log", "redis", "journal")]
    for folder in (*runs, *kept, layout.settings.store_dir, layout.settings.spool_dir):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_configs(layout: Layout) -> None:
    """Write the configuration of all parts of this stack, with our paths."""
    for source, place in CONFIGS.items():
        _write_moved(layout, ROOT / "deploy" / source, layout.etc(place))
    snippets = layout.etc(CONFIGS["nginx/vimeo_api"])
    (snippets / "body_limit.conf").write_text(f"{body_limit(layout.settings)}\n")
    objects = snippets / "objects/upstream.conf"
    objects.unlink(missing_ok=True)
    if layout.settings.store_url:
        objects.parent.mkdir(exist_ok=True)
        objects.write_text(objects_upstream(layout.settings))
    (snippets / "origins.conf").write_text(origins(layout.settings))
    (snippets / "peer_key.conf").write_text(f"{peer_key(layout.settings)}\n")
    if layout.balanced:
        _write_moved(layout, ROOT / "deploy/nginx/balanced/listen.conf", snippets / "listen.conf")
    if layout.shared_at:
        for part, port in SERVICES.values():
            if part != "postgres":
                with layout.etc(f"/etc/redis/{part}.conf").open("a") as file:
                    file.write(f"bind {layout.shared_at}\nport {port}\nprotected-mode no\n")
    _select_parts(layout)


def _select_parts(layout: Layout) -> None:
    """Leave only our parts in supervisord's configuration."""
    parser = configparser.RawConfigParser()
    path = layout.supervisor_config
    parser.read(path)
    for part in PARTS:
        if part not in layout.parts:
            parser.remove_section(f"program:{part}")
    parser.set("group:stack", "programs", ", ".join(layout.parts))
    with path.open("w") as file:
        parser.write(file)


def _write_moved(layout: Layout, source: Path, target: Path) -> None:
    """Write a configuration file, or all files of a folder, with our paths."""
    if source.is_dir():
        for path in source.iterdir():
            _write_moved(layout, path, target / path.name)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(layout.move(source.read_text()))
