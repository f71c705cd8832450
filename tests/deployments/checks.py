"""What every deployment must do, seen from outside: `containers`, `fleet` and `host` import these tests."""

import hashlib
import secrets

import pytest
import requests

from tests.deployments.site import PATIENCE, Site
from tests.origin import Page, noise, serving
from tests.services import await_

__all__ = [
    "test_a_one_time_file_is_handed_out_once_and_its_bytes_go",
    "test_a_url_is_fetched",
    "test_every_dialect_takes_a_file_and_hands_it_out",
    "test_it_takes_a_large_stream_and_hands_it_out",
]

LARGE = 200 * 1024**2  # bytes


def test_a_one_time_file_is_handed_out_once_and_its_bytes_go(site: Site) -> None:
    content = secrets.token_bytes(4000)
    form = {"password": "hello world"}
    link = requests.put(site.vimeo, data=form, files={"file": ("report.xls", content)}, timeout=PATIENCE).json()["url"]
    assert link.startswith(site.url)
    assert requests.get(link, timeout=PATIENCE).status_code == 401
    assert site.holds(content)
    password = {"X-File-Password": "hello world"}
    assert requests.get(link, headers=password, timeout=PATIENCE).content == content
    await_(lambda: requests.get(link, headers=password, timeout=PATIENCE).status_code == 410)
    await_(lambda: not site.holds(content))


def test_it_takes_a_large_stream_and_hands_it_out(site: Site) -> None:
    content = secrets.token_bytes(1024**2) * (LARGE // 1024**2)
    created = requests.post(f"{site.url}/v1/streams", data=content, timeout=PATIENCE)
    assert created.status_code == 201, created.text
    stream = f"{site.url}/v1/streams/{created.json()['id']}"
    digest = hashlib.sha256()
    with requests.get(stream, stream=True, timeout=PATIENCE) as response:
        for piece in response.iter_content(1024**2):
            digest.update(piece)
    assert digest.digest() == hashlib.sha256(content).digest()
    assert requests.delete(stream, timeout=PATIENCE).ok


def test_a_url_is_fetched(site: Site) -> None:
    content = noise(3_000_000)
    with serving(address="0.0.0.0") as origin:
        origin.serve("/file.pdf", Page(content))
        url = origin.url("/file.pdf", host=site.origin_address)
        asked = requests.post(f"{site.url}/uploadFile", json={"file": url}, timeout=PATIENCE)
        assert asked.ok, asked.text
        file_id = asked.json()["file_id"]

        def fetched() -> bool:
            response = requests.get(f"{site.url}/downloadFile", params={"file_id": file_id}, timeout=PATIENCE)
            return response.status_code == 200 and response.content == content

        await_(fetched)


@pytest.mark.parametrize("dialect", ["vimeo", "streams", "store", "named", "transfer"])
def test_every_dialect_takes_a_file_and_hands_it_out(site: Site, dialect: str) -> None:
    content = secrets.token_bytes(100)
    assert requests.get(_uploaded(site, dialect, content), timeout=PATIENCE).content == content


def _uploaded(site: Site, dialect: str, content: bytes) -> str:
    """Upload a file in a dialect; return its URL."""
    form = {"file": ("report.xls", content)}
    if dialect == "vimeo":
        return str(requests.put(site.vimeo, files=form, timeout=PATIENCE).json()["url"])
    if dialect == "streams":
        stream = requests.post(f"{site.url}/v1/streams", data=content, timeout=PATIENCE).json()["id"]
        return f"{site.url}/v1/streams/{stream}"
    if dialect == "store":
        digest = requests.post(f"{site.url}/", data=content, timeout=PATIENCE).text.strip()
        return f"{site.url}/?file_hash={digest}"
    if dialect == "named":
        name = f"{secrets.token_hex(8)}.xls"
        assert requests.post(f"{site.url}/upload/{name}", data=content, timeout=PATIENCE).status_code == 201
        return f"{site.url}/download/{name}"
    sealed = requests.post(f"{site.url}/uploadFile", files=form, timeout=PATIENCE).json()["file_id"]
    return f"{site.url}/downloadFile?file_id={sealed}"
