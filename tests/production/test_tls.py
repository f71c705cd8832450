"""HTTPS with the files of deploy/nginx/https: the site with a certificate, and the redirect from HTTP."""

import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from tests.production.parts import environ_of, pid_of
from tests.production.test_sharing import as_user_of, listens
from tests.services import ROOT, Service, await_, free_port

OPERATION_TIMEDOUT = 28  # curl(1)


class Front(NamedTuple):
    """Where another nginx listens in front of a stack's web processes."""

    http: str
    https: str
    certificate: Path


@pytest.fixture(scope="module")
def front(stack: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Run the stack's site once more, with TLS switched on as deploy/README.md says."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "nginx").mkdir()
    etc, run, http, https = folder / "etc", stack.data / "run", free_port(), free_port()
    shutil.copytree(stack.data / "etc/nginx", etc)
    shutil.copy(ROOT / "deploy/nginx/https/listen.conf", etc / "vimeo_api")
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


def test_files_go_up_and_down_by_https_and_links_say_so(front: Front) -> None:
    answer = requests.put(
        f"{front.https}/vimeo/api/v1.0/file", files={"file": b"sealed"}, verify=str(front.certificate), timeout=60
    )
    link = answer.json()["url"]
    assert link.startswith(f"{front.https}/")
    assert requests.get(link, verify=str(front.certificate), timeout=60).content == b"sealed"


def test_browsers_are_offered_http_2(front: Front) -> None:
    command = [
        "curl",
        "-sS",
        "--cacert",
        str(front.certificate),
        "-o",
        "/dev/null",
        "-w",
        "%{http_version} %{http_code}",
    ]
    done = subprocess.run([*command, f"{front.https}/ping"], capture_output=True, text=True, check=True)
    assert done.stdout == "2 200"


def test_an_upload_by_http_2_resumes_where_it_was_reset(front: Front, tmp_path: Path) -> None:
    data = random.Random(2).randbytes(4 * 1024**2)
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(data))}
    begun = requests.post(f"{front.https}/uploads/streams", headers=tus, verify=str(front.certificate), timeout=60)
    url, rest = begun.headers["Location"], tmp_path / "rest"

    def send(offset: int, *words: str) -> "subprocess.CompletedProcess[str]":
        rest.write_bytes(data[offset:])
        headers = {**tus, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        command = ["curl", "-sS", "--http2", "--cacert", str(front.certificate), "-X", "PATCH", "-T", str(rest)]
        command += [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
        return subprocess.run([*command, *words, url], capture_output=True, text=True, check=False)

    assert send(0, "--limit-rate", "2M", "--max-time", "0.7").returncode == OPERATION_TIMEDOUT
    state = requests.head(url, headers=tus, verify=str(front.certificate), timeout=60)
    offset = int(state.headers["Upload-Offset"])
    assert 0 < offset < len(data)
    assert send(offset, "-o", "/dev/null", "-w", "%{http_version} %{http_code}").stdout == "2 204"
    key = requests.get(url, verify=str(front.certificate), timeout=60).json()["id"]
    stream = requests.get(f"{front.https}/v1/streams/{key}", verify=str(front.certificate), timeout=60)
    assert stream.content == data


def test_http_leads_to_https_with_the_same_method(front: Front) -> None:
    answer = requests.post(f"{front.http}/v1/streams?a=b", data=b"x", allow_redirects=False, timeout=60)
    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://127.0.0.1/v1/streams?a=b"
