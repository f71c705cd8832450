"""Every way in which an origin can misbehave, through the real service: the right bytes or a clear failure.

All are asked for at once, and each test waits for its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.fetches import OPEN, Fetch, begin
from tests.origin import OLDER, Page, noise, serving
from tests.services import await_, running

MIB = 1024**2
CONTENT = noise(3 * MIB + 17)
CHANGED = bytes(byte ^ 0xFF for byte in CONTENT)
CHAIN = 7  # redirects, more than are followed


@dataclass(frozen=True)
class Fault:
    """What downloading the file must answer, and what the error says."""

    code: int
    sentence: str


RIGHT = {
    "ranges": Page(CONTENT),
    "no ranges": Page(CONTENT, ranges="no"),
    "a range once, then none": Page(CONTENT, ranges="first"),
    "416 for every range": Page(CONTENT, ranges="refused"),
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
    "two connections at most": Page(CONTENT, at_most=2),
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
    "too many requests": (Page(statuses=[429] * 99, retry_after="1"), Fault(502, "answers 429")),
    "416 for everything": (Page(statuses=[416] * 99), Fault(502, "answers 416")),
    "gzipped": (Page(CONTENT, headers={"Content-Encoding": "gzip"}), Fault(502, "compresses the file")),
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
    "multipart": (Page(CONTENT, ranges="multipart"), Fault(502, "without saying which")),
    "endless header": (Page(huge_header=True), Fault(502, "bytes of headers")),
    "loop": (Page(location="/loop"), Fault(502, "redirects more than 5 times")),
    "chain": (Page(location="/chain-1"), Fault(502, "redirects more than 5 times")),
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
    "silent": (Page(CONTENT, stall_after=0), Fault(504, "has sent nothing for 5 seconds")),
    "silent streams": (Page(CONTENT, ranges="no", stall_after=500_000), Fault(504, "has sent nothing for 5 seconds")),
    "dripping header": (Page(dripping=True), Fault(504, "has sent nothing for 5 seconds")),
    "asking for an hour": (Page(statuses=[503] * 99, retry_after="3600"), Fault(504, "has sent nothing for 5 seconds")),
    "slow": (Page(CONTENT, throttle=10_000), Fault(504, "takes longer than 15 seconds")),
    "slow stream": (Page(CONTENT, ranges="no", throttle=100_000), Fault(504, "takes longer than 15 seconds")),
}


@pytest.fixture(scope="module", params=["embedded", "production"])
def fetches(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Fetch]]:
    """The fetches of RIGHT and WRONG, all begun."""
    pages = RIGHT | {name: page for name, (page, _) in WRONG.items()}
    settings = {"TRANSFER_MAX_BYTES": "8MiB"}
    with begun(request.param, tmp_path_factory.mktemp("origins"), pages, **settings) as fetches:
        yield fetches


@pytest.fixture(scope="module", params=["embedded", "production"])
def slow_fetches(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Fetch]]:
    """The fetches of SLOW, all begun by a service with little patience."""
    pages = {name: page for name, (page, _) in SLOW.items()}
    settings = {"FETCH_SECONDS": "15", "FETCH_IDLE_SECONDS": "5"}
    with begun(request.param, tmp_path_factory.mktemp("slow"), pages, **settings) as fetches:
        yield fetches


@contextmanager
def begun(profile: str, folder: Path, pages: dict[str, Page], **settings: str) -> Iterator[dict[str, Fetch]]:
    with serving() as origin, running(profile, folder / "data", **OPEN, **settings) as service:
        for step in range(1, CHAIN):
            origin.serve(f"/chain-{step}", Page(location=f"/chain-{step + 1}"))
        # Copies, for pages change while they are served.
        urls = {name: origin.serve(f"/{quote(name)}", deepcopy(page)) for name, page in pages.items()}
        yield {name: begin(service, url) for name, url in urls.items()}


@pytest.mark.parametrize("name", RIGHT)
def test_the_bytes_are_right(fetches: dict[str, Fetch], name: str) -> None:
    status = fetches[name].ended()
    content = SERVED.get(name, CONTENT)
    assert (status["state"], status["bytes"], status["total"]) == ("available", len(content), len(content)), status
    assert fetches[name].download().content == content


@pytest.mark.parametrize("name", WRONG)
def test_a_fault_is_a_clear_failure(fetches: dict[str, Fetch], name: str) -> None:
    check(fetches[name], WRONG[name][1])


@pytest.mark.parametrize("name", SLOW)
def test_patience_ends(slow_fetches: dict[str, Fetch], name: str) -> None:
    check(slow_fetches[name], SLOW[name][1])


def test_nothing_is_left_behind(fetches: dict[str, Fetch]) -> None:
    check_leftovers(fetches, files=len(RIGHT))


def test_lost_patience_leaves_nothing_behind(slow_fetches: dict[str, Fetch]) -> None:
    check_leftovers(slow_fetches, files=0)


def check_leftovers(fetches: dict[str, Fetch], *, files: int) -> None:
    for fetch in fetches.values():
        fetch.ended()
    service = next(iter(fetches.values())).service
    assert len(service.stored()) == files
    await_(lambda: not service.spooled())


def check(fetch: Fetch, fault: Fault) -> None:
    """Fail unless a fetch ends so, in its status and for who downloads."""
    status = fetch.ended()
    assert status["state"] == "failed"
    assert fault.sentence in status["error"]
    answer = fetch.download()
    assert (answer.status_code, answer.json()) == (fault.code, {"error": status["error"]})
