"""URL uploads of the surface `transfer`: real workers fetch from an origin that misbehaves as it is told to."""

import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.origin import Origin, Page, serving
from tests.services import Service, await_, pids_of, running

MIB = 1024**2


@pytest.fixture(scope="module", params=["embedded", "production"])
def fetcher(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real service, with URL uploads from loopback."""
    settings = {"FETCH_URLS": "1", "FETCH_ALLOW_PRIVATE": "1", "TRANSFER_MAX_BYTES": "64MiB"}
    with running(request.param, tmp_path_factory.mktemp("fetch") / "data", **settings) as service:
        yield service


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as origin:
        yield origin


def ask(service: Service, url: str, *, wait: bool = True, **more: object) -> requests.Response:
    headers = {} if wait else {"Prefer": "respond-async"}
    return requests.post(f"{service.url}/uploadFile", json={"file": url, **more}, headers=headers, timeout=60)


def status(answer: requests.Response) -> dict[str, Any]:
    return dict(requests.get(answer.json()["status_url"], timeout=60).json())


def ended(answer: requests.Response) -> dict[str, Any]:
    """Wait for the end of a fetch that was answered with 202, and return its status."""
    assert answer.status_code == 202, answer.text
    return await_(lambda: (s := status(answer))["state"] != "fetching" and s, 60) or {}


def content_of(service: Service, file_id: str) -> bytes:
    answer = requests.get(f"{service.url}/downloadFile", params={"file_id": file_id}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize(
    "page",
    [
        Page(),
        Page(ranges="no"),
        Page(ranges="first"),
        Page(ranges="no", framing="chunked"),
        Page(break_after=MIB, breaks=5),
        Page(statuses=[503]),
    ],
    ids=["ranges", "no ranges", "ranges once", "chunked", "breaking", "unavailable at first"],
)
def test_it_fetches_the_right_bytes(fetcher: Service, origin: Origin, page: Page) -> None:
    page.content = random.randbytes(9 * MIB + 17)
    page.headers = {"Content-Disposition": "attachment; filename*=UTF-8''%D0%BE%D1%82.xls"}
    answer = ask(fetcher, origin.serve("/report", page))
    if answer.status_code == 202:
        assert ended(answer)["state"] == "available"
    else:
        assert answer.status_code == 200, answer.text
    file_id = answer.json()["file_id"]
    assert content_of(fetcher, file_id) == page.content
    head = requests.head(f"{fetcher.url}/downloadFile", params={"file_id": file_id}, timeout=60)
    assert "filename*=UTF-8''%D0%BE%D1%82.xls" in head.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (Page(statuses=[404] * 99), 502),
        (Page(headers={"Content-Encoding": "gzip"}), 502),
        (Page(framing="longer", ranges="no"), 502),
        (Page(changes_after=2), 502),
        (Page(location="/loop"), 502),
        (Page(location="file:///etc/passwd"), 400),
        (Page(location="http://user:secret@127.0.0.1/"), 400),
    ],
    ids=["missing", "gzipped", "shorter than said", "changing", "looping", "to a file", "with a password"],
)
def test_a_fault_is_a_clear_failure(fetcher: Service, origin: Origin, page: Page, code: int) -> None:
    page.content = random.randbytes(3 * MIB)
    before = fetcher.stored()
    answer = ask(fetcher, origin.serve("/loop", page))
    if answer.status_code == 202:
        file_id, end = answer.json()["file_id"], ended(answer)
        if end["state"] == "available":  # the change came too late to matter, and these are the changed bytes
            assert page.changes_after is not None
            return
        answer = requests.get(f"{fetcher.url}/downloadFile", params={"file_id": file_id}, timeout=60)
    assert (answer.status_code, list(answer.json())) == (code, ["error"]), answer.text
    assert answer.json()["error"]
    assert fetcher.stored() == before
    await_(lambda: not [path for path in fetcher.spooled() if path.name.startswith("fetch-")])


def test_it_tells_how_far_it_is_and_can_be_stopped(fetcher: Service, origin: Origin) -> None:
    page = Page(content=random.randbytes(8 * MIB), throttle=100_000)
    answer = ask(fetcher, origin.serve("/slow.bin", page), wait=False)
    assert answer.status_code == 202
    assert answer.headers["Location"] == answer.json()["status_url"]
    running_status = await_(lambda: (s := status(answer))["bytes"] > 0 and s, 30) or {}
    assert running_status["state"] == "fetching"
    assert running_status["name"] == "slow.bin"
    assert running_status["total"] == 8 * MIB
    assert running_status["rate"] > 0
    assert running_status["seconds_left"] > 0
    early = requests.get(f"{fetcher.url}/downloadFile", params={"file_id": answer.json()["file_id"]}, timeout=60)
    assert early.status_code == 425
    assert early.headers["Retry-After"]
    assert early.json()["total"] == 8 * MIB
    cancelled = requests.delete(answer.json()["status_url"], timeout=60).json()
    assert (cancelled["state"], cancelled["failure"]) == ("failed", "cancelled")
    await_(lambda: not [path for path in fetcher.spooled() if path.name.startswith("fetch-")])
    late = requests.get(f"{fetcher.url}/downloadFile", params={"file_id": answer.json()["file_id"]}, timeout=60)
    assert (late.status_code, late.json()) == (410, {"error": "Cancelled."})


def test_it_takes_no_url_from_a_form_for_any_site_could_send_one(fetcher: Service, origin: Origin) -> None:
    url, target = origin.serve("/report.xls", Page(content=b"content")), f"{fetcher.url}/uploadFile"
    plain = {"Content-Type": "text/plain"}
    answers = [
        requests.post(target, data={"file": url}, timeout=60),
        requests.post(target, files={"file": (None, url)}, timeout=60),
        requests.post(target, data=f'{{"file": "{url}"}}', headers=plain, timeout=60),
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert origin.requests == []


def test_it_checks_the_digest_that_the_request_expects(fetcher: Service, origin: Origin) -> None:
    page = Page(content=b"content")
    url = origin.serve("/a.txt", page)
    right = ask(fetcher, url, sha256=hashlib.sha256(b"content").hexdigest().upper())
    assert right.status_code == 200
    wrong = ask(fetcher, url, sha256=hashlib.sha256(b"other").hexdigest())
    assert wrong.status_code == 502
    assert "SHA-256" in wrong.json()["error"]
    assert ask(fetcher, url, sha256="abc").status_code == 400
    assert ask(fetcher, url, sha256=1).status_code == 400


def test_it_refuses_what_is_too_large_before_its_first_byte(fetcher: Service, origin: Origin) -> None:
    page = Page(content=bytes(65 * MIB), throttle=1000)
    assert ask(fetcher, origin.serve("/big", page)).status_code == 413


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://h/", "http://u:p@h/", "http://h/\r\nX: y", "http://", "//h/", "h", ""]
)
def test_it_refuses_what_is_no_url_for_us(fetcher: Service, url: str) -> None:
    answer = ask(fetcher, url)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "169.254.169.254"])
def test_private_addresses_are_refused_unless_allowed(tmp_path: Path, host: str) -> None:
    settings = {"FETCH_URLS": "1", "FETCH_ALLOW_PRIVATE": "0"}
    with running("embedded", tmp_path / "data", **settings) as service:
        answer = ask(service, f"http://{host}:8080/")
        assert answer.status_code in {400, 403}, answer.text
        assert list(answer.json()) == ["error"]


def test_the_same_url_twice_is_two_files(fetcher: Service, origin: Origin) -> None:
    url = origin.serve("/same.txt", Page(content=b"same"))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ask(fetcher, url), range(4)))
    ids = {answer.json()["file_id"] for answer in answers}
    assert len(ids) == 4
    for answer in answers:
        if answer.status_code == 202:
            ended(answer)
    assert {content_of(fetcher, file_id) for file_id in ids} == {b"same"}


def test_a_worker_that_is_killed_is_followed_by_one_that_goes_on(fetcher: Service, origin: Origin) -> None:
    page = Page(content=random.randbytes(12 * MIB), throttle=300_000)
    answer = ask(fetcher, origin.serve("/long.bin", page), wait=False)
    await_(lambda: status(answer)["bytes"] > MIB, 60)
    for pid in pids_of(fetcher, "worker"):
        os.kill(pid, signal.SIGKILL)
    page.throttle = None
    assert await_(lambda: (s := status(answer))["state"] != "fetching" and s, 90) == status(answer)
    assert status(answer)["state"] == "available"
    assert content_of(fetcher, answer.json()["file_id"]) == page.content
    asked = [header for header in origin.asked("range") if header]
    assert len(asked) > 8
    sent_again = [header for header in asked if header.startswith("bytes=0-")]
    assert len(sent_again) <= 3  # what was on disk was not fetched anew


def test_an_outage_of_workers_delays_a_fetch_and_no_more(tmp_path: Path, origin: Origin) -> None:
    url = origin.serve("/later.txt", Page(content=b"later"))
    settings = {"FETCH_URLS": "1", "FETCH_ALLOW_PRIVATE": "1"}
    with running("production", tmp_path / "data", **settings) as service:
        config = str(service.data / "etc/supervisor/stack.conf")
        control = [f"{sys.prefix}/bin/supervisorctl", "-c", config]
        subprocess.run([*control, "stop", "stack:worker", "stack:fetcher"], check=True, capture_output=True)
        answer = ask(service, url)
        assert answer.status_code == 202
        subprocess.run([*control, "start", "stack:worker", "stack:fetcher"], check=True, capture_output=True)
        assert ended(answer)["state"] == "available"
        assert content_of(service, answer.json()["file_id"]) == b"later"
