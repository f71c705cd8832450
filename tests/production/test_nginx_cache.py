"""nginx's caches: hot files without the service, exact after every change, nothing private."""

import json
import os
import random
import resource
import socket
import uuid
from collections import Counter
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.production.parts import children, frozen, pid_of, unreachable
from tests.services import Service, await_, used_up

CONTENT = b"content of a file that anyone may read\n" * 100


def upload(service: Service, surface: str, content: bytes) -> str:
    """Store content under a surface, and return where to read it."""
    if surface == "streams":
        key = requests.post(f"{service.url}/v1/streams", data=content, timeout=60).json()["id"]
        return f"{service.url}/v1/streams/{key}"
    if surface == "store":
        return f"{service.url}/?file_hash={requests.post(service.url, data=content, timeout=60).text}"
    if surface == "named":
        name = f"{uuid.uuid4()}.txt"
        requests.post(f"{service.url}/upload/{name}", data=content, timeout=60)
        return f"{service.url}/download/{name}"
    file_id = requests.post(f"{service.url}/uploadFile", files={"file": ("отчёт.xls", content)}, timeout=60).json()
    return f"{service.url}/downloadFile?file_id={file_id['file_id']}"


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()}, timeout=60)


def kept(service: Service) -> bytes:
    """Return all cache files of nginx."""
    folders = [service.data / "run/nginx" / name for name in ("files", "refusals", "once")]
    paths = [Path(at) / name for folder in folders for at, _, names in os.walk(folder) for name in names]
    return b"\n".join(path.read_bytes() for path in paths)


PUBLIC = ["streams", "store", "named", "transfer"]


@pytest.mark.parametrize("surface", PUBLIC)
def test_a_cached_file_is_sent_without_the_service(stack: Service, surface: str) -> None:
    url = upload(stack, surface, CONTENT + surface.encode())
    # Until the digest is known answers are kept for seconds only.
    await_(lambda: "Repr-Digest" in get(url, Cookie="a=b").headers)
    straight = get(url, Cookie="a=b")
    for _ in range(2):
        get(url)
    with unreachable(stack):
        hot = get(url)
        assert hot.content == CONTENT + surface.encode()
        assert get(url, Range="bytes=3-5").content == CONTENT[3:6]
        assert get(url, If_None_Match=hot.headers["ETag"]).status_code == 304
        assert requests.head(url, timeout=60).headers["Content-Length"] == hot.headers["Content-Length"]
        assert get(url, Cookie="a=b").status_code == 503

    own = {"Date", "X-Request-Id"}
    headers = [{k: v for k, v in answer.headers.items() if k not in own} for answer in (straight, hot)]
    assert headers[0] == headers[1]
    assert not [name for name in hot.headers if name.startswith(("X-Accel", "X-File"))]
    ids = [answer.headers["X-Request-Id"] for answer in (straight, hot)]

    def logged() -> list[str]:
        lines = (stack.data / "log/access.log").read_text().splitlines()
        return [line["file"] for line in map(json.loads, lines) if line["request_id"] in ids]

    files = await_(lambda: len(logged()) == 2 and logged()) or []
    assert files[0].isdigit()
    assert files[0] == files[1]


@pytest.mark.parametrize("surface", PUBLIC)
def test_a_deleted_file_is_gone_at_the_next_request(stack: Service, surface: str) -> None:
    for _ in range(20):
        url = upload(stack, surface, random.randbytes(100))
        for _ in range(3):
            assert get(url).status_code == 200
        assert requests.delete(url, timeout=60).status_code == 200
        missing = [get(url) for _ in range(3)]
        kind = "text/plain; charset=utf-8" if surface in {"streams", "store"} else "application/json"
        assert {(answer.status_code, answer.headers["Content-Type"]) for answer in missing} == {(404, kind)}
        assert len({answer.text for answer in missing}) == 1
        seen = [{k: v for k, v in answer.headers.items() if k not in {"Date", "X-Request-Id"}} for answer in missing]
        assert seen[0] == seen[2]  # nothing of the response that nginx had cached


@pytest.mark.parametrize("surface", ["streams", "transfer"])
def test_a_file_whose_bytes_are_missing_is_unknown_in_the_dialect_of_its_surface(stack: Service, surface: str) -> None:
    before = stack.stored()
    url = upload(stack, surface, random.randbytes(100))
    assert [get(url).status_code for _ in range(3)] == [200] * 3
    (path,) = stack.stored() - before
    path.unlink()
    told = [get(url) for _ in range(3)]
    if surface == "transfer":
        asked, _, file_id = url.partition("?file_id=")
        told += [requests.post(asked, json={"file_id": file_id}, timeout=60) for _ in range(2)]
    kind = "application/json" if surface == "transfer" else "text/plain; charset=utf-8"
    assert {(answer.status_code, answer.headers["Content-Type"]) for answer in told} == {(404, kind)}


def test_asking_for_what_is_gone_leaves_nothing_on_the_disk(stack: Service) -> None:
    url = upload(stack, "streams", random.randbytes(100))
    assert [get(url).status_code for _ in range(3)] == [200] * 3
    assert requests.delete(url, timeout=60).ok
    before = abandoned(stack)
    assert {requests.head(url, timeout=60).status_code for _ in range(20)} == {404}
    assert abandoned(stack) == before


def abandoned(service: Service) -> set[Path]:
    """Return the temporary files in the folders of what nginx keeps."""
    return {path for path in (service.data / "run/nginx").rglob("*.*") if path.suffix[1:].isdigit()}


def test_a_query_that_may_hold_a_secret_is_no_key_even_where_bytes_are_missing(stack: Service) -> None:
    secret = uuid.uuid4().hex
    form = {"files": {"file": ("a.xls", CONTENT)}, "data": {"password": secret}, "timeout": 60}
    before = stack.stored()
    link = requests.put(stack.vimeo, **form).json()["url"]  # type: ignore[arg-type]
    (path,) = stack.stored() - before
    path.unlink()
    for _ in range(4):
        assert requests.head(link, params={"password": secret}, timeout=60).status_code == 404
        assert get(f"{upload(stack, 'streams', CONTENT)}?k={secret}").status_code == 200
    assert secret.encode() not in kept(stack)


def test_content_that_was_deleted_can_be_read_once_it_is_stored_again(stack: Service) -> None:
    content = random.randbytes(1000)
    for _ in range(5):
        url = upload(stack, "store", content)
        assert [get(url).content for _ in range(3)] == [content] * 3
        requests.delete(url, timeout=60)
        assert [get(url).status_code for _ in range(3)] == [404] * 3


@pytest.mark.parametrize("surface", ["store", "named"])
def test_a_file_is_there_as_soon_as_it_is_made_however_hot_its_absence_was(stack: Service, surface: str) -> None:
    for number in range(10):
        content = b"%d" % random.getrandbits(64)
        if surface == "named":
            url = f"{stack.url}/download/{number}-{uuid.uuid4()}.txt"
        else:
            url = upload(stack, "store", content)
            requests.delete(url, timeout=60)
        assert [get(url).status_code for _ in range(5)] == [404] * 5
        made = url.replace("/download/", "/upload/") if surface == "named" else stack.url
        assert requests.post(made, data=content, timeout=60).ok
        assert get(url).content == content


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/streams/0f8fad5b-d9cb-469f-a165-70867728950e", 404),
        ("/vimeo/api/v1.0/file/0f8fad5bd9cb469fa16570867728950e", 404),
        ("/vimeo/api/v1.0/file", 405),
        ("/downloadFile?file_id=1:abc", 404),
    ],
)
def test_a_hot_refusal_is_kept_for_a_moment_and_stays_the_same(stack: Service, path: str, status: int) -> None:
    url = stack.url + path
    straight = get(url, Cookie="a=b") if "vimeo" not in path else get(f"{url}?a")
    assert straight.status_code == status

    def same(answer: requests.Response) -> bool:
        parts = [(a.status_code, a.text, a.headers.get("Allow"), a.headers["Content-Type"]) for a in (straight, answer)]
        return parts[0] == parts[1]

    assert same(get(url))
    assert same(get(url))

    with unreachable(stack):
        # Cached a second ago at most, or asked again, which cannot be answered now.
        await_(lambda: get(url).status_code == 503)
    await_(lambda: same(get(url)))


def test_one_time_files_and_credentials_are_never_cached(stack: Service) -> None:
    secret = uuid.uuid4().hex
    link = requests.put(stack.vimeo, files={"file": ("a.xls", CONTENT)}, data={"password": secret}, timeout=60).json()[
        "url"
    ]
    for _ in range(4):
        assert get(link).status_code == 401
        assert get(f"{link}?password=x{secret}").status_code == 401
        assert requests.get(link, auth=("", f"x{secret}"), timeout=60).status_code == 401
        assert get(link, X_File_Password=f"x{secret}").status_code == 401
        assert requests.head(f"{link}?password={secret}", timeout=60).status_code == 200
    assert get(f"{link}?password={secret}").content == CONTENT
    assert used_up(f"{link}?password={secret}")
    assert [get(f"{link}?password={secret}").status_code for _ in range(4)] == [410] * 4
    assert link.rpartition("/")[2].encode() not in kept(stack)
    assert secret.encode() not in kept(stack)
    assert CONTENT[:40] not in kept(stack)
    assert [get(link).status_code for _ in range(4)] == [410] * 4


def test_a_thousand_clients_at_once_are_answered(stack: Service) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    url = upload(stack, "streams", CONTENT)
    await_(lambda: "Repr-Digest" in get(url, Cookie="a=b").headers)
    assert all(get(url).ok for _ in range(3))
    request = f"GET {urlsplit(url).path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()
    with ExitStack() as clients:
        connect = partial(socket.create_connection, ("127.0.0.1", stack.port), timeout=60)
        connections = [clients.enter_context(connect()) for _ in range(1000)]
        with frozen(stack, "nginx"):
            for connection in connections:
                connection.sendall(request)
        answers = [connection.makefile("rb").read() for connection in connections]
    assert Counter(answer.split(b" ", 2)[1] for answer in answers) == {b"200": 1000}
    assert all(answer.endswith(CONTENT) for answer in answers)


def test_nobody_outside_can_turn_the_cache_off_or_poison_it(stack: Service) -> None:
    url = upload(stack, "streams", CONTENT)
    await_(lambda: "Repr-Digest" in get(url, Cookie="a=b").headers)
    for _ in range(3):
        for host in ("evil.example", f"127.0.0.1:{stack.port}"):
            assert get(url, X_Fresh="1", X_Forwarded_Proto="gopher", X_Real_IP="1", Host=host).ok
    with unreachable(stack):
        assert get(url, X_Fresh="1").content == CONTENT
    poisoned = f"{stack.url}/v1/streams/{uuid.uuid4()}"
    assert requests.post(poisoned, data=b"x", timeout=60).status_code == 405
    assert [get(poisoned).status_code for _ in range(3)] == [404] * 3
    for path in (
        "/_inner",
        "/_any/store/x",
        "/_any/small/x",
        "/_any/landing/x",
        "/_once/store/x",
        "/_once/landing/x",
    ):
        assert get(stack.url + path).status_code == 404


def held(service: Service) -> list[str]:
    """Return the deleted files of store and spool that nginx still has open, proc(5)."""
    workers = children(pid_of(service, "nginx"))
    found = []
    for descriptor in (path for pid in workers for path in Path(f"/proc/{pid}/fd").iterdir()):
        with suppress(FileNotFoundError):
            found.append(str(descriptor.readlink()))
    folders = (str(service.data / "store"), str(service.spool))
    return [name for name in found if name.startswith(folders) and name.endswith(" (deleted)")]


def test_nginx_holds_no_deleted_file_open(stack: Service) -> None:
    urls = [upload(stack, "streams", random.randbytes(size)) for size in (4096, 300_000)]
    for url in urls * 3:
        assert get(url).ok
    for url in urls:
        assert requests.delete(url, timeout=60).ok
        assert get(url).status_code == 404
    await_(lambda: not held(stack), 10)
