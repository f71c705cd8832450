"""Every place where a client can put a secret, filled with marks that the tests search for."""

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests
from redis import Redis

from tests.origin import Origin, Page
from tests.services import Service

MIB = 1024**2
LINK = "/vimeo/api/v1.0/file/x"
PATHS = (
    "/",
    f"/?file_hash={'0' * 64}",
    "/upload",
    "/upload/a.exe",
    "/download",
    "/download/none.txt",
    "/uploadFile",
    "/downloadFile?file_id=1:x",
    "/v1/queues/q/first",
    "/docs",
    "/healthz",
    "/metrics",
    "/nothing",
    "/static/none",
    "/_inner",
)
KEPT = requests.Session()  # hundreds of requests over few connections


class Marks:
    """Secrets that can be found again; each says where it was put."""

    def __init__(self) -> None:
        """Begin with none."""
        self._made: list[str] = []

    def __call__(self, place: str) -> str:
        """Make one."""
        self._made.append(f"sesame-{place}-{uuid4().hex}")
        return self._made[-1]

    def note(self, secret: str) -> None:
        """Also look for a secret that the service has made."""
        self._made.append(secret)

    def found(self, texts: Mapping[str, bytes]) -> dict[str, set[str]]:
        """Return which marks were found where."""
        places = {where: {mark for mark in self._made if mark.encode() in text} for where, text in texts.items()}
        return {where: marks for where, marks in places.items() if marks}


def tell_everything(service: Service, marks: Marks, origin: Origin) -> None:
    """Send secrets to the service in every way and place."""
    tell_requests(service, marks)
    for path in (LINK, f"/v1/streams/{uuid4()}", *PATHS):
        tell_path(service, marks, path)
    tell_bodies(service, marks)
    tell_fetches(service, marks, origin)
    tell_lines(service, marks)


def tell(method: str, url: str, **parts: object) -> requests.Response | None:
    """Ask; the service may close the connection."""
    with contextlib.suppress(requests.RequestException):
        return KEPT.request(method, url, timeout=60, allow_redirects=False, **parts)  # type: ignore[arg-type]
    return None


def tell_requests(service: Service, marks: Marks) -> None:
    """Put a file behind a password, get it by a wrong one and by the right one; read a stream with a token."""
    secret = marks("password")
    made = tell("PUT", service.vimeo, files={"file": ("a.txt", b"content")}, data={"password": secret})
    link = made.json()["url"] if made is not None and made.ok else service.url + LINK
    for _ in range(3):
        tell("GET", link, params={"password": marks("wrong")})
    answer = tell("GET", link, params={"password": secret})
    if answer is not None and "X-Download-Grant" in answer.headers:
        marks.note(answer.headers["X-Download-Grant"])
    tell("GET", link, params={"password": secret})

    stream = tell("POST", f"{service.url}/v1/streams", data=b"x")
    key = stream.json()["id"] if stream is not None and stream.ok else str(uuid4())
    for query in (None, {"token": marks("token")}):
        for _ in range(3):
            tell("GET", f"{service.url}/v1/streams/{key}", params=query)


def tell_path(service: Service, marks: Marks, path: str) -> None:
    """Send credentials to a path in all the ways that HTTP has, three times, so that caches take it for hot."""
    query = {"password": marks("query"), "token": marks("token")}
    ways: tuple[dict[str, object], ...] = (
        {"params": query},
        {"auth": ("user", marks("basic"))},
        {"headers": {"Authorization": f"Bearer {marks('bearer')}"}},
        {"headers": {"X-File-Password": marks("header"), "X-Download-Grant": marks("resume_token")}},
        {"headers": {"Cookie": f"session={marks('cookie')}"}},
    )
    for method in ("GET", "GET", "GET", "HEAD", "DELETE", "PUT"):
        for parts in ways:
            tell(method, service.url + path, **parts)


def tell_bodies(service: Service, marks: Marks) -> None:
    """Send bodies that are refused, with secrets in them."""
    big = {"file": ("a.txt", bytes(18 * MIB))}
    tell("PUT", service.vimeo, params={"password": marks("large")}, files=big, data={"password": marks("field")})
    tell("PUT", service.vimeo, files={"file": ("a.txt", b"x")}, data={"password": marks("long") + "x" * 2000})
    tell("PUT", service.vimeo, data={"password": marks("urlencoded")})
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    broken = f'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\n{marks("broken")}\r\n--y'
    for path in ("/vimeo/api/v1.0/file", "/upload", "/uploadFile", "/"):
        for method in ("POST", "PUT"):
            tell(method, service.url + path, data=broken, headers=form)
    for path in ("/uploadFile", "/downloadFile", "/v1/streams:join"):
        half = f'{{"file": "{marks("json")}'
        tell("POST", service.url + path, data=half, headers={"Content-Type": "application/json"})
        tell("POST", service.url + path, json={"file": marks("url"), "file_id": marks("id"), "streams": [marks("key")]})


def tell_fetches(service: Service, marks: Marks, origin: Origin) -> None:
    """Request fetches of URLs whose queries are signatures, from good and bad origins, and of URLs that are refused."""
    pages = {
        "well": Page(content=b"x"),
        "lost": Page(statuses=[404] * 9),
        "short": Page(content=bytes(MIB), break_after=1000, breaks=2),
        "moved": Page(statuses=[302] * 9, location=f"http://127.0.0.1:1/?{marks('location')}"),
    }
    urls = [f"{origin.serve(f'/{name}', page)}?signature={marks(name)}" for name, page in pages.items()]
    urls += [f"http://127.0.0.1:1/?signature={marks('closed')}", f"http://no.invalid/?signature={marks('unknown')}"]
    urls += [f"http://user:{marks('userinfo')}@127.0.0.1/", f"ftp://{marks('scheme')}/", f"http://[{marks('host')}/"]
    for url in urls:
        tell("POST", f"{service.url}/uploadFile", json={"file": url, "sha256": "0" * 64})
    tell("POST", f"{service.url}/uploadFile", json={"file": urls[0], "sha256": marks("sha256")})
    for url in urls:
        data = {"notify": url, "expires_in": "1"}
        tell("PUT", service.vimeo, files={"file": ("a.txt", b"content")}, data=data)


def tell_lines(service: Service, marks: Marks) -> None:
    """Send malformed requests."""
    for line in (
        f"GET {LINK}?password={marks('spaces')} and more HTTP/1.1",
        f"GET {LINK}?password={marks('version')} HTTP/9.9",
        f"GET {LINK}?password={marks('bare')}",
        f"{marks('word')}",
        f"GET {LINK}%zz?password={marks('percent')} HTTP/1.1",
        f"GET {LINK}?password={marks('nul')}%00 HTTP/1.1",
        f"GET {LINK}?password={marks('endless')}{'x' * 70_000} HTTP/1.1",
        f"GET http://u:{marks('absolute')}@x{LINK}?password={marks('absolute')} HTTP/1.1",
        f"BREW {LINK}?password={marks('method')} HTTP/1.1",
        f"GET {LINK} HTTP/1.1\r\nAuthorization: Bearer {marks('huge')}{'x' * 70_000}",
        f"GET {LINK}?password={marks('headers')} HTTP/1.1\r\nbroken {marks('line')}",
        f"PUT {LINK}?password={marks('unfinished')} HTTP/1.1\r\nContent-Length: 5",
    ):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", service.port), timeout=10) as client:
            client.sendall(f"{line}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass


def written(*places: Path) -> dict[str, bytes]:
    """Return the content of the files below some folders."""
    paths = [Path(at) / name for place in places for at, _, names in os.walk(place) for name in names]
    texts = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # nginx forgets what it kept
            texts[str(path)] = path.read_bytes() if path.is_file() else b""
    return texts


def everything_in(service: Service, name: str) -> bytes:
    """Return all keys and values of a Redis as they are; DUMP would compress them."""
    with Redis(unix_socket_path=str(service.data / "run" / name / "redis.sock")) as redis:
        return b"\n".join(part for key in list(redis.scan_iter()) for part in (key, *_parts(redis, key)))


def _parts(redis: Redis, key: Any) -> list[Any]:
    kind = redis.type(key)
    if kind == b"string":
        return [redis.get(key) or b""]
    if kind == b"hash":
        return [part for item in redis.hgetall(key).items() for part in item]
    if kind == b"list":
        return list(redis.lrange(key, 0, -1))
    return list(redis.smembers(key) if kind == b"set" else redis.zrange(key, 0, -1))
