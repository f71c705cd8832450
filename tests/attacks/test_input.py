"""Requests that no honest client sends: each is refused with a clear message, or treated as what it is."""

import json
import secrets
from dataclasses import dataclass, field

import pytest

from tests.attacks.wire import ask
from tests.services import Service

pytestmark = pytest.mark.usefixtures("unharmed")

REFUSED = frozenset({400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 416, 431})
PUT = "/vimeo/api/v1.0/file"
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nabc'
FIELD = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n'
END = b"\r\n--b--\r\n"
UNKNOWN = "0" * 32


@dataclass(frozen=True)
class Attack:
    """One request, and the sentence that says what is wrong with it."""

    sentence: str
    method: str
    target: str
    body: bytes = b""
    fields: tuple[str, ...] = ()
    statuses: frozenset[int] = field(default=REFUSED)


def form(sentence: str, body: bytes, *statuses: int, boundary: str = "b") -> Attack:
    kind = f"Content-Type: multipart/form-data; boundary={boundary}"
    return Attack(sentence, "PUT", PUT, body, (kind,), frozenset(statuses or {400}))


def part(headers: bytes, *, end: bytes = END) -> bytes:
    return b"--b\r\n" + headers + b"\r\n\r\nabc" + end


def with_field(name: str, value: bytes) -> bytes:
    return FIELD.replace(b'"x"', f'"{name}"'.encode()).replace(b"\r\ny", b"\r\n" + value) + FILE + END


def data(sentence: str, target: str, body: bytes, *statuses: int) -> Attack:
    return Attack(sentence, "POST", target, body, ("Content-Type: application/json",), frozenset(statuses or REFUSED))


def head(sentence: str, target: str, *fields: str, statuses: frozenset[int] = REFUSED, method: str = "GET") -> Attack:
    return Attack(sentence, method, target, b"", fields, statuses)


NAMED = b"Content-Disposition: form-data; name=a"
DISPOSED = b'Content-Disposition: form-data; name="file"; filename="a.txt"'
ATTACKS = [
    form("thousands of parts", FIELD * 5000 + FILE + END),
    form("thousands of files", (FILE + b"\r\n") * 5000 + b"--b--\r\n"),
    form("a hundred thousand boundaries and nothing between them", b"--b\r\n" * 100_000),
    form("a part with ten thousand headers", part(b"X: y\r\n" * 10_000 + DISPOSED)),
    form("a header of a part that is a megabyte long", part(DISPOSED + b"; x=" + b"y" * 1024**2)),
    form("a header of a part folded a thousand times", part(DISPOSED + b";\r\n x=y" * 1000)),
    form("ten thousand parameters", part(DISPOSED + b"; a=b" * 5000), 201, 400),
    form("a quote without an end", part(b'Content-Disposition: form-data; name="file; filename=a.txt'), 201, 400),
    form("backslashes only", part(NAMED + b'; filename="' + b"\\" * 2000 + b'"'), 201, 400),
    form("a preamble of a megabyte", b"x" * 1024**2 + b"\r\n" + FILE + END),
    form("no last boundary", FILE),
    form("a last boundary that comes first", b"--b--\r\n" + FILE + END),
    form("a body of nothing but carriage returns", b"\r" * 1024**2),
    form("a file that all but ends with every byte", FILE + b"\r\n--" * 200_000 + END, 201),
    form("line feeds alone", (FILE + END).replace(b"\r\n", b"\n")),
    form("a form inside the form", part(NAMED + b"\r\nContent-Type: multipart/mixed; boundary=c")),
    form("a transfer encoding of a part", part(DISPOSED + b"\r\nContent-Transfer-Encoding: base64"), 201, 400),
    form("a length of a part that is no number", part(DISPOSED + b"\r\nContent-Length: x")),
    form("a length of a part in Arabic digits", part(DISPOSED + "\r\nContent-Length: ٣".encode())),
    form("a length of a part below nothing", part(DISPOSED + b"\r\nContent-Length: -3")),
    form("a length of a part of five thousand digits", part(DISPOSED + b"\r\nContent-Length: " + b"9" * 5000)),
    form(
        "a part in a charset that nobody knows", part(DISPOSED + b"\r\nContent-Type: text/plain; charset=klingon"), 201
    ),
    form("a name in a charset that nobody knows", part(NAMED + b"; filename*=klingon''a.txt"), 201, 400),
    form("a name in a charset that is a codec", part(NAMED + b"; filename*=zlib''a.txt"), 201, 400),
    form("a name that is half encoded", part(NAMED + b"; filename*=utf-8''%e2%28%a1%"), 201, 400),
    form(
        "a name in a thousand continuations",
        part(NAMED + b"".join(b"; filename*%d=x" % n for n in range(1000))),
        201,
        400,
    ),
    form("a boundary of nothing", FILE + END, boundary=""),
    form("a boundary of a kilobyte", FILE + END, boundary="b" * 1024),
    form("a boundary that is not ASCII", FILE + END, boundary="\N{SNOWMAN}"),
    form("a boundary in a charset", FILE + END, 201, 400, boundary="b\"; boundary*=klingon''b"),
    form("a password of a megabyte", with_field("password", b"y" * 1024**2)),
    form("a password of half characters", with_field("password", b"\xff")),
    form("a password with a NUL", with_field("password", b"\0"), 201, 400),
    form("a life longer than the calendar", with_field("expires_in", b"999999999999")),
    form("a life in Arabic digits", with_field("expires_in", "٣".encode())),
    form("a life that ends before it begins", with_field("expires_in", b"-1")),
    *(
        data(f"{sentence}, to {target}", target, body)
        for target in ("/downloadFile", "/v1/streams:join", "/uploadFile")
        for sentence, body in {
            "a hundred thousand lists in each other": b"[" * 50_000,
            "objects in each other": b'{"file_id":' * 5000,
            "a number of ten thousand digits": b'{"file_id":' + b"9" * 10_000 + b"}",
            "numbers that are none": b'{"file_id": NaN, "streams": Infinity, "file": -Infinity}',
            "half a character": rb'{"file_id": "\ud800", "streams": ["\ud800"], "file": "\ud800"}',
            "half a character in a URL": rb'{"file_id": "1:\udfff", "file": "http://a.example/\ud800"}',
            "a NUL": rb'{"file_id": "\u0000", "streams": ["\u0000"], "file": "http://a\u0000.example/"}',
            "bytes that are no UTF-8": b'{"file_id": "\xff"}',
            "UTF-16": '{"file_id": "x"}'.encode("utf-16"),
            "a list": b"[]",
            "a name twice": b'{"file_id": "x", "file_id": []}',
            "nothing": b"",
            "types mixed up": b'{"file_id": {}, "streams": {"0": 1}, "file": 3, "sha256": []}',
        }.items()
    ),
    data(
        "ten thousand streams that are not there",
        "/v1/streams:join",
        json.dumps({"streams": [f"{n:036}" for n in range(10_000)]}).encode(),
        404,
    ),
    *(
        data(f"a queue called {name}", "/v1/streams:join", json.dumps({"streams": ["x"], "queue": name}).encode(), 400)
        for name in (".", "..", "a/b")
    ),
    data("a queue with a name of half a character", "/v1/streams:join", rb'{"streams": ["x"], "queue": "\ud800"}'),
    head("an address of ten thousand characters", f"/v1/streams/{'a' * 10_000}"),
    head("thousands of slashes", "/" * 6000, statuses=frozenset({302, 404})),
    head("a thousand parameters", "/?" + "&".join(f"{n}=1" for n in range(1000)), statuses=frozenset({302, 400})),
    head("half characters", "/v1/streams/%ed%a0%80"),
    head("bytes that are no UTF-8", "/?file_hash=%ff%fe"),
    head("percent signs that encode nothing", "/?file_hash=%&file_hash=%zz"),
    head("a NUL in the query", "/?file_hash=%00"),
    head("a NUL in the path", "/v1/streams/a%00b"),
    head("a number that is no number", "/v1/queues/q/streams?limit=1e3"),
    head("a number larger than any column", "/v1/queues/q/streams?limit=99999999999999999999"),
    head("a number below nothing", "/v1/queues/q/streams?limit=-1"),
    head("Arabic digits", "/v1/queues/q/streams?limit=%D9%A3"),
    head("a page beyond all pages", f"/upload?page={'9' * 500}", statuses=frozenset({200, 400})),
    head("a page below nothing", "/upload?page=-9", statuses=frozenset({200, 400})),
    head("a queue that no URL leads to", "/v1/queues/%2e%2e/first", statuses=frozenset({400, 404})),
    head("a queue with a name of a kilobyte", f"/v1/queues/{'q' * 1024}/first"),
    head("a name of a file of four kilobytes", f"/download/{'n' * 4096}"),
    head("a search that is a pattern", "/upload?q=%25_%5c%27", statuses=frozenset({200})),
    *(
        head(sentence, f"{PUT}/{UNKNOWN}", f"Authorization: {value}", statuses=frozenset({400, 401, 404}))
        for sentence, value in {
            "Basic and nothing": "Basic",
            "Basic that is no base64": "Basic %%%%",
            "Basic without a colon": "Basic YWJj",
            "Basic of bytes that are no UTF-8": "Basic //79Ov8=",
            "a scheme that nobody knows": "Klingon x",
            "Digest, half": 'Digest username="x',
            "a scheme of nothing": " ",
        }.items()
    ),
    *(
        head(f"a header that is broken: {value[:50]}", "/download", value, statuses=frozenset({200, 302, 400, 406}))
        for value in (
            "Accept: " + "text/html;q=0.1," * 400,
            "Accept: text/html;q=nan, */*;q=inf",
            "Accept: text/html;q=1e999;level=" + "9" * 5000,
            "Accept: ;;;,,,///***",
            'Accept: text/html;x="',
            "Accept-Language: " + "-" * 1000,
            "Accept-Encoding: gzip, deflate;q=-1",
            "Cookie: " + "a=b; " * 1000,
            'Cookie: a="\\777\\x"; =; ;;',
            "If-Modified-Since: Mon, 01 Jan 99999 00:00:00 GMT",
            "If-Modified-Since: Mon, 01 Jan 0000 00:00:00 +9999",
            'If-None-Match: W/"a, *, "b',
            "Cache-Control: max-age=99999999999999999999, no-store=",
            "Prefer: wait=9999999999999; respond-async=x",
            "Expect: 200-maybe",
            "Upgrade: websocket",
            "Max-Forwards: -1",
            "Via: 1.1 a, 1.1 a",
            "X-File-Password: \xff\N{SNOWMAN}",
        )
    ),
    *(
        head(f"the method {name}", "/upload", method=name, statuses=frozenset({400, 405, 501}))
        for name in ("TRACE", "CONNECT", "PROPFIND", "A" * 100, "get", "Post")
    ),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.sentence)
def test_odd_input_is_refused_or_understood(service: Service, attack: Attack) -> None:
    answer = ask(service, attack.target, *attack.fields, method=attack.method, body=attack.body)
    assert answer.status in attack.statuses, answer


def test_too_many_headers_are_refused(service: Service) -> None:
    many = [f"X-{n}: y" for n in range(5000)]
    assert ask(service, "/ping", *many).status in {400, 431}
    assert ask(service, "/ping", f"X: {'y' * 200_000}").status in {400, 431}


@pytest.mark.parametrize("number", [100, 300, 900])
def test_many_headers_are_served_or_refused(service: Service, number: int) -> None:
    many = [f"X-{n}: y" for n in range(number)]
    assert ask(service, "/ping", *many).status in {200, 431}
    assert ask(service, "/v1/streams", *many, method="POST", body=b"abc").status in {201, 431}


def test_an_id_given_twice_counts_as_one(service: Service) -> None:
    target = f"/?file_hash={secrets.token_hex(32)}&file_hash={secrets.token_hex(32)}&hash=x"
    assert ask(service, target).status == 404
    assert ask(service, target, method="DELETE").status == 404
