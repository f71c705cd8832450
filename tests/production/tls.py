"""A second nginx in front of a stack's web processes: its site once more, with HTTPS as in deploy/nginx/https."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.production.parts import environ_of, pid_of
from tests.production.test_sharing import as_user_of, listens
from tests.services import ROOT, Service, await_, free_port


class Front(NamedTuple):
    """Where another nginx listens in front of a stack's web processes."""

    http: str
    https: str
    certificate: Path


@contextmanager
def fronting(stack: Service, folder: Path) -> Iterator[Front]:
    """Run the stack's site once more, with TLS switched on as deploy/README.md says."""
    (folder / "nginx").mkdir(parents=True)
    etc, run, http, https = folder / "etc", stack.data / "run", free_port(), free_port()
    shutil.copytree(stack.data / "etc/nginx", etc)
    for name in ("listen.conf", "hsts.conf"):
        shutil.copy(ROOT / "deploy/nginx/https" / name, etc / "vimeo_api")
    shutil.copy(ROOT / "deploy/nginx/https/redirect.conf", etc / "conf.d/vimeo_api_redirect.conf")
    moved = {
        str(stack.data / "etc/nginx"): str(etc),
        f"{run}/uwsgi.sock": f"{run}/uwsgi.sock",  # the stack's own: not moved by the next line
        f"{run}/": f"{folder}/",
        "listen 443 ": f"listen 127.0.0.1:{https} ",
        "listen 80 ": f"listen 127.0.0.1:{http} ",
        "/etc/nginx/vimeo_api/": f"{etc}/vimeo_api/",
        "/etc/vimeo_api/tls": str(folder),
        "/var/log/vimeo_api": str(folder),
        "conf.d/vimeo_api.conf": "conf.d/*.conf",
    }
    for path in etc.rglob("*.conf"):
        path.write_text(re.sub("|".join(map(re.escape, moved)), lambda found: moved[found[0]], path.read_text()))
    key, certificate = folder / "privkey.pem", folder / "fullchain.pem"
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names, "-keyout", str(key)]
    subprocess.run([*made, "-out", str(certificate)], check=True, capture_output=True)
    command = ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(etc / "nginx.conf")]
    nginx = subprocess.Popen([*as_user_of(pid_of(stack, "web")), *command], env=environ_of(stack, "web"))
    try:
        await_(lambda: nginx.poll() is not None or (listens(https) and listens(http)))
        assert nginx.poll() is None, (folder / "error.log").read_text()
        yield Front(f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}", certificate)
    finally:
        nginx.terminate()
        nginx.wait(30)
