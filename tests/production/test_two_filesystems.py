"""Spool and store on different filesystems: what is answered 201 can be read at every moment, and ends in the store."""

import hashlib
import os
import random
import signal
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import requests

from tests.fetches import OPEN
from tests.groups import PROFILES
from tests.origin import Page, serving
from tests.outages.disks import Shaky
from tests.services import Service, await_, files_below, other_filesystem, pids_of, running

MIB = 1024**2
ROOM = 16 * MIB  # of a test: a quarter of the disks of `shaking`, for it has copies in the spool and in the store


@dataclass(frozen=True)
class Apart:
    """A service, and its spool and store as it sees them."""

    service: Service
    spool: Path
    store: Path


@pytest.fixture(scope="module")
def apart_embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Apart]]:
    """The embedded service with its store on another filesystem; started when asked for."""
    with ExitStack() as stack:

        @cache
        def start() -> Apart:
            store = stack.enter_context(other_filesystem()) / "store"
            data = tmp_path_factory.mktemp("apart") / "data"
            service = stack.enter_context(running("embedded", data, **OPEN, STORE_DIR=str(store)))
            return Apart(service, data / "incoming", store)

        yield start


@pytest.fixture(params=PROFILES)
def apart(request: pytest.FixtureRequest, apart_embedded: Callable[[], Apart], shaking: Callable[[], Shaky]) -> Apart:
    if request.param == "embedded":
        return apart_embedded()
    shaky = shaking()
    await_(lambda: shaky.settled, 60)
    return Apart(shaky.service, shaky.seen("incoming"), shaky.seen("store"))


def settled(apart: Apart, before: set[Path], number: int) -> bool:
    """Return whether the store has a number of new files, and nothing is anywhere else."""
    drafts = files_below(apart.store / ".placing")
    placed = len(set(files_below(apart.store)) - before) == number
    return placed and not drafts and not files_below(apart.spool / "landing")


def test_a_file_is_readable_before_while_and_after_it_is_placed(apart: Apart) -> None:
    service = apart.service
    before = set(files_below(apart.store))
    content = random.randbytes(ROOM // 4)
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
        while not done.wait(0.02):
            answer = requests.get(url, timeout=60)
            assert (answer.status_code, answer.content == content) == (200, True), answer.status_code
            tags.add(answer.headers["ETag"])
        return tags

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, url) for url in urls]
        try:
            await_(lambda: settled(apart, before, 5) or any(reader.done() for reader in readers), 180)
        finally:
            done.set()
        assert [len(reader.result()) for reader in readers] == [1] * 4  # one ETag each, wherever the bytes lay
    assert requests.get(once, timeout=60).content == content[:MIB]
    expected = f"sha-256=:{b64encode(hashlib.sha256(content).digest()).decode()}:"
    assert requests.head(urls[0], timeout=60).headers["Repr-Digest"] == expected
    requests.delete(urls[0], timeout=60)
    requests.delete(urls[1], timeout=60)
    assert [requests.get(url, timeout=60).status_code for url in urls] == [404, 404, 200, 200]
    await_(lambda: settled(apart, before, 2))


def test_no_kill_loses_a_file_or_leaves_one_behind(apart: Apart) -> None:
    service = apart.service
    await_(lambda: not files_below(apart.spool / "landing"), 60)
    before = set(files_below(apart.store))
    contents = {}
    for number in range(10):
        content = random.randbytes(ROOM // 10)
        key = requests.post(f"{service.url}/v1/streams", data=content, timeout=60).json()["id"]
        contents[f"{service.url}/v1/streams/{key}"] = content
        if number % 3 == 2:
            for pid in pids_of(service, "place" if service.profile == "production" else "worker"):
                os.kill(pid, signal.SIGKILL)
    await_(lambda: settled(apart, before, 10), 200)
    for url, content in contents.items():
        assert requests.get(url, timeout=60).content == content
        assert requests.delete(url, timeout=60).status_code == 200  # makes room for other tests
