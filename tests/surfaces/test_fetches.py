"""URL uploads of the surface `transfer` as a client sees them: real workers fetch from a test origin."""

import hashlib
import os
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import pytest
import requests

from tests.fetches import Fetch, ask, begin, downloaded, partial_files
from tests.odd_origins import ODD
from tests.origin import Origin, Page
from tests.services import FETCH_WAITERS, Service, await_, pids_of

MIB = 1024**2
PER_CLIENT = 4  # fetches at the same time, the default of FETCH_PER_CLIENT
PER_HOST = 16  # connections of a worker to one host, core.fetching.session.Limits


def test_it_answers_with_the_file_as_an_upload_does(fetcher: Service, origin: Origin) -> None:
    disposition = "attachment; filename*=UTF-8''%D0%BE%D1%82.xls"
    page = Page(random.randbytes(9 * MIB + 17), headers={"Content-Disposition": disposition})
    answer = ask(fetcher, origin.serve("/report", page))
    assert (answer.status_code, list(answer.json())) == (200, ["file_id"])
    download = downloaded(fetcher, answer.json()["file_id"])
    assert download.content == page.content
    assert "filename*=UTF-8''%D0%BE%D1%82.xls" in download.headers["Content-Disposition"]


def test_it_fetches_from_odd_origins(fetcher: Service, origin: Origin) -> None:
    odd = {
        name: deepcopy(ODD[name])
        for name in ("400 to a range", "part without Content-Range", "early hints", "trailers", "cookie", "chain")
    }
    fetches = {name: begin(fetcher, one.serve(origin, f"/{place}")) for place, (name, one) in enumerate(odd.items())}
    assert {name: fetch.ended()["error"] for name, fetch in fetches.items()} == dict.fromkeys(odd)
    assert [name for name, fetch in fetches.items() if fetch.download().content != odd[name].content] == []


def test_a_file_that_the_origin_compresses_says_so_in_its_name(fetcher: Service, origin: Origin) -> None:
    fetch = begin(fetcher, origin.serve("/data.csv", Page(b"content", headers={"Content-Encoding": "x-gzip"})))
    assert fetch.ended()["name"] == "data.csv.gz"
    download = fetch.download()
    assert download.headers["Content-Type"] == "application/gzip"
    assert "data.csv.gz" in download.headers["Content-Disposition"]
    assert "Content-Encoding" not in download.headers


def test_a_fetch_shows_progress_and_can_be_cancelled(fetcher: Service, origin: Origin) -> None:
    page = Page(content=random.randbytes(8 * MIB), throttle=100_000)
    answer = ask(fetcher, origin.serve("/slow.bin", page), wait=False)
    assert answer.status_code == 202
    assert answer.headers["Location"] == answer.json()["status_url"]
    fetch = Fetch(fetcher, **answer.json())
    running_status = await_(lambda: (s := fetch.status())["bytes"] > 0 and s) or {}
    assert running_status["state"] == "fetching"
    assert running_status["name"] == "slow.bin"
    assert running_status["total"] == 8 * MIB
    assert running_status["rate"] > 0
    assert running_status["seconds_left"] > 0
    early = fetch.download()
    assert early.status_code == 425
    assert early.headers["Retry-After"]
    assert early.json()["total"] == 8 * MIB
    cancelled = fetch.cancel()
    assert (cancelled["state"], cancelled["failure"]) == ("failed", "cancelled")
    await_(lambda: not partial_files(fetcher))
    late = fetch.download()
    assert (late.status_code, late.json()) == (410, {"error": "Cancelled."})


def test_it_takes_no_url_from_a_form_because_any_site_could_send_one(fetcher: Service, origin: Origin) -> None:
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


@pytest.mark.parametrize(
    ("preference", "statuses"),
    [("RESPOND-ASYNC; wait=9, x", {202}), ("wait=9, respond-async", {202}), ("norespond-async", {200, 202})],
)
def test_it_does_not_wait_if_the_client_prefers_that(
    fetcher: Service, origin: Origin, preference: str, statuses: set[int]
) -> None:
    url = origin.serve("/a.txt", Page(content=b"content"))
    answer = requests.post(f"{fetcher.url}/uploadFile", json={"file": url}, headers={"Prefer": preference}, timeout=60)
    assert answer.status_code in statuses


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://h/", "http://u:p@h/", "http://h/\r\nX: y", "http://", "//h/", "h", ""]
)
def test_it_refuses_urls_that_we_do_not_fetch(fetcher: Service, url: str) -> None:
    answer = ask(fetcher, url)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_the_same_url_twice_is_two_files(fetcher: Service, origin: Origin) -> None:
    url = origin.serve("/same.txt", Page(content=b"same"))
    fetches = [begin(fetcher, url) for _ in range(4)]
    assert len({fetch.file_id for fetch in fetches}) == 4
    assert {fetch.ended()["state"] for fetch in fetches} == {"available"}
    assert {fetch.download().content for fetch in fetches} == {b"same"}


def test_a_limited_number_of_requests_wait_at_once(fetcher: Service, origin: Origin) -> None:
    gate = threading.Event()
    url = origin.serve("/late.txt", Page(b"content", gate=gate))
    processes = 1 if fetcher.profile == "embedded" else os.cpu_count() or 1  # of uWSGI, as its %k counts them
    most, more = FETCH_WAITERS * processes, 6
    with ThreadPoolExecutor(most + more) as clients:
        asked = [clients.submit(ask, fetcher, url) for _ in range(most + more)]
        await_(lambda: sum(future.done() for future in asked) >= more)
        late = [future for future in asked if not future.done()]
        assert {future.result().status_code for future in asked if future not in late} == {202}
        gate.set()
        assert {future.result().status_code for future in late} <= {200}


def test_all_fetches_together_are_polite_to_one_host(fetcher: Service, origin: Origin) -> None:
    gate = threading.Event()
    page = Page(random.randbytes(3 * MIB), gate=gate)
    fetches = [begin(fetcher, origin.serve(f"/{number}", page)) for number in range(4)]
    await_(lambda: origin.busiest > PER_HOST / 2)  # so more than one of them works on it
    page.throttle = 500_000
    gate.set()
    assert {fetch.ended()["state"] for fetch in fetches} == {"available"}
    assert origin.busiest <= PER_HOST
    assert {fetch.download().content for fetch in fetches} == {page.content}


def test_one_client_leaves_fetchers_to_others(fetcher: Service, origin: Origin) -> None:
    gate = threading.Event()
    page = Page(b"content", gate=gate)
    fetches = [begin(fetcher, origin.serve(f"/{number}", page)) for number in range(PER_CLIENT + 4)]
    await_(lambda: len(origin.requests) == PER_CLIENT)
    gate.set()
    assert {fetch.ended()["state"] for fetch in fetches} == {"available"}
    assert origin.busiest <= PER_CLIENT


def test_another_worker_resumes_the_fetch_of_a_killed_one(fetcher: Service, origin: Origin) -> None:
    page = Page(content=random.randbytes(12 * MIB), throttle=300_000)
    fetch = begin(fetcher, origin.serve("/long.bin", page))
    await_(lambda: fetch.status()["bytes"] > MIB, 60)
    for pid in pids_of(fetcher, "worker"):
        os.kill(pid, signal.SIGKILL)
    page.throttle = None
    assert fetch.ended()["state"] == "available"
    assert fetch.download().content == page.content
    asked = [header for header in origin.asked("range") if header]
    assert len(asked) > 8
    sent_again = [header for header in asked if header.startswith("bytes=0-")]
    assert len(sent_again) <= 3  # what was on disk was not fetched again
