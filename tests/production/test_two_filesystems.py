"""Spool and store on different filesystems: what is answered 201 can be read at every moment, and ends in the store."""

import hashlib
import os
import random
import signal
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.origin import Page, serving
from tests.services import Service, await_, other_filesystem, pids_of, running

MIB = 1024**2


@pytest.fixture(scope="module", params=["embedded", "production"])
def apart(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Path]]:
    """The real service, and its store, which is on another filesystem."""
    with other_filesystem() as folder:
        folder.chmod(0o777)
        settings = {"STORE_DIR": str(folder / "store"), "FETCH_URLS": "1", "FETCH_ALLOW_PRIVATE": "1"}
        with running(request.param, tmp_path_factory.mktemp("apart") / "data", **settings) as service:
            yield service, folder / "store"


def files_below(folder: Path) -> list[Path]:
    return [Path(at) / name for at, _, names in os.walk(folder) for name in names if not name.startswith(".")]


def settled(service: Service, store: Path, number: int) -> bool:
    """Return whether so many files lie in the store, and nothing anywhere else."""
    drafts = files_below(store / ".placing")
    return not drafts and not files_below(service.data / "incoming" / "landing") and len(files_below(store)) == number


def test_a_file_is_readable_before_while_and_after_it_is_placed(apart: tuple[Service, Path]) -> None:
    service, store = apart
    content = random.randbytes(40 * MIB)
    stream = requests.post(f"{service.url}/v1/streams", data=content, timeout=60).json()["id"]
    digest = requests.post(f"{service.url}/", data=content, timeout=60).text
    requests.post(f"{service.url}/upload/a.txt", data=content, timeout=60)
    once = requests.put(service.vimeo, files={"file": ("a.xls", content[:MIB])}, timeout=60).json()["url"]
    with serving() as origin:
        asked = {"file": origin.serve("/fetched", Page(content=content))}
        fetched = requests.post(f"{service.url}/uploadFile", json=asked, timeout=60).json()["file_id"]
        urls = [
            f"{service.url}/v1/streams/{stream}",
            f"{service.url}/?file_hash={digest}",
            f"{service.url}/download/a.txt",
            f"{service.url}/downloadFile?file_id={fetched}",
        ]
        await_(lambda: requests.head(urls[-1], timeout=60).status_code == 200)
    done = threading.Event()

    def read(url: str) -> set[str]:
        tags = set()
        while not done.is_set():
            answer = requests.get(url, timeout=60)
            assert (answer.status_code, answer.content == content) == (200, True), answer.status_code
            tags.add(answer.headers["ETag"])
        return tags

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, url) for url in urls]
        try:
            await_(lambda: settled(service, store, 5) or any(reader.done() for reader in readers), 180)
        finally:
            done.set()
        assert [len(reader.result()) for reader in readers] == [1] * 4  # one ETag each, wherever the bytes lay
    assert requests.get(once, timeout=60).content == content[:MIB]
    expected = f"sha-256=:{b64encode(hashlib.sha256(content).digest()).decode()}:"
    assert requests.head(urls[0], timeout=60).headers["Repr-Digest"] == expected
    requests.delete(urls[0], timeout=60)
    requests.delete(urls[1], timeout=60)
    assert [requests.get(url, timeout=60).status_code for url in urls] == [404, 404, 200, 200]
    await_(lambda: settled(service, store, 2))


def test_no_kill_loses_a_file_or_leaves_one_behind(apart: tuple[Service, Path]) -> None:
    service, store = apart
    await_(lambda: not files_below(service.data / "incoming" / "landing"), 60)
    before = len(files_below(store))
    contents = {}
    for number in range(10):
        contents[number] = random.randbytes(16 * MIB)
        requests.post(f"{service.url}/upload/{number}.txt", data=contents[number], timeout=60)
        if number % 3 == 2:
            for pid in pids_of(service, "place" if service.profile == "production" else "worker"):
                os.kill(pid, signal.SIGKILL)
    await_(lambda: settled(service, store, before + 10), 200)
    for number, content in contents.items():
        assert requests.get(f"{service.url}/download/{number}.txt", timeout=60).content == content
