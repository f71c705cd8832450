"""A real S3-compatible object store for tests: SeaweedFS, started on free ports in a temporary folder."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tests.services import await_, free_port

ACCESS_KEY = "service-access-key"
SECRET_KEY = "service-secret-key"
ROOT_ACCESS_KEY = "root-access-key"
ROOT_SECRET_KEY = "root-secret-key"
BUCKET = "files"
REGION = "us-east-1"
AWAKE_SECONDS, ASLEEP_SECONDS = 0.05, 0.7  # of one that is slow


@dataclass(frozen=True)
class ObjectStore:
    """A running object store with one empty bucket."""

    endpoint: str
    process: "subprocess.Popen[bytes]"

    def settings(self, prefix: str = "") -> dict[str, str]:
        """Return the settings of a service that keeps its files here, below `prefix`."""
        return {
            "STORE_URL": f"s3://{BUCKET}/{prefix}".rstrip("/"),
            "STORE_ENDPOINT": self.endpoint,
            "STORE_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def client(self) -> S3Store:
        """Return a client with all rights, with which a test looks at the objects."""
        return S3Store(
            BUCKET,
            endpoint=self.endpoint,
            region=REGION,
            access_key_id=ROOT_ACCESS_KEY,
            secret_access_key=ROOT_SECRET_KEY,
            client_options={"allow_http": True, "timeout": "10s"},
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=10)},
        )

    def keys(self, prefix: str = "") -> set[str]:
        """Return the keys of all objects below a prefix."""
        return {entry["path"] for page in obstore.list(self.client(), prefix or None) for entry in page}


@contextmanager
def serving_objects(folder: Path) -> Iterator[ObjectStore]:
    """Run an object store until the block ends; its data lies in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rights = folder / "rights.json"
    identities = [
        _identity("root", ROOT_ACCESS_KEY, ROOT_SECRET_KEY, "Admin"),
        _identity("service", ACCESS_KEY, SECRET_KEY, *(f"{right}:{BUCKET}" for right in ("Read", "Write", "List"))),
    ]
    rights.write_text(json.dumps({"identities": identities}))
    parts = ("master", "volume", "filer", "s3")
    port, *ports = [free_port() for _ in range(2 * len(parts))]
    command = [
        *("setpriv", "--pdeathsig", "KILL", "--"),  # so that it ends with this process, however that ends
        str(Path(sys.prefix) / "bin/weed"),
        "server",
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-volume.max=0", "-master.volumeSizeLimitMB=1024"),
        *("-filer", "-s3", f"-s3.config={rights}", f"-s3.port={port}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        "-master.telemetry=false",
        *(f"-{part}.port={own}" for part, own in zip(parts, ports[:3], strict=False)),
        *(f"-{part}.port.grpc={own}" for part, own in zip(parts, ports[3:], strict=True)),
    ]
    log = folder / "weed.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder)
    store = ObjectStore(f"http://127.0.0.1:{port}", process)
    try:
        await_(lambda: _makes_bucket(store, log))
        yield store
    finally:
        process.kill()
        process.wait()
        for used in (port, *ports):  # SeaweedFS listens on these too, and leaves them
            for left in Path("/tmp").glob(f"seaweedfs-*-{used}.sock"):
                left.unlink()


@dataclass(frozen=True)
class Fake:
    """A server in place of an object store, and the requests that it got."""

    endpoint: str
    requests: list[tuple[str, str, dict[str, str]]]  # method, path and query, headers


@contextmanager
def answering(*, status: int = 200, content: bytes = b"", tls: ssl.SSLContext | None = None) -> Iterator[Fake]:
    """Run a server that gives every request the same answer."""
    requests: list[tuple[str, str, dict[str, str]]] = []

    class Answer(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            requests.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", '"tag"')
            self.send_header("Last-Modified", "Mon, 05 Jan 2026 10:00:00 GMT")
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else content)

        do_PUT = do_GET = do_HEAD = do_DELETE = do_POST = answer  # noqa: N815 -- http.server's names

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        try:
            yield Fake(f"{'https' if tls else 'http'}://localhost:{server.server_port}", requests)
        finally:
            server.shutdown()


@contextmanager
def refusing(*, status: int, code: str, message: str = "No.") -> Iterator[str]:
    """Yield the address of an object store that answers everything with an error."""
    said = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    with answering(status=status, content=said) as fake:
        yield fake.endpoint


@contextmanager
def damaging(endpoint: str, old: bytes, new: bytes) -> Iterator[str]:
    """Yield the address of a proxy to an object store that changes some bytes."""
    host, _, port = endpoint.removeprefix("http://").partition(":")

    class Network(StreamRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((host, int(port))) as upstream:
                threading.Thread(target=_pass_on, args=(upstream, self.request), daemon=True).start()
                _pass_on(self.request, upstream, old, new)

    with ThreadingTCPServer(("127.0.0.1", 0), Network) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def _pass_on(source: socket.socket, target: socket.socket, old: bytes = b"", new: bytes = b"") -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data.replace(old, new) if old else data)


@dataclass
class Between:
    """A proxy to an object store: it answers in its place, while it has something to say, requests of these methods."""

    endpoint: str = ""
    says: bytes = b""
    methods: tuple[bytes, ...] = (b"",)


@contextmanager
def between(endpoint: str) -> Iterator[Between]:
    """Run a proxy to an object store."""
    host, _, port = endpoint.removeprefix("http://").partition(":")
    proxy = Between()

    class Connection(StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), socket.create_connection((host, int(port))) as upstream:
                threading.Thread(target=_pass_on, args=(upstream, self.request), daemon=True).start()
                while data := self.request.recv(65536):
                    if proxy.says and data.startswith(proxy.methods):
                        self.request.sendall(proxy.says)
                        break
                    upstream.sendall(data)

    with ThreadingTCPServer(("127.0.0.1", 0), Connection) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield proxy
        finally:
            server.shutdown()


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Freeze the processes of an object store: it takes connections and does not answer."""
    signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(pids, signal.SIGCONT)


@contextmanager
def slow(*pids: int) -> Iterator[None]:
    """Slow an object store down: its processes run only now and then."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(AWAKE_SECONDS):
            with frozen(*pids):
                over.wait(ASLEEP_SECONDS)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()


@contextmanager
def full(*pids: int) -> Iterator[None]:
    """Keep the processes of an object store from writing, as on a full disk: no file may grow."""
    _limit(pids, "0")
    try:
        yield
    finally:
        _limit(pids, "unlimited")


def _limit(pids: Sequence[int], size: str) -> None:
    """Limit the size of files that processes write, as their own user: in a container root may not, prlimit(2)."""
    for pid in pids:
        owner = Path(f"/proc/{pid}").stat()
        command = ["prlimit", f"--pid={pid}", f"--fsize={size}:unlimited"]
        subprocess.run(command, user=owner.st_uid, group=owner.st_gid, check=True)


def signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal to the processes that still run."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _identity(name: str, access_key: str, secret_key: str, *actions: str) -> dict[str, Any]:
    credentials = {"accessKey": access_key, "secretKey": secret_key}
    return {"name": name, "credentials": [credentials], "actions": list(actions)}


def _makes_bucket(store: ObjectStore, log: Path) -> bool:
    """Return whether the bucket exists; SeaweedFS makes it for the first object that root puts there."""
    assert store.process.poll() is None, f"The object store ended at its start:\n{log.read_text()}"
    with suppress(BaseError):
        obstore.put(store.client(), "first", b"")
        obstore.delete(store.client(), "first")
        return True
    return False
