"""The surface `store` as its clients see it."""

import base64
import hashlib
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.inprocess import made
from tests.services import Service


def post(service: Service, content: bytes) -> str:
    answer = requests.post(f"{service.url}/", data=content, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain")
    return answer.text


def get(service: Service, digest: str, parameter: str = "file_hash") -> requests.Response:
    return requests.get(f"{service.url}/", params={parameter: digest}, timeout=60)


def delete(service: Service, digest: str) -> int:
    return requests.delete(f"{service.url}/", params={"file_hash": digest}, timeout=60).status_code


@pytest.mark.one_host
def test_it_stores_content_under_its_hash(service: Service, tmp_path: Path) -> None:
    content = random.randbytes(100_000)
    digest = hashlib.sha256(content).hexdigest()
    assert post(service, content) == digest
    place = service.data / "store/store" / digest[:2] / digest
    assert place.read_bytes() == content
    for parameter in ("file_hash", "hash"):
        answer = get(service, digest.upper(), parameter)
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert base64.b64decode(answer.headers["Repr-Digest"].split(":")[1]).hex() == digest
    assert delete(service, digest) == 200
    assert not place.exists()
    assert get(service, digest).status_code == 404
    assert delete(service, digest) == 404
    assert post(service, content) == digest
    assert get(service, digest).content == content


def test_it_takes_forms_and_raw_bodies(service: Service, tmp_path: Path) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(random.randbytes(1000))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    for words in (
        ["-F", f"file=@{source}"],
        ["-F", f"x=@{__file__}", "-F", f"file=@{source}"],
        ["--data-binary", f"@{source}"],
    ):
        done = subprocess.run(["curl", "-sS", *words, f"{service.url}/"], capture_output=True, text=True, check=True)
        assert done.stdout == digest
    empty = requests.post(f"{service.url}/", files={"file": ("empty", b"")}, timeout=60)
    assert empty.text == hashlib.sha256(b"").hexdigest()


def test_identical_uploads_at_once_make_one_file(service: Service) -> None:
    content = random.randbytes(200_000)
    before = service.stored()
    with ThreadPoolExecutor(20) as pool:
        answers = set(pool.map(lambda _: post(service, content), range(20)))
    assert answers == {hashlib.sha256(content).hexdigest()}
    assert len(service.stored() - before) == 1


@pytest.mark.one_host
def test_deletes_and_uploads_of_the_same_content_never_part_row_and_bytes(service: Service) -> None:
    content = random.randbytes(1000)
    digest = hashlib.sha256(content).hexdigest()

    def work(number: int) -> int:
        return delete(service, digest) if number % 2 else len(post(service, content))

    with ThreadPoolExecutor(8) as pool:
        for _ in range(25):
            assert set(pool.map(work, range(8))) <= {64, 200, 404}
            answer = get(service, digest)
            place = service.data / "store/store" / digest[:2] / digest
            assert (answer.status_code == 200) == place.exists()
            assert answer.status_code == 404 or answer.content == content
    post(service, content)
    assert delete(service, digest) == 200
    folder = service.data / "store/store" / digest[:2]
    assert not folder.exists() or list(folder.iterdir())


def test_refusals_say_what_is_wrong(service: Service) -> None:
    root = f"{service.url}/"
    assert requests.post(root, data=b"", timeout=60).status_code == 400
    assert requests.delete(root, timeout=60).status_code == 400
    assert get(service, "").status_code == 404
    assert get(service, "../../etc/passwd").status_code == 404
    for method in ("PUT", "PATCH"):
        answer = requests.request(method, root, data=b"x", timeout=60)
        assert answer.status_code == 405
        assert {"GET", "POST", "DELETE"} <= set(answer.headers["Allow"].split(", "))
        assert answer.headers["Content-Type"].startswith("text/plain")


def test_without_a_hash_it_leads_to_the_page(service: Service) -> None:
    answer = requests.get(f"{service.url}/", allow_redirects=False, timeout=60)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/upload")


def test_the_algorithm_can_be_changed_and_nothing_is_lost(tmp_path: Path) -> None:
    content = b"content"
    by_md5, by_sha256 = hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest()
    with made("embedded", tmp_path / "data", STORE_ALGORITHM="md5") as app:
        assert app.test_client().post("/", data=content).text == by_md5
    with made("embedded", tmp_path / "data") as app:
        client = app.test_client()
        assert client.post("/", data=content).text == by_sha256
        assert client.get(f"/?file_hash={by_md5}").data == content
        assert client.delete(f"/?file_hash={by_md5}").status_code == 200
        assert client.get(f"/?file_hash={by_sha256}").data == content
