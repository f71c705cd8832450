"""The surface `vimeo` gives a file once: to one of many, in full, and not less after a download that was cut."""

import random
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.services import Service, unlocked
from tests.surfaces.vimeo import MIB, PASSWORD, get, gone, put, refused
from vimeo_api.core.deliveries.confirmations import ENDING_SECONDS

# A client's receive buffer, which its kernel grows as it likes (tcp_rmem): what lies in it unread counts as sent.
RECEIVE_BUFFER = 8 * MIB


@pytest.mark.parametrize("times", range(2))
def test_it_lets_exactly_one_of_many_concurrent_downloads_through(service: Service, times: int) -> None:
    content = random.randbytes(50_000)
    with ThreadPoolExecutor(20) as pool:
        for _ in range(25):
            link = put(service, content)
            barrier = threading.Barrier(20)

            def race(link: str = link, barrier: threading.Barrier = barrier) -> requests.Response:
                barrier.wait()
                return get(link)

            answers = [future.result() for future in [pool.submit(race) for _ in range(20)]]
            statuses = Counter(answer.status_code for answer in answers)
            assert statuses[200] == 1, statuses
            assert set(statuses) <= {200, 410, 423}, statuses
            assert next(a for a in answers if a.status_code == 200).content == content
            for answer in answers:
                if answer.status_code == 423:
                    assert 1 <= int(answer.headers["Retry-After"]) <= 5
            gone(link)


def test_it_tells_others_that_a_download_is_running(service: Service) -> None:
    link = put(service, bytes(15 * MIB))
    with get(link, stream=True) as running:
        assert running.status_code == 200
        refused(get(link), 423, "Locked")
        assert requests.head(link, timeout=60).status_code == 200
        assert len(running.content) == 15 * MIB
    gone(link)


def cut(link: str, taken: int) -> str:
    """Take so many bytes of a download, hang up, and return the resume token."""
    host, port = link.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(f"GET /{link.split('/', 3)[3]} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        while taken and (data := client.recv(min(taken, 65536))):
            taken -= len(data)
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
    return headers["X-Download-Grant"]


@pytest.mark.parametrize("times", range(4))
def test_it_keeps_a_file_whose_download_was_cut_at_any_byte(service: Service, times: int) -> None:
    content = random.randbytes(15 * MIB)
    link = put(service, content)
    taken = random.randrange(len(content))
    resume_token = cut(link, taken)
    answer = unlocked(link)
    if answer.status_code == 410:
        # The rest was in the client's kernel already, so the server cannot know; the token helps during the grace.
        assert len(content) - taken < RECEIVE_BUFFER
        answer = unlocked(link, headers={"X-Download-Grant": resume_token})
    assert answer.status_code == 200, taken
    assert answer.content == content
    gone(link)


@pytest.mark.parametrize("left", [0, 1, 100_000, MIB])
def test_it_lets_the_holder_of_the_grant_resume_where_the_end_was_cut(service: Service, left: int) -> None:
    content = random.randbytes(15 * MIB)
    link = put(service, content)
    taken = len(content) - left
    resume_token = cut(link, taken)
    answer = unlocked(link, headers={"X-Download-Grant": resume_token})
    assert answer.status_code == 200
    assert answer.content == content
    gone(link)


def test_it_uses_nothing_up_by_looking(service: Service) -> None:
    link = put(service, b"0123456789")
    head = requests.head(link, timeout=60)
    assert (head.status_code, head.headers["Content-Length"]) == (200, "10")
    first = get(link, headers={"Range": "bytes=0-0"})
    assert (first.status_code, first.content) == (206, b"0")
    assert first.headers["Content-Range"] == "bytes 0-0/10"
    assert unlocked(link, headers={"If-None-Match": head.headers["ETag"]}).status_code == 304
    assert unlocked(link, headers={"Range": "bytes=10-"}).status_code == 416
    assert unlocked(link).content == b"0123456789"
    gone(link)
    assert requests.head(link, timeout=60).status_code == 410


@pytest.mark.parametrize("service", ["embedded"], indirect=True)
def test_where_python_sends_a_file_it_is_gone_at_the_very_next_request(service: Service) -> None:
    for _ in range(50):
        link = put(service, b"x")
        assert get(link).content == b"x"
        begun = time.monotonic()
        status = get(link).status_code
        # For so long it waits for a download that is about to end, and longer only a machine that stands still takes.
        assert status == 410 or (status == 423 and time.monotonic() - begun >= ENDING_SECONDS)


def test_a_compressible_file_is_used_up_too(service: Service) -> None:
    link = put(service, b"<p>text</p>" * 1000, name="report.html")
    assert get(link, headers={"Accept-Encoding": "gzip"}).content == b"<p>text</p>" * 1000
    gone(link)


def test_an_empty_file_is_a_file(service: Service) -> None:
    link = put(service, b"", name="empty.txt")
    assert get(link).content == b""
    gone(link)


def test_a_client_that_hangs_up_at_once_locks_nobody_out(service: Service) -> None:
    link = put(service, bytes(15 * MIB))
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall(f"GET /{link.split('/', 3)[3]} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    answer = unlocked(link)
    assert answer.status_code == 200
    assert len(answer.content) == 15 * MIB


def test_it_answers_several_ranges_by_the_whole_file(service: Service) -> None:
    link = put(service, b"0123456789")
    answer = get(link, headers={"Range": "bytes=0-1,4-5"})
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    gone(link)


def test_it_counts_ranges_under_one_grant_as_a_download_once_they_cover_the_file(service: Service) -> None:
    link = put(service, b"0123456789")
    first = get(link, headers={"Range": "bytes=6-"})
    resume_token = first.headers["X-Download-Grant"]
    middle = get(link, headers={"Range": "bytes=2-6", "X-Download-Grant": resume_token})
    assert middle.headers["X-Download-Grant"] == resume_token
    refused(get(link), 423, "Locked")
    last = get(link, headers={"Range": "bytes=0-1", "X-Download-Grant": resume_token})
    assert last.content + middle.content + first.content == b"01234566789"
    gone(link)


def test_it_does_not_add_up_the_ranges_of_different_grants(service: Service) -> None:
    link = put(service, b"0123456789")
    assert get(link, headers={"Range": "bytes=0-4"}).content == b"01234"
    assert unlocked(link, headers={"Range": "bytes=5-9"}).content == b"56789"
    assert unlocked(link).content == b"0123456789"


def test_it_lets_only_the_holder_resume_during_the_grace_period(service: Service) -> None:
    link = put(service, b"0123456789", password=PASSWORD)
    resume_token = get(link, params={"password": PASSWORD}).headers["X-Download-Grant"]
    gone(link, params={"password": PASSWORD}, headers={"X-Download-Grant": "0" * 32})
    refused(get(link, headers={"X-Download-Grant": resume_token}), 401, "Unauthorized")
    again = get(link, params={"password": PASSWORD}, headers={"X-Download-Grant": resume_token, "Range": "bytes=5-"})
    assert (again.status_code, again.content) == (206, b"56789")


@pytest.mark.parametrize("service", ["production"], indirect=True)
def test_it_gives_a_lease_back_that_nobody_reports_on(service: Service) -> None:
    link = put(service, bytes(15 * MIB))
    with get(link, stream=True):
        refused(get(link), 423, "Locked")
        # The connection stays open and unread, so nothing is reported until the lease of 8 s is over.
        answer = unlocked(link)
    assert len(answer.content) == 15 * MIB
