"""The surface `vimeo` gives each file out once: to one of many clients, in full, and again after a cut download."""

import fcntl
import random
import socket
import struct
import subprocess
import termios
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.services import Service, await_, unlocked
from tests.surfaces.vimeo import MIB, PASSWORD, get, gone, put, refused
from vimeo_api.core.deliveries.endings import ENDING_SECONDS

# A client's receive buffer, which its kernel grows as it likes (tcp_rmem): what lies in it unread counts as sent.
RECEIVE_BUFFER = 8 * MIB
BUDGET = 5  # VIMEO_BUDGET by default


def test_it_lets_exactly_one_of_many_concurrent_downloads_through(service: Service) -> None:
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


def test_a_file_for_several_downloads_is_downloaded_exactly_that_often(service: Service) -> None:
    content, clients = random.randbytes(50_000), 50
    with ThreadPoolExecutor(clients) as pool:
        for downloads in (2, 5):
            link = put(service, content, downloads=str(downloads))
            barrier = threading.Barrier(clients)

            def try_until_it_ends(link: str = link, barrier: threading.Barrier = barrier) -> requests.Response:
                barrier.wait()
                return unlocked(link)

            answers = [future.result() for future in [pool.submit(try_until_it_ends) for _ in range(clients)]]
            statuses = Counter(answer.status_code for answer in answers)
            assert statuses == {200: downloads, 410: clients - downloads}
            assert {answer.content for answer in answers if answer.status_code == 200} == {content}
            gone(link)


def test_several_download_it_at_once_and_an_interrupted_one_gives_its_slot_back(service: Service) -> None:
    content = bytes(15 * MIB)
    link = put(service, content, downloads="2")
    with get(link, stream=True) as first, get(link, stream=True) as second:
        assert (first.status_code, second.status_code) == (200, 200)
        refused(get(link), 423, "Locked")
        assert len(second.content) == len(content)
        next(first.iter_content(1))
    assert unlocked(link).content == content  # in the place of the first one, which hung up
    gone(link)


def test_other_clients_are_told_that_a_download_is_running(service: Service) -> None:
    link = put(service, bytes(15 * MIB))
    with get(link, stream=True) as running:
        assert running.status_code == 200
        refused(get(link), 423, "Locked")
        assert requests.head(link, timeout=60).status_code == 200
        assert len(running.content) == 15 * MIB
    gone(link)


def cut(link: str, taken: int) -> str:
    """Read a number of bytes of a download, hang up, and return the resume token."""
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
def test_the_holder_of_the_resume_token_may_resume_an_interrupted_download(service: Service, left: int) -> None:
    content = random.randbytes(15 * MIB)
    link = put(service, content)
    taken = len(content) - left
    resume_token = cut(link, taken)
    answer = unlocked(link, headers={"X-Download-Grant": resume_token})
    assert answer.status_code == 200
    assert answer.content == content
    gone(link)


def test_a_head_a_short_range_and_refusals_use_nothing_up(service: Service) -> None:
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
        # It waits this long for a download that is about to end; only a stalled machine takes longer.
        assert status == 410 or (status == 423 and time.monotonic() - begun >= ENDING_SECONDS)


def test_a_compressible_file_is_used_up_too(service: Service) -> None:
    link = put(service, b"<p>text</p>" * 1000, name="report.html")
    assert get(link, headers={"Accept-Encoding": "gzip"}).content == b"<p>text</p>" * 1000
    gone(link)


def test_an_empty_file_is_a_file(service: Service) -> None:
    link = put(service, b"", name="empty.txt")
    assert get(link).content == b""
    gone(link)


def test_a_client_that_disconnects_at_once_locks_nobody_out(service: Service) -> None:
    link = put(service, bytes(15 * MIB))
    for _ in range(4):  # the fifth time is the last that its bytes may leave
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall(f"GET /{link.split('/', 3)[3]} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    answer = unlocked(link)
    assert answer.status_code == 200
    assert len(answer.content) == 15 * MIB


def test_several_ranges_get_the_whole_file(service: Service) -> None:
    link = put(service, b"0123456789")
    answer = get(link, headers={"Range": "bytes=0-1,4-5"})
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    gone(link)


def test_ranges_under_one_resume_token_use_up_the_file_once_they_cover_it(service: Service) -> None:
    link = put(service, b"0123456789")
    first = get(link, headers={"Range": "bytes=6-"})
    resume_token = first.headers["X-Download-Grant"]
    middle = get(link, headers={"Range": "bytes=2-6", "X-Download-Grant": resume_token})
    assert middle.headers["X-Download-Grant"] == resume_token
    refused(get(link), 423, "Locked")
    last = get(link, headers={"Range": "bytes=0-1", "X-Download-Grant": resume_token})
    assert last.content + middle.content + first.content == b"01234566789"
    gone(link)


def test_ranges_under_different_resume_tokens_add_up(service: Service) -> None:
    link = put(service, b"0123456789")
    assert get(link, headers={"Range": "bytes=0-4"}).content == b"01234"
    etag = requests.head(link, timeout=60).headers["ETag"]
    assert unlocked(link, headers={"Range": "bytes=5-9", "If-Range": etag}).content == b"56789"
    gone(link)


@pytest.mark.parametrize(
    "command",
    ["curl -sSf --retry 9 --retry-all-errors -C - -o", "wget -q --retry-on-http-error=423 --waitretry=1 -c -O"],
    ids=["curl", "wget"],
)
def test_it_is_used_up_by_a_client_that_resumes(service: Service, command: str, tmp_path: Path) -> None:
    content = random.randbytes(100_000)
    link, file = put(service, content), tmp_path / "file"
    file.write_bytes(get(link, headers={"Range": "bytes=0-49999"}).content)
    subprocess.run([*command.split(), file, link], check=True, timeout=60)
    assert file.read_bytes() == content
    gone(link)


def test_no_byte_is_sent_more_often_than_the_budget_allows(service: Service) -> None:
    link = put(service, b"0123456789")
    for _ in range(5):
        assert unlocked(link, headers={"Range": "bytes=0-8"}).content == b"012345678"
    for asked in ({}, {"Range": "bytes=0-8"}, {"Range": "bytes=8-9"}):
        over = unlocked(link, headers=asked)
        refused(over, 410, "Gone")
        assert "no-store" in over.headers["Cache-Control"]
    assert get(link, headers={"Range": "bytes=9-9"}).content == b"9"
    gone(link, headers={"Range": "bytes=9-9"})


def test_interrupted_downloads_spend_the_budget(service: Service) -> None:
    link = put(service, random.randbytes(15 * MIB))
    for _ in range(5):
        unlocked(link, stream=True).close()
    refused(unlocked(link), 410, "Gone")
    assert unlocked(link, headers={"Range": f"bytes={15 * MIB - 1}-"}).status_code == 206  # no download got that far
    refused(unlocked(link), 410, "Gone")


def test_the_digest_is_sent_only_with_the_whole_file(service: Service) -> None:
    link = put(service, b"1234")
    answers = [requests.head(link, timeout=60)]
    for asked, status in (
        ({"Range": "bytes=0-0"}, 206),
        ({"Range": "bytes=0-3", "If-Range": '"x"'}, 200),
        ({"Range": "bytes=4-"}, 416),
        ({"If-None-Match": "*"}, 304),
        ({"If-Match": '"x"'}, 412),
    ):
        answers.append(unlocked(link, headers=asked))
        assert answers[-1].status_code == status
        if status == 200:
            link = put(service, b"1234")
    assert [answer for answer in answers if "Repr-Digest" in answer.headers] == []
    assert "Repr-Digest" in unlocked(link).headers


def test_a_refused_condition_or_range_spends_nothing(service: Service) -> None:
    link = put(service, b"1234")
    etag = requests.head(link, timeout=60).headers["ETag"]
    for _ in range(6):
        for asked, status in (({"Range": "bytes=4-"}, 416), ({"If-None-Match": etag}, 304), ({"If-Match": '"x"'}, 412)):
            assert get(link, headers=asked).status_code == status
    assert get(link).content == b"1234"


def test_concurrent_requests_under_one_resume_token_are_never_locked_out(service: Service) -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            link = put(service, b"01234567")
            grant = {"X-Download-Grant": get(link, headers={"Range": "bytes=0-0"}).headers["X-Download-Grant"]}

            def part(at: int, link: str = link, grant: dict[str, str] = grant) -> bytes:
                answer = get(link, headers={"Range": f"bytes={at}-{at}", **grant})
                assert answer.status_code == 206, answer.text
                return answer.content

            assert b"".join(pool.map(part, range(8))) == b"01234567"
            gone(link)


def test_what_was_sent_as_often_as_the_budget_allows_is_gone_and_the_rest_can_be_fetched(
    service: Service, tmp_path: Path
) -> None:
    content = random.randbytes(15 * MIB)
    link, file = put(service, content), tmp_path / "file"
    for _ in range(BUDGET):
        unlocked(link, stream=True).close()
    refused(unlocked(link), 410, "Gone")
    for _ in range(BUDGET):
        last = unlocked(link, headers={"Range": "bytes=-1000"})
        assert (last.status_code, last.content) == (206, content[-1000:])
    refused(unlocked(link, headers={"Range": "bytes=-1"}), 410, "Gone")
    link = put(service, content)
    for _ in range(BUDGET):
        file.write_bytes(unlocked(link, headers={"Range": "bytes=0-999"}).content)
    await_(lambda: requests.get(link, headers={"Range": "bytes=0-0"}, timeout=60).status_code == 410)
    subprocess.run(["curl", "-sS", "-C", "-", "-o", file, link], check=True, timeout=60)
    assert file.read_bytes() == content
    gone(link)


def test_it_lets_only_the_holder_resume_during_the_grace_period(service: Service) -> None:
    link = put(service, b"0123456789", password=PASSWORD)
    resume_token = get(link, params={"password": PASSWORD}).headers["X-Download-Grant"]
    gone(link, params={"password": PASSWORD}, headers={"X-Download-Grant": "0" * 32})
    refused(get(link, headers={"X-Download-Grant": resume_token}), 401, "Unauthorized")
    again = get(link, params={"password": PASSWORD}, headers={"X-Download-Grant": resume_token, "Range": "bytes=5-"})
    assert (again.status_code, again.content) == (206, b"56789")


@pytest.mark.parametrize("service", ["production"], indirect=True)
def test_a_lease_without_a_report_is_given_back(service: Service) -> None:
    link = put(service, bytes(15 * MIB))
    with get(link, stream=True):
        refused(get(link), 423, "Locked")
        # The connection stays open and unread, so nothing is reported until the lease of 8 s is over.
        answer = unlocked(link)
    assert len(answer.content) == 15 * MIB


def test_a_client_that_reads_nothing_uses_up_only_what_its_kernel_holds(service: Service) -> None:
    link = put(service, random.randbytes(600_000))
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.settimeout(60)
        client.connect(("127.0.0.1", service.port))
        client.sendall(f"GET {link.removeprefix(service.url)} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        # The service has begun, and writes until the kernels' buffers are full.
        assert client.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
        while unread(client) < unread(client):
            pass
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, socket(7)
    assert unlocked(link).status_code == 200


def unread(client: socket.socket) -> int:
    """Return how many bytes a client's kernel has received and it has not read (FIONREAD), tcp(7)."""
    time.sleep(0.2)  # there is no event for a sender that has to stop
    return int(struct.unpack("i", fcntl.ioctl(client, termios.FIONREAD, b"\0" * 4))[0])
