"""Every way in which an origin can misbehave, as a client of the app sees it: the right bytes or a clear failure.

The origin is reached over real sockets; the worker is this process. `test_fetches` uses real workers.
"""

import hashlib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.fetches import OPEN
from tests.inprocess import made, stored
from tests.origin import OLDER, Origin, Page, changed, noise
from vimeo_api.core.fetching import job
from vimeo_api.core.fetching.session import Limits

MIB = 1024**2
CONTENT = noise(3 * MIB + 17)
CHANGED = changed(CONTENT)
CHAIN = 22  # redirects, more than are followed
IDLE = {"FETCH_IDLE_SECONDS": "1"}
LONG = {"FETCH_SECONDS": "1"}
RATE = {"FETCH_MIN_RATE": "1MiB", "FETCH_MIN_RATE_SECONDS": "1"}


@dataclass(frozen=True)
class Fault:
    """What downloading the file must answer, what the error says, and the settings under which it does."""

    code: int
    sentence: str
    settings: dict[str, str] = field(default_factory=dict)


RIGHT = {
    "ranges": Page(CONTENT),
    "no ranges": Page(CONTENT, ranges="no"),
    "a range once, then none": Page(CONTENT, ranges="first"),
    "416 for every range": Page(CONTENT, ranges="refused"),
    "multipart": Page(CONTENT, ranges="multipart"),
    "a few bytes of a range": Page(CONTENT, ranges="short"),
    "chunked": Page(CONTENT, ranges="no", framing="chunked"),
    "chunked ranges": Page(CONTENT, framing="chunked"),
    "no validator": Page(CONTENT, etag=None),
    "weak ETag": Page(CONTENT, etag='W/"one"'),
    "only a date": Page(CONTENT, etag=None, modified=OLDER),
    "breaking": Page(CONTENT, break_after=200_000, breaks=20),
    "breaking streams": Page(CONTENT, ranges="no", break_after=200_000, breaks=2),
    "unavailable at first": Page(CONTENT, statuses=[503, 500]),
    "too many requests at first": Page(CONTENT, statuses=[429], retry_after="1"),
    "two connections at most": Page(CONTENT, at_most=2, throttle=4_000_000),
    "redirected": Page(location="/ranges"),
    "empty": Page(b""),
    "more than announced": Page(CONTENT, framing="shorter", ranges="no"),
    "If-Range ignored in silence": Page(CONTENT, changes_after=1, ranges="blind and mute"),
    "another version, and back": Page(CONTENT, first=[Page(CHANGED, etag='"two"', ranges="no", break_after=300_000)]),
}
# What is right where it is not CONTENT; what follows the announced end is no part of an answer (RFC 9112, 6.3).
SERVED = {"empty": b"", "more than announced": CONTENT[:-1000], "If-Range ignored in silence": CHANGED}

WRONG = {
    "missing": (Page(statuses=[404] * 99), Fault(502, "answers 404 (Not Found)")),
    "forbidden": (Page(statuses=[403] * 99), Fault(502, "answers 403 (Forbidden)")),
    "unavailable": (Page(statuses=[503] * 99), Fault(502, "answers 503")),
    "too many requests": (Page(statuses=[429] * 99, retry_after="0"), Fault(502, "answers 429")),
    "416 for everything": (Page(statuses=[416] * 99), Fault(502, "answers 416")),
    "deflated": (Page(CONTENT, headers={"Content-Encoding": "deflate"}), Fault(502, "compresses the file")),
    "coded in transfer": (
        Page(CONTENT, framing="close", headers={"Transfer-Encoding": "gzip, chunked"}),
        Fault(502, "transfer coding"),
    ),
    "less than announced": (Page(CONTENT, framing="longer", ranges="no"), Fault(502, "breaks the connection")),
    "part of another length": (Page(CONTENT, framing="longer"), Fault(502, "contradicts itself")),
    "part of less than announced": (Page(CONTENT, framing="shorter"), Fault(502, "contradicts itself")),
    "total that is not true": (Page(CONTENT, ranges="lying"), Fault(502, "contradicts itself")),
    "no end": (Page(CONTENT, framing="close", ranges="no"), Fault(502, "does not say how long")),
    "breaking always": (Page(CONTENT, ranges="no", break_after=200_000), Fault(502, "breaks the connection")),
    "changing": (Page(CONTENT, changes_after=1), Fault(502, "changed the file")),
    "changing, If-Range ignored": (Page(CONTENT, changes_after=1, ranges="blind"), Fault(502, "changed the file")),
    "another part": (Page(CONTENT, ranges="late"), Fault(502, "another part")),
    "endless header": (Page(huge_header=True), Fault(502, "bytes of headers")),
    "loop": (Page(location="/loop"), Fault(502, "redirects more than 20 times")),
    "chain": (Page(location="/chain-1"), Fault(502, "redirects more than 20 times")),
    "redirect to nowhere": (Page(location=""), Fault(502, "redirects to nowhere")),
    "redirect to a file": (Page(location="file:///etc/passwd"), Fault(400, "Only http and https")),
    "redirect with a password": (Page(location="http://user:secret@127.0.0.1/"), Fault(400, "a password")),
    "redirect to a disguise": (Page(location="http://2130706433/"), Fault(400, "disguises an address")),
    "redirect to a cloud's secrets": (Page(location="http://169.254.169.254/"), Fault(403, "link-local")),
    "redirect to another port": (Page(location="http://127.0.0.1:25/"), Fault(400, "not for the web")),
    "too large": (Page(bytes(9 * MIB)), Fault(413, "larger than")),
    "too large, and not announced": (Page(bytes(9 * MIB), ranges="no", framing="chunked"), Fault(413, "larger than")),
}

SLOW = {
    "silent": (Page(CONTENT, stall_after=0), Fault(504, "has sent nothing for 1 second", IDLE)),
    "silent streams": (
        Page(CONTENT, ranges="no", stall_after=500_000),
        Fault(504, "has sent nothing for 1 second", IDLE),
    ),
    "dripping header": (Page(dripping=True), Fault(504, "has sent nothing for 1 second", IDLE)),
    "asking for an hour": (
        Page(statuses=[503] * 99, retry_after="3600"),
        Fault(504, "has sent nothing for 1 second", IDLE),
    ),
    "slow": (Page(CONTENT, throttle=10_000), Fault(504, "takes longer than 1 second", LONG)),
    "trickling": (Page(CONTENT, throttle=20_000), Fault(504, "fewer than 1048576 bytes per second for 1 s", RATE)),
    "trickling stream": (
        Page(CONTENT, ranges="no", throttle=20_000),
        Fault(504, "fewer than 1048576 bytes per second for 1 s", RATE),
    ),
    "slow stream": (Page(CONTENT, ranges="no", throttle=100_000), Fault(504, "takes longer than 1 second", LONG)),
}
FAULTS = WRONG | SLOW


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The app, which fetches from loopback."""
    with made("embedded", tmp_path / "data", **OPEN, TRANSFER_MAX_BYTES="8MiB") as app:
        yield app


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures are retried almost at once."""
    monkeypatch.setattr(job, "Limits", partial(Limits, backoff=0.001))


def fetched(app: Flask, url: str, **more: str) -> str:
    """Fetch a URL, and return the id of the file."""
    client = app.test_client()
    answer = client.post("/uploadFile", json={"file": url, **more}, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["file_id"])


def download(app: Flask, file_id: str) -> TestResponse:
    return app.test_client().get("/downloadFile", query_string={"file_id": file_id})


def left_in_spool(app: Flask) -> set[str]:
    return {path.name for path in app.config["SETTINGS"].spool_dir.iterdir()} - {".reserved"}


@pytest.mark.parametrize("name", RIGHT)
def test_the_bytes_are_right(app: Flask, origin: Origin, name: str) -> None:
    origin.serve("/ranges", Page(CONTENT))
    file_id = fetched(app, origin.serve("/file", deepcopy(RIGHT[name])))
    status = app.test_client().get(f"/uploadFile/{file_id}").get_json()
    content = SERVED.get(name, CONTENT)
    assert (status["state"], status["bytes"], status["total"]) == ("available", len(content), len(content)), status
    assert download(app, file_id).data == content
    assert (len(stored(app)), left_in_spool(app)) == (1, set())


def test_a_body_without_a_length_is_accepted_if_its_digest_is_right(app: Flask, origin: Origin) -> None:
    page = Page(CONTENT, framing="close", ranges="no", break_after=2 * MIB, breaks=1)
    file_id = fetched(app, origin.serve("/file", page), sha256=hashlib.sha256(CONTENT).hexdigest())
    status = app.test_client().get(f"/uploadFile/{file_id}").get_json()
    assert (status["state"], status["failure"]) == ("failed", "mismatch")
    file_id = fetched(app, origin.url("/file"), sha256=hashlib.sha256(CONTENT).hexdigest())
    assert download(app, file_id).data == CONTENT


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_a_clear_failure_that_leaves_nothing(tmp_path: Path, origin: Origin, name: str) -> None:
    page, fault = deepcopy(FAULTS[name])
    for step in range(1, CHAIN):
        origin.serve(f"/chain-{step}", Page(location=f"/chain-{step + 1}"))
    with made("embedded", tmp_path / "data", **OPEN, **fault.settings, TRANSFER_MAX_BYTES="8MiB") as app:
        file_id = fetched(app, origin.serve("/loop", page))
        status = app.test_client().get(f"/uploadFile/{file_id}").get_json()
        assert status["state"] == "failed"
        assert fault.sentence in status["error"]
        answer = download(app, file_id)
        assert (answer.status_code, answer.get_json()) == (fault.code, {"error": status["error"]})
        assert (stored(app), left_in_spool(app)) == (set(), set())
