"""Our own service, started as a user starts it (`make stack`), and rows put straight into its PostgreSQL.

What is put in is copied from the row of a file that was really uploaded, so nothing here needs to know more of the
columns than `key` for clients and `blob` for the bytes on disk.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from benchmarks.serving.place import Place
from benchmarks.serving.processes import cpu_seconds, free_port, running
from benchmarks.serving.server import OURS, Server, Upload
from vimeo_api.version import VERSION

REPOSITORY = Path(__file__).resolve().parents[2]
INCLUDES = "fsync of file and folder, a row committed; a SHA-256 up to 128 KiB only"
ONCE, STREAMS = "/vimeo/api/v1.0/file", "/v1/streams"
MAX_DATA_DIR = 76  # characters; deploy/stack.py keeps its sockets elsewhere for longer ones
MAX_LINKS = 60_000  # of one file; ext4 allows 65,000
SETTLE_SECONDS = 120
CALM_SECONDS = 60
CALM = 0.2  # CPU seconds within a second
# One-time files are removed soon after their download, so that this work is seen in their own turn.
SETTINGS = {"PROFILE": "production", "GRACE_SECONDS": "1", "FETCH_URLS": "0"}
# What is to be done has a moment, and those have an index.
UNSETTLED = "SELECT count(*) FROM files WHERE due_at IS NOT NULL AND status IN ('leased', 'gone')"


@dataclass(frozen=True)
class Service:
    """A running stack."""

    port: int
    data: Path
    pid: int

    @property
    def origin(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str:
        """SQLAlchemy's address of PostgreSQL, for the database in the braces."""
        return f"postgresql+psycopg:///{{}}?host={self.data / 'run'}&user=vimeo_api"

    @property
    def database_pid(self) -> int:
        """PostgreSQL's first process."""
        return int((self.data / "postgres/postmaster.pid").read_text().split("\n", 1)[0])

    def query(self, *statements: str, given: str = "", database: str = "vimeo_api") -> str:
        """Return what psql prints, unaligned; `given` is what COPY FROM stdin reads."""
        command = ["psql", "-h", str(self.data / "run"), "-U", "vimeo_api", "-qAt", "-v", "ON_ERROR_STOP=1"]
        for statement in statements:
            command += ["-c", statement]
        done = subprocess.run([*command, database], input=given, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def add_stream(self, body: Path) -> str:
        """Upload a stream and return its key."""
        with body.open("rb") as file:
            answer = requests.post(self.origin + STREAMS, data=file, timeout=600)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def add_once(self, body: Path) -> str:
        """Upload a one-time file and return its key."""
        with body.open("rb") as file:
            answer = requests.put(self.origin + ONCE, files={"file": file}, timeout=600)
        answer.raise_for_status()
        return str(answer.json()["url"].rpartition("/")[2])

    def copy_once(self, key: str, count: int) -> list[str]:
        """Insert `count` one-time files like this one, rows and bytes; return their keys."""
        keys = [secrets.token_hex(16) for _ in range(count)]
        self._copy("vimeo", key, keys, blob="w.key")
        self.link_once(key, keys)
        return keys

    def copy_stream(self, key: str, count: int) -> list[str]:
        """Insert `count` streams like this one, which share its bytes; return their keys."""
        keys = [str(uuid.uuid4()) for _ in range(count)]
        self._copy("streams", key, keys, blob="f.blob")
        return keys

    def _copy(self, surface: str, key: str, keys: Sequence[str], *, blob: str) -> None:
        self.query(
            "CREATE TEMP TABLE wanted (key text)",
            "COPY wanted FROM stdin",
            f"INSERT INTO files ({self._columns}) SELECT w.key, {blob}, {self._values} FROM wanted w, files f "
            f"WHERE f.surface = '{surface}' AND f.key = '{key}'",
            "VACUUM ANALYZE files",
            given="".join(f"{key}\n" for key in keys),
        )

    def link_once(self, key: str, keys: Sequence[str]) -> None:
        """Give the rows of these keys the bytes of another one-time file, hard links where the store has them."""
        store = self.data / "store/vimeo"
        blob = self.query(f"SELECT blob FROM files WHERE surface = 'vimeo' AND key = '{key}'")
        source, owner = store / blob[:2] / blob, store.stat()
        for number, name in enumerate(keys):
            folder = store / name[:2]
            if not folder.exists():
                folder.mkdir(mode=0o700)
                os.chown(folder, owner.st_uid, owner.st_gid)
            if number % MAX_LINKS == MAX_LINKS - 1:
                source = _twin(source)
            (folder / name).hardlink_to(source)

    def fill(self, stream: str, once: str, count: int) -> None:
        """Insert `count` rows, half of them like this stream with the same bytes, half like this one-time file."""
        put = f"INSERT INTO files ({self._columns}) SELECT"
        rows = f"generate_series(1, {count // 2})"
        self.query(
            f"{put} gen_random_uuid(), f.blob, {self._values} FROM {rows}, files f "
            f"WHERE f.surface = 'streams' AND f.key = '{stream}'",
            f"{put} n.key, n.key, {self._values} FROM (SELECT md5(gen_random_uuid()::text) AS key FROM {rows}) n, "
            f"files f WHERE f.surface = 'vimeo' AND f.key = '{once}'",
            "VACUUM ANALYZE files",
        )

    def some_keys(self, surface: str, count: int) -> list[str]:
        """Return keys of a surface at random."""
        wanted = f"surface = '{surface}' AND status = 'available'"
        return self.query(f"SELECT key FROM files WHERE {wanted} ORDER BY random() LIMIT {count}").split()

    def settle(self, after: int = 0) -> None:
        """Wait until every download of rows after this one that has ended is confirmed, and its bytes are removed."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (left := int(self.query(f"{UNSETTLED} AND id > {after}"))) and time.monotonic() < deadline:
            time.sleep(0.5)
        if left:
            raise ValueError(f"{left} downloads are not settled after {SETTLE_SECONDS} s")

    @property
    def _names(self) -> list[str]:
        names = "SELECT column_name FROM information_schema.columns WHERE table_name = 'files'"
        return [f'"{name}"' for name in self.query(names).split() if name not in {"id", "key", "blob", "manage_digest"}]

    @property
    def _columns(self) -> str:
        return ", ".join(["key", "blob", *self._names])

    @property
    def _values(self) -> str:
        return ", ".join(f"f.{name}" for name in self._names)


@dataclass(frozen=True)
class Rows:
    """What was uploaded to a service after a certain row, but for bytes that it shares with older rows."""

    service: Service
    after: int

    def size(self) -> int:
        """Return how many bytes it is in all, of those that the store holds."""
        rows = f"SELECT surface, blob FROM files WHERE id > {self.after}"
        return sum(path.stat().st_size for path in self._paths(rows) if path.exists())

    def clear(self) -> None:
        """Remove it all."""
        for path in self._paths(f"DELETE FROM files WHERE id > {self.after} RETURNING surface, blob"):
            path.unlink(missing_ok=True)

    def _paths(self, rows: str) -> list[Path]:
        shared = f"SELECT FROM files f WHERE f.id <= {self.after} AND (f.surface, f.blob) = (n.surface, n.blob)"
        ours = f"WITH n AS ({rows}) SELECT DISTINCT n.surface, n.blob FROM n WHERE NOT EXISTS ({shared})"
        store = self.service.data / "store"
        found = (row.split("|") for row in self.service.query(ours).split())
        return [store / surface / blob[:2] / blob for surface, blob in found]


@contextmanager
def running_stack(where: Place, name: str) -> Iterator[Service]:
    """Run a stack of its own for the length of the block. Raises ServerError."""
    data, port, log = where.folder / name, free_port(), where.folder / f"{name}.log"
    if len(str(data)) > MAX_DATA_DIR:
        raise ValueError(f"the path {data} is too long for sockets; --folder says where else")
    with running(
        [sys.executable, REPOSITORY / "deploy/stack.py"],
        log=log,
        ready=lambda: " is ready on " in log.read_text(),
        environ={**SETTINGS, "PORT": str(port), "DATA_DIR": str(data)},
        cwd=REPOSITORY,
        stop=signal.SIGINT,
    ) as pid:
        _await_calm(pid)
        yield Service(port, data, pid)


def _await_calm(pid: int) -> None:
    """Wait until the workers have started: otherwise their start would count as work."""
    deadline, before = time.monotonic() + CALM_SECONDS, float("-inf")
    while (used := cpu_seconds([pid])) - before > CALM and time.monotonic() < deadline:
        before = used
        time.sleep(1)


def server_of(service: Service, where: Place) -> Server:
    """Upload the files that all servers serve, and describe the service as a server."""
    small, large = (service.add_stream(path) for path in (where.small, where.large))
    after = int(service.query("SELECT max(id) FROM files"))
    return Server(
        name=OURS,
        origin=service.origin,
        roots=(service.pid,),
        setup=f"{VERSION} by `make stack`: nginx, uWSGI, PostgreSQL, Redis, Celery; as it comes, "
        f"but for {', '.join(f'`{name}={value}`' for name, value in SETTINGS.items())}",
        uploads=Rows(service, after),
        gets="the app and PostgreSQL, unless nginx has cached their response",
        small=f"{STREAMS}/{small}",
        large=f"{STREAMS}/{large}",
        missing=f"{STREAMS}/{{uuid}}",
        raw=Upload("PUT", STREAMS, INCLUDES),
        form=Upload("POST", "/uploadFile", INCLUDES, part="file"),
    )


def _twin(path: Path) -> Path:
    """Return a copy of a file, for its own hard links."""
    twin = path.with_name(secrets.token_hex(16))
    twin.write_bytes(path.read_bytes())
    os.chown(twin, path.stat().st_uid, path.stat().st_gid)
    twin.chmod(0o600)
    return twin
