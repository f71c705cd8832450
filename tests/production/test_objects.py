"""The production stack with its files in a real object store: what nginx sends from there, and what it never shows."""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import obstore
import pytest
import requests

from tests.object_stores import Between, ObjectStore, between, serving_objects
from tests.production.parts import environ_of, pid_of
from tests.production.test_sharing import as_user_of
from tests.services import ROOT, Service, await_, files_below, running, unlocked, used_up

ROW = "the object store"  # of the table of outages, which tests/outages/test_table.py compares

CONTENT = random.randbytes(300_000)
# What a response of the object store has, and ours must not have.
FOREIGN = ("amz", "seaweed", "minio")
GET = requests.Session()


@dataclass(frozen=True)
class Far:
    """A stack, and the object store that has its files."""

    service: Service
    bucket: ObjectStore
    between: Between

    def settled(self) -> bool:
        """Return whether everything is placed, and no copy is left in the spool."""
        return not files_below(self.service.spool / "landing")


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    folder = tmp_path_factory.mktemp("far")
    with serving_objects(folder / "objects") as bucket, between(bucket.endpoint) as proxy:
        settings = bucket.settings("stack") | {"GRACE_SECONDS": "1", "STORE_ENDPOINT": proxy.endpoint}
        with running("production", folder / "data", **settings) as service:
            yield Far(service, bucket, proxy)


def _stream(service: Service) -> str:
    key = requests.post(f"{service.url}/v1/streams", data=CONTENT, timeout=60).json()["id"]
    return f"{service.url}/v1/streams/{key}"


def _stored(service: Service) -> str:
    return f"{service.url}/?file_hash={requests.post(f'{service.url}/', data=CONTENT, timeout=60).text}"


def _named(service: Service) -> str:
    requests.post(f"{service.url}/upload/a.txt", data=CONTENT, timeout=60)
    return f"{service.url}/download/a.txt"


def _transferred(service: Service) -> str:
    sent = requests.post(f"{service.url}/uploadFile", files={"file": ("a.bin", CONTENT)}, timeout=60)
    return f"{service.url}/downloadFile?file_id={sent.json()['file_id']}"


@pytest.mark.parametrize("upload", [_stream, _stored, _named, _transferred])
def test_a_file_is_sent_from_the_object_store_as_from_the_disk(far: Far, upload: Callable[[Service], str]) -> None:
    url = upload(far.service)
    before = GET.get(url, timeout=60)
    await_(far.settled)
    requests.get(url, timeout=60)
    for _ in range(3):  # the first are cached by nginx
        after = GET.get(url, timeout=60)
        assert after.content == before.content == CONTENT
    tag = after.headers["ETag"]
    for name in ("ETag", "Last-Modified", "Content-Type", "Cache-Control", "Content-Disposition", "Accept-Ranges"):
        assert after.headers.get(name) == before.headers.get(name), name
    assert not [name for name in after.headers if any(word in name.lower() for word in FOREIGN)]
    assert "Vary" not in after.headers
    head = GET.head(url, timeout=60)
    varying = {"Date", "X-Request-Id"}
    assert {name: value for name, value in head.headers.items() if name not in varying} == {
        name: value for name, value in after.headers.items() if name not in varying
    }
    _head_has_no_ranges(url)
    for headers, status, content in (
        ({"Range": "bytes=5-9"}, 206, CONTENT[5:10]),
        ({"Range": "bytes=-3"}, 206, CONTENT[-3:]),
        ({"Range": "bytes=999999-"}, 416, None),
        ({"Range": "bytes=1-2,4-5"}, 200, CONTENT),
        ({"Range": "bytes=0-4", "If-Range": '"another"'}, 200, CONTENT),
        ({"Range": "bytes=0-4", "If-Range": tag}, 206, CONTENT[:5]),
        ({"If-None-Match": tag}, 304, b""),
        ({"If-None-Match": '"another"'}, 200, CONTENT),
        ({"If-Match": '"another"'}, 412, None),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304, b""),
    ):
        answer = GET.get(url, headers=headers, timeout=60)
        assert (answer.status_code, content is None or answer.content == content) == (status, True), headers
    assert GET.get(url, timeout=60).content == CONTENT


def test_head_of_a_one_time_file_has_no_ranges(far: Far) -> None:
    url = requests.put(far.service.vimeo, files={"file": ("a.bin", CONTENT)}, timeout=60).json()["url"]
    await_(far.settled)
    _head_has_no_ranges(url)


def _head_has_no_ranges(url: str) -> None:
    for asked in ("bytes=5-9", "bytes=999999-", "bytes=5-9"):  # nginx caches the second response
        head = GET.head(url, headers={"Range": asked}, timeout=60)
        assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(CONTENT)))
        assert (head.headers["Accept-Ranges"], "Content-Range" in head.headers) == ("bytes", False)


def test_a_deleted_file_is_404_at_once(far: Far) -> None:
    url = _stream(far.service)
    await_(far.settled)
    for _ in range(3):
        assert GET.get(url, timeout=60).status_code == 200
    assert requests.delete(url, timeout=60).status_code == 200
    assert GET.get(url, timeout=60).status_code == 404


def test_a_missing_object_is_404_and_not_what_the_object_store_says(far: Far) -> None:
    before = far.bucket.keys()
    url = _stream(far.service)
    await_(far.settled)
    (key,) = far.bucket.keys() - before
    obstore.delete(far.bucket.client(), key)
    answer = GET.get(url, timeout=60)
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")
    assert requests.delete(url, timeout=60).status_code == 200


def test_nothing_that_an_object_store_says_reaches_a_client(far: Far) -> None:
    once = requests.put(far.service.vimeo, files={"file": ("a.bin", CONTENT)}, timeout=60).json()["url"]
    url = _stream(far.service)
    await_(far.settled)
    for status, wanted in ((301, 503), (400, 503), (401, 503), (429, 503), (507, 503), (304, 304)):
        words = b"" if status == 304 else b"<Error><Code>Odd</Code></Error>"
        lines = ("X-Amz-Restore: amz", "Retry-After: 99", "Location: http://amz/", f"Content-Length: {len(words)}")
        far.between.says = "\r\n".join((f"HTTP/1.1 {status} Odd", *lines, "", "")).encode() + words
        try:
            answers = [requests.get(url, timeout=60, allow_redirects=False), unlocked(once, allow_redirects=False)]
        finally:
            far.between.says = b""
        for got in answers:
            assert (got.status_code, b"Odd" in got.content) == (wanted, False)
            assert "amz" not in str(got.headers).lower()
            assert got.headers.get("Retry-After") == ("2" if wanted == 503 else None)
    assert unlocked(once).content == CONTENT  # no failure has used it up


def test_cached_responses_find_a_file_that_was_moved(far: Far) -> None:
    url = _stream(far.service)
    await_(far.settled)
    manage = [*as_user_of(pid_of(far.service, "web")), sys.executable, str(ROOT / "manage.py")]
    for place in ("filesystem", "s3"):
        for _ in range(3):
            assert GET.get(url, timeout=60).content == CONTENT
        moved = subprocess.run(
            [*manage, "move", "--to", place],
            env=environ_of(far.service, "web"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "0 failed" in moved.stdout, moved.stderr
        assert GET.get(url, timeout=60).content == CONTENT


def test_a_one_time_file_is_confirmed_by_its_bytes(far: Far) -> None:
    urls = []
    for _ in range(2):
        sent = requests.put(far.service.vimeo, files={"file": ("a.xls", CONTENT)}, timeout=60)
        urls.append(sent.json()["url"])
    await_(far.settled)
    whole = requests.get(urls[0], timeout=60)
    assert (whole.content == CONTENT, whole.headers["Content-Type"]) == (True, "application/vnd.ms-excel")
    assert used_up(urls[0])
    with _cut(urls[1]) as begun:
        grant = begun.headers["X-Download-Grant"]
    rest = {"Range": f"bytes={len(CONTENT) // 2}-"}
    answer = unlocked(urls[1], headers=rest | {"X-Download-Grant": grant})
    assert (answer.status_code, answer.content == CONTENT[len(CONTENT) // 2 :]) == (206, True)
    first = {"Range": f"bytes=0-{len(CONTENT) // 2 - 1}", "X-Download-Grant": grant}
    assert requests.get(urls[1], headers=first, timeout=60).content == CONTENT[: len(CONTENT) // 2]
    assert used_up(urls[1])


@contextmanager
def _cut(url: str) -> Iterator[requests.Response]:
    """Begin a download and hang up."""
    with requests.get(url, stream=True, timeout=60) as begun:
        next(begun.iter_content(1000))
        yield begun


def test_an_object_store_that_is_away_is_503_and_the_rest_works(far: Far) -> None:
    sent = requests.put(far.service.vimeo, files={"file": ("a.xls", CONTENT)}, timeout=60).json()["url"]
    url = _stream(far.service)
    await_(far.settled)
    assert requests.get(f"{far.service.url}/readyz", timeout=60).json()["dependencies"]["objects"]["ok"]
    far.bucket.process.kill()
    far.bucket.process.wait()
    away = requests.get(url, timeout=60)
    assert (away.status_code, "Retry-After" in away.headers) == (503, True)
    assert requests.get(sent, timeout=60).status_code == 503
    assert unlocked(sent).status_code == 503
    stored = requests.post(f"{far.service.url}/v1/streams", data=b"pending", timeout=60)
    assert requests.get(f"{far.service.url}/v1/streams/{stored.json()['id']}", timeout=60).content == b"pending"
    ready = requests.get(f"{far.service.url}/readyz", timeout=60)
    assert (ready.status_code, ready.json()["dependencies"]["objects"]["ok"]) == (200, False)
