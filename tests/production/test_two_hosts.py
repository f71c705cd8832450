"""Two hosts with one database, Redis and store: what a client sees of one holds on the other at once."""

import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import psycopg
import pytest
import requests

from tests.production.parts import frozen, supervisor
from tests.services import Service, await_, other_filesystem, running, unlocked, used_up

MIB = 1024**2
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture(scope="module")
def other(stack: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One more host of the stack, whose spool is on another filesystem than the store."""
    with other_filesystem() as folder:
        data = tmp_path_factory.mktemp("other") / "data"
        settings = {"HOST_NAME": "other", "SERVICES_OF": str(stack.data), "SPOOL_DIR": str(folder / "incoming")}
        with running("production", data, **settings) as service:
            await_(lambda: "other" in hosts(stack))
            yield service
        query(stack, "DELETE FROM hosts WHERE name = 'other' RETURNING name")


@pytest.fixture
def unplaced(other: Service) -> Iterator[Service]:
    """The other host, while it places nothing."""
    with frozen(other, "placer"):
        yield other


def query(stack: Service, statement: str) -> list[str]:
    with psycopg.connect(host=str(stack.data / "run"), user="vimeo_api", dbname="vimeo_api", autocommit=True) as server:
        return [str(row[0]) for row in server.execute(statement.encode()).fetchall()]


def hosts(stack: Service) -> list[str]:
    return query(stack, "SELECT name FROM hosts WHERE address IS NOT NULL")


def stream(service: Service, content: bytes = b"content") -> str:
    """Return the path of a new stream."""
    answer = requests.post(f"{service.url}/v1/streams", data=content, timeout=60)
    return f"/v1/streams/{answer.json()['id']}"


def link(service: Service, content: bytes) -> str:
    """Return the path of a new one-time file."""
    url: str = requests.put(service.vimeo, files={"file": ("a.bin", content)}, timeout=60).json()["url"]
    return url.removeprefix(service.url)


def get(service: Service, path: str, **headers: str) -> requests.Response:
    return requests.get(service.url + path, headers=headers, timeout=60)


def test_a_file_is_sent_from_its_host_until_it_is_placed(stack: Service, unplaced: Service) -> None:
    content = random.randbytes(3 * MIB)
    path = stream(unplaced, content)
    assert query(stack, "SELECT host FROM files WHERE pending AND status <> 'gone'") == ["other"]
    whole, there = get(stack, path), get(unplaced, path)
    assert whole.content == content
    assert [whole.headers[name] for name in ("ETag", "Last-Modified", "Content-Type", "Content-Security-Policy")] == [
        there.headers[name] for name in ("ETag", "Last-Modified", "Content-Type", "Content-Security-Policy")
    ]
    piece = get(stack, path, Range="bytes=1000-1999")
    assert (piece.status_code, piece.content) == (206, content[1000:2000])
    assert get(stack, path, **{"If-None-Match": whole.headers["ETag"]}).status_code == 304
    head = requests.head(stack.url + path, timeout=60)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(content)))
    assert requests.delete(stack.url + path, timeout=60).status_code == 200
    assert {get(each, path).status_code for each in (stack, unplaced)} == {404}


def test_one_of_twenty_clients_of_both_hosts_gets_a_file(stack: Service, unplaced: Service) -> None:
    content = random.randbytes(MIB)
    for _ in range(2):
        path = link(unplaced, content)
        with ThreadPoolExecutor(20) as clients:
            answers = list(clients.map(get, [stack, unplaced] * 10, [path] * 20))
        assert [answer.content for answer in answers if answer.ok] == [content]
        assert {answer.status_code for answer in answers if not answer.ok} <= {410, 423}
        assert all(used_up(each.url + path) for each in (stack, unplaced))


@pytest.mark.parametrize("by", ["stack", "other"])
def test_what_one_host_deletes_is_gone_on_the_other_at_once(stack: Service, other: Service, by: str) -> None:
    path = stream(other)
    await_(lambda: query(stack, "SELECT count(*) FROM files WHERE pending AND status <> 'gone'") == ["0"])
    for _ in range(4):  # so that both nginx cache the response
        assert {get(each, path).content for each in (stack, other)} == {b"content"}
    assert requests.delete({"stack": stack, "other": other}[by].url + path, timeout=60).status_code == 200
    assert {get(each, path).status_code for each in (stack, other)} == {404}


def test_an_upload_resumes_through_the_other_host(stack: Service, other: Service) -> None:
    content = random.randbytes(8 * MIB)
    headers = TUS | {"Upload-Length": str(len(content))}
    begun = requests.post(f"{other.url}/uploads/streams", headers=headers, timeout=60)
    path = begun.headers["Location"].removeprefix(other.url)
    first = content[: 2 * MIB]
    answer = requests.patch(stack.url + path, first, headers=PIECE | {"Upload-Offset": "0"}, timeout=60)
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(2 * MIB))
    break_off(stack, path, content[2 * MIB : 5 * MIB], at=2 * MIB, of=6 * MIB)
    offset = await_(lambda: offset_beyond(stack, path, 2 * MIB))
    rest = requests.patch(
        stack.url + path, content[offset:], headers=PIECE | {"Upload-Offset": str(offset)}, timeout=60
    )
    assert rest.status_code == 204
    key = get(stack, path, **TUS).json()["id"]
    assert get(stack, f"/v1/streams/{key}").content == content


def test_parts_that_come_with_their_creation_through_two_hosts_are_joined(stack: Service, other: Service) -> None:
    pieces, urls = [random.randbytes(MIB) for _ in range(3)], []
    for service, piece in zip((stack, other, stack), pieces, strict=True):
        headers = PIECE | {"Upload-Concat": "partial", "Upload-Length": str(MIB)}
        begun = requests.post(f"{service.url}/uploads/streams", piece, headers=headers, timeout=60)
        assert (begun.status_code, begun.headers["Upload-Offset"]) == (201, str(MIB))
        urls.append(begun.headers["Location"])
        assert urls[-1].startswith(service.url)
    final = TUS | {"Upload-Concat": f"final;{' '.join(urls)}"}
    begun = requests.post(f"{other.url}/uploads/streams", headers=final, timeout=60)
    assert begun.status_code == 201
    path = begun.headers["Location"].removeprefix(other.url)
    await_(lambda: get(stack, path).status_code == 201)
    assert get(stack, f"/v1/streams/{get(stack, path).json()['id']}").content == b"".join(pieces)


def break_off(service: Service, path: str, body: bytes, *, at: int, of: int) -> None:
    """Append a body of `of` bytes, and close the connection after the given ones."""
    head = f"PATCH {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {of}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in (PIECE | {"Upload-Offset": str(at)}).items())
    with socket.create_connection(("127.0.0.1", service.port)) as client, suppress(OSError):
        client.sendall(f"{head}\r\n".encode() + body)


def offset_beyond(service: Service, path: str, start: int) -> int:
    """Return how far an upload is, 0 if not beyond the start."""
    offset = int(requests.head(service.url + path, headers=TUS, timeout=60).headers["Upload-Offset"])
    return offset if offset > start else 0


def test_only_hosts_with_the_key_get_pending_files(stack: Service, unplaced: Service) -> None:
    stream_id = stream(unplaced).rpartition("/")[2]
    blob = query(stack, f"SELECT blob FROM files WHERE key = '{stream_id}'")[0]
    path = f"/_peer/landing/streams/{blob[:2]}/{blob}"
    key = (unplaced.data / "etc/nginx/vimeo_api/peer_key.conf").read_text().split('"')[1]
    assert get(unplaced, path, **{"X-Spool-Key": key}).content == b"content"
    assert {get(unplaced, path, **headers).status_code for headers in ({}, {"X-Spool-Key": key[::-1]})} == {404}


@contextmanager
def without_nginx(service: Service) -> Iterator[None]:
    """Stop the nginx of a host for the length of the block."""
    assert supervisor(service).stopProcess("stack:nginx")
    yield
    assert supervisor(service).startProcess("stack:nginx")
    await_(lambda: listens(service.port))


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_host_that_is_away_is_503_and_uses_nothing_up(stack: Service, unplaced: Service) -> None:
    path, once = stream(unplaced), link(unplaced, b"content")
    begun = requests.post(f"{unplaced.url}/uploads/streams", headers=TUS | {"Upload-Length": "9"}, timeout=60)
    upload = begun.headers["Location"].removeprefix(unplaced.url)
    with without_nginx(unplaced):
        answers = [get(stack, each, **TUS) for each in (path, once, upload)]
        answers.append(requests.patch(stack.url + upload, b"a", headers=PIECE | {"Upload-Offset": "0"}, timeout=60))
        assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [(503, "2")] * 4
        assert answers[1].json()["error"] == "Service Unavailable"
    assert get(stack, path).content == b"content"
    assert unlocked(stack.url + once).content == b"content"
