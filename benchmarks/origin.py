"""The origin that is fetched from: a real nginx, as fast as it can be, over TLS, or throttling each connection."""

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine

THROTTLE = 8 * 1024**2  # bytes per second and connection

# nginx sends sendfile_max_chunk bytes, then waits until they are due; with its default of 2m each request would begin
# with a burst, and many short requests would hardly be throttled at all.
_CONFIGURATION = """
daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    client_body_temp_path {folder}/client;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{origin.port};
        listen 127.0.0.1:{origin.tls_port} ssl;
        ssl_certificate {origin.certificate};
        ssl_certificate_key {folder}/key.pem;
        location /fast/ {{ alias {origin.files}/; }}
        location /throttled/ {{ alias {origin.files}/; limit_rate {throttle}; sendfile_max_chunk 64k; }}
    }}
}}
"""


@dataclass(frozen=True)
class Origin:
    """Where it listens, and what it serves."""

    files: Path
    certificate: Path
    port: int
    tls_port: int

    def url(self, name: str, *, tls: bool = False, throttled: bool = False) -> str:
        """Return the URL of a file."""
        scheme, port = ("https", self.tls_port) if tls else ("http", self.port)
        return f"{scheme}://127.0.0.1:{port}/{'throttled' if throttled else 'fast'}/{name}"


@contextmanager
def serving(folder: Path) -> Iterator[Origin]:
    """Serve the files of `folder`/files on free ports until the block ends."""
    files, certificate = folder / "files", folder / "certificate.pem"
    files.mkdir()
    _certify(certificate, folder / "key.pem")
    # nginx inherits the sockets, as in its own upgrades: nobody else can take the ports, and nobody has to wait.
    with socket.create_server(("127.0.0.1", 0)) as plain, socket.create_server(("127.0.0.1", 0)) as secure:
        origin = Origin(files, certificate, plain.getsockname()[1], secure.getsockname()[1])
        process = _nginx(folder, origin, [plain, secure])
    try:
        yield origin
    finally:
        process.terminate()
        process.wait()


def _nginx(folder: Path, origin: Origin, sockets: Sequence[socket.socket]) -> "subprocess.Popen[bytes]":
    configuration = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # the folder is nobody else's
    configuration.write_text(_CONFIGURATION.format(folder=folder, origin=origin, user=user, throttle=THROTTLE))
    for sock in sockets:
        sock.settimeout(0)
    descriptors = [sock.fileno() for sock in sockets]
    return subprocess.Popen(
        [machine.path("nginx"), "-c", configuration, "-e", "stderr"],
        env={**os.environ, "NGINX": "".join(f"{descriptor};" for descriptor in descriptors)},
        pass_fds=descriptors,
    )


def _certify(certificate: Path, key: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    about = ["-days", "2", "-subj", "/CN=origin", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *about, "-keyout", key, "-out", certificate], check=True, capture_output=True)
