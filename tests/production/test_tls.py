"""HTTPS with the files of deploy/nginx/https: the site with a certificate, and the redirect from HTTP."""

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.production.tls import Front, fronting
from tests.services import Service
from tests.surfaces.resumable.tus_js import BY_NODE, uploaded

OPERATION_TIMEDOUT = 28  # curl(1)


@pytest.fixture(scope="module")
def front(stack: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with fronting(stack, tmp_path_factory.mktemp("tls")) as front:
        yield front


def test_files_go_up_and_down_by_https_and_links_say_so(front: Front) -> None:
    answer = requests.put(
        f"{front.https}/vimeo/api/v1.0/file", files={"file": b"sealed"}, verify=str(front.certificate), timeout=60
    )
    link = answer.json()["url"]
    assert link.startswith(f"{front.https}/")
    assert requests.get(link, verify=str(front.certificate), timeout=60).content == b"sealed"


@pytest.mark.parametrize("path", ["/ping", "/v1/streams/none", "/\\"])  # of the service, its error, nginx's own
def test_browsers_are_asked_to_use_only_https(front: Front, path: str) -> None:
    answer = requests.get(front.https + path, verify=str(front.certificate), timeout=60)
    assert answer.headers["Strict-Transport-Security"] == "max-age=63072000"


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


@BY_NODE
def test_tus_js_client_resumes_over_http_2(front: Front, tmp_path: Path) -> None:
    dice, file = random.Random(15), tmp_path / "file.bin"
    file.write_bytes(data := dice.randbytes(8 * 1024**2))
    # Of requests of a connection that is kept, and of one that breaks.
    limits = [dice.randint(200_000, len(data) // 8) for _ in range(6)]
    path = uploaded(front.https, file, "plain", limits=limits, trusted=front.certificate)
    key = requests.get(front.https + path, verify=str(front.certificate), timeout=60).json()["id"]
    stream = requests.get(f"{front.https}/v1/streams/{key}", verify=str(front.certificate), timeout=60)
    assert stream.content == data


def test_http_leads_to_https_with_the_same_method(front: Front) -> None:
    answer = requests.post(f"{front.http}/v1/streams?a=b", data=b"x", allow_redirects=False, timeout=60)
    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://127.0.0.1/v1/streams?a=b"
