"""Resumable uploads by clients over real connections, which break at any byte."""

import io
import random
import socket
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.services import Service, await_
from tests.surfaces.resumable.cutting import RESET, Fate, cutting
from tests.surfaces.resumable.tus_js import BY_NODE, uploaded
from vimeo_api.web.resumable import draft, tus

DATA = random.Random(15).randbytes(3 * 1024**2)
TUS = {"Tus-Resumable": "1.0.0"}


def begin(service: Service) -> str:
    """Begin an upload and return its URL."""
    response = requests.post(
        f"{service.url}/uploads/streams", headers={**TUS, "Upload-Length": str(len(DATA))}, timeout=60
    )
    assert response.status_code == 201, response.text
    return response.headers["Location"]


def connected(service: Service, url: str, offset: int, *more: str) -> socket.socket:
    """Begin a PATCH with the rest of the upload and perhaps more headers, and return its connection."""
    size = [] if "Transfer-Encoding: chunked" in more else [f"Content-Length: {len(DATA) - offset}"]
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=60)
    head = (
        f"PATCH {url.removeprefix(service.url)} HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\nTus-Resumable: 1.0.0\r\n"
        f"Upload-Offset: {offset}\r\nContent-Type: {tus.MEDIA_TYPE}"
    )
    connection.sendall("\r\n".join([head, *size, *more, "", ""]).encode())
    return connection


def offset_of(url: str) -> int:
    response = requests.head(url, headers=TUS, timeout=60)
    assert response.status_code == 204
    return int(response.headers["Upload-Offset"])


def finished(service: Service, url: str) -> bytes:
    """Send the rest of an upload and return what the service has of the whole."""

    def rest() -> bool:
        offset = offset_of(url)
        headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": tus.MEDIA_TYPE}
        status = requests.patch(url, data=DATA[offset:], headers=headers, timeout=60).status_code
        assert status in {204, 409}  # where the service only now notices that an old connection has ended
        return status == 204

    await_(rest)
    return stored(service, url)


def stored(service: Service, url: str) -> bytes:
    """Return what the service has of a finished upload."""
    key = requests.get(url, timeout=60).json()["id"]
    return requests.get(f"{service.url}/v1/streams/{key}", timeout=60).content


@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
def test_a_connection_that_breaks_costs_few_bytes(service: Service, *, reset: bool) -> None:
    dice, url, offset, most = random.Random(reset), begin(service), 0, 0
    resent = []
    for _ in range(8):
        sent = dice.randint(1, len(DATA) // 5)
        connection = connected(service, url, offset)
        connection.sendall(DATA[offset : offset + sent])
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()
        kept, most = offset_of(url), max(most, offset + sent)
        assert offset <= kept <= most
        resent.append(offset + sent - kept)
        offset = kept
    assert sorted(resent)[len(resent) // 2] <= 512 * 1024
    assert finished(service, url) == DATA


def test_a_client_that_is_back_takes_the_place_of_its_old_connection(service: Service) -> None:
    url, spooled = begin(service), service.spooled()
    with connected(service, url, 0) as connection:
        connection.sendall(DATA[: 1024**2])
        headers = {**TUS, "Upload-Offset": "0", "Content-Type": tus.MEDIA_TYPE}
        kept = 0
        if service.profile != "embedded":
            await_(lambda: service.spooled() - spooled)  # the old request was let in, so it comes before the new one
        else:
            kept = await_(lambda: offset_of(url), 60)  # which ends the old one and keeps its bytes
            headers["Upload-Offset"] = str(kept)
        assert requests.patch(url, data=DATA[kept : kept + 5], headers=headers, timeout=60).status_code == 204
        with suppress(OSError):
            connection.sendall(DATA[1024**2 :])  # the old request ends, and has lost its place
    assert offset_of(url) == kept + 5
    assert finished(service, url) == DATA


def test_the_offset_of_a_body_is_checked_before_its_first_byte(service: Service) -> None:
    url = begin(service)
    with connected(service, url, 0) as connection:
        connection.close()
    with connected(service, url, 7) as connection:
        answer = connection.recv(65536)  # without a byte of the body
    told = answer.startswith(b"HTTP/1.1 409 ") and b"\r\nContent-Type: application/problem+json\r\n" in answer
    assert told or service.profile == "embedded"
    missing = requests.patch(
        f"{url[:-4]}0000", data=b"x", headers={**TUS, "Upload-Offset": "0", "Content-Type": tus.MEDIA_TYPE}, timeout=60
    )
    assert (missing.status_code, missing.json()) == (404, {"error": "There is no such upload."})
    assert offset_of(url) == 0


def test_what_does_not_fit_on_the_disk_is_refused_in_json(service: Service) -> None:
    headers = {**TUS, "Upload-Length": "9" * 18}
    answer = requests.post(f"{service.url}/uploads/streams", headers=headers, timeout=60)
    told = (answer.status_code, answer.json(), answer.headers["Tus-Resumable"])
    assert told == (507, {"error": "No space left on device"}, "1.0.0")


@pytest.mark.parametrize("checksum", [False, True], ids=["plain", "checksum"])
def test_tuspy_uploads(service: Service, *, checksum: bool) -> None:
    from tusclient.client import TusClient  # noqa: PLC0415 -- slow: it imports an event loop's HTTP client

    client = TusClient(f"{service.url}/uploads/named")
    name = f"by-tuspy-{checksum}.pdf"
    options = {"metadata": {"filename": name}, "chunk_size": 1_000_000, "upload_checksum": checksum}
    uploader = client.uploader(file_stream=io.BytesIO(DATA), **options)
    uploader.upload(stop_at=1_000_000)
    again = client.uploader(file_stream=io.BytesIO(DATA), url=uploader.url, **options)  # another process, later
    assert again.offset == 1_000_000
    again.upload()
    assert requests.get(f"{service.url}/download/{name}", timeout=60).content == DATA


def test_workers_join_large_parts(service: Service) -> None:
    part = DATA * 6  # two of them are more than a request joins itself
    urls = []
    for _ in range(2):
        headers = {**TUS, "Upload-Length": str(len(part)), "Upload-Concat": "partial"}
        urls.append(requests.post(f"{service.url}/uploads/streams", headers=headers, timeout=60).headers["Location"])
        headers = {**TUS, "Upload-Offset": "0", "Content-Type": tus.MEDIA_TYPE}
        assert requests.patch(urls[-1], data=part, headers=headers, timeout=60).status_code == 204
    concat = {**TUS, "Upload-Concat": f"final;{' '.join(urls)}"}
    url = requests.post(f"{service.url}/uploads/streams", headers=concat, timeout=60).headers["Location"]
    await_(lambda: "Upload-Offset" in requests.head(url, headers=TUS, timeout=60).headers)
    key = requests.get(url, timeout=60).json()["id"]
    assert requests.get(f"{service.url}/v1/streams/{key}", timeout=60).content == part * 2
    assert [requests.head(one, headers=TUS, timeout=60).status_code for one in urls] == [404, 404]
    requests.delete(f"{service.url}/v1/streams/{key}", timeout=60)


def test_an_ordinary_request_begins_an_upload_in_parts(service: Service) -> None:
    first = {"Upload-Complete": "?0", "Upload-Length": str(len(DATA))}
    begun = requests.post(f"{service.url}/v1/streams", data=DATA[:1000], headers=first, timeout=60)
    assert (begun.status_code, begun.headers["Upload-Offset"]) == (201, "1000")
    rest = {"Upload-Complete": "?1", "Upload-Offset": "1000", "Content-Type": draft.MEDIA_TYPE}
    last = requests.patch(begun.headers["Location"], data=DATA[1000:], headers=rest, timeout=60)
    assert last.json()["status"] == "created"
    assert requests.get(f"{service.url}/v1/streams/{last.json()['id']}", timeout=60).content == DATA


def test_a_chunked_body_resumes_where_it_was_interrupted(service: Service) -> None:
    url, piece = begin(service), DATA[: 1024**2]
    with connected(service, url, 0, "Transfer-Encoding: chunked", "Expect: 100-continue") as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")  # a balancer may drop what it has yet to pass on
        connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    offset = await_(lambda: offset_of(url))
    assert 0 < offset <= len(piece)
    headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": tus.MEDIA_TYPE}
    beyond = requests.patch(url, data=iter([DATA[offset:], b"x"]), headers=headers, timeout=60)
    assert (beyond.status_code, offset_of(url)) == (413, offset)
    whole = requests.patch(url, data=iter([DATA[offset : offset + 9], DATA[offset + 9 :]]), headers=headers, timeout=60)
    assert (whole.status_code, stored(service, url)) == (204, DATA)


def test_a_client_may_wait_until_its_body_is_wanted(service: Service) -> None:
    url = begin(service)
    with connected(service, url, 0, "Expect: 100-continue") as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(DATA)
        assert connection.recv(65536).startswith(b"HTTP/1.1 204 ")
    assert stored(service, url) == DATA


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(DATA)
    return path


@BY_NODE
@pytest.mark.parametrize("way", ["plain", "parallel and chunked", "deferred", "data during creation"])
def test_tus_js_client_uploads(service: Service, file: Path, way: str) -> None:
    assert stored(service, service.url + uploaded(service.url, file, way)) == DATA


@BY_NODE
@pytest.mark.parametrize("fate", [Fate.CLOSE, Fate.RESET], ids=["close", "reset"])
def test_tus_js_client_resumes_after_cuts(service: Service, file: Path, fate: Fate) -> None:
    dice = random.Random(fate.value)
    with cutting(service.port, [dice.randint(50_000, len(DATA) // 4) for _ in range(5)], fate) as proxy:
        path = uploaded(f"http://127.0.0.1:{proxy.port}", file, "plain")
        assert proxy.left == []
    assert stored(service, service.url + path) == DATA
