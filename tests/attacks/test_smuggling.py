"""Request smuggling: headers that two parsers could read differently, and bodies with a wrong length."""

import pytest
import requests

from tests.attacks.wire import answers, ask, raw
from tests.services import Service
from vimeo_api.embedded import framing
from vimeo_api.web.hooks import repeated_headers

pytestmark = pytest.mark.usefixtures("unharmed")

STREAMS = "/v1/streams"
CHUNKED = b"3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        ("Content-Length: 3", "Content-Length: 5"),
        ("Content-Length: 3", "Content-Length: 3"),
        ("Content-Length: 3, 3",),
        ("Content-Length: 3", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 3"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("Transfer-Encoding : chunked",),
        ("X: y", " Transfer-Encoding: chunked"),
        ("X: a\0b", "Content-Length: 3"),
        (": y", "Content-Length: 3"),
    ],
)
def test_a_request_with_two_lengths_is_refused(service: Service, fields: tuple[str, ...]) -> None:
    assert ask(service, STREAMS, *fields, method="POST", body=CHUNKED, end=True).status == 400


@pytest.mark.parametrize(("method", "path"), [("PUT", "/vimeo/api/v1.0/file"), ("POST", "/uploads/streams")])
def test_a_header_that_says_two_things_is_refused(service: Service, method: str, path: str) -> None:
    def told(name: str) -> tuple[int, bool]:
        answer = ask(service, path, "Content-Length: 3", f"{name}: 1", f"{name}: 2", method=method, body=b"abc")
        return answer.status, f"{name} comes twice".encode() in answer.body

    assert {name: told(name) for name in repeated_headers.NAMES} == dict.fromkeys(repeated_headers.NAMES, (400, True))
    assert {name: told(name)[0] for name in framing.ONCE} == dict.fromkeys(framing.ONCE, 400)


def test_a_header_that_says_the_same_twice_says_it_once(service: Service) -> None:
    tus = ("Tus-Resumable: 1.0.0", "Upload-Length: 3", "Content-Type: application/offset+octet-stream")
    fields = ("Content-Length: 3", *tus, *tus)
    assert ask(service, "/uploads/streams", *fields, method="POST", body=b"abc").status == 201


@pytest.mark.parametrize("length", ["abc", "-5", "+3", "3_0", "0x3", "3.0", "", "9" * 23, "\N{SUPERSCRIPT THREE}"])
def test_an_invalid_length_is_not_treated_as_missing(service: Service, length: str) -> None:
    assert ask(service, STREAMS, f"Content-Length: {length}", method="POST", body=b"abc").status == 400


@pytest.mark.parametrize("coding", ["xchunked", "identity", "gzip, chunked", "chunked, identity", "\x0bchunked"])
def test_a_transfer_coding_other_than_chunked_is_refused(service: Service, coding: str) -> None:
    answer = ask(service, STREAMS, f"Transfer-Encoding: {coding}", method="POST", body=CHUNKED)
    assert answer.status in {400, 501}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/vimeo/api/v1.0/file", "application/json"),
        ("/v1/streams", "text/plain"),
        ("/", "text/plain"),
        ("/upload", "application/json"),
        ("/uploadFile", "application/json"),
        ("/nothing", "application/json"),
    ],
)
def test_a_malformed_request_is_refused_in_the_words_of_its_path(service: Service, path: str, kind: str) -> None:
    for field in ("Transfer-Encoding: gzip", "Content-Length: x"):
        answer = ask(service, path, field, method="POST", body=b"abc")
        assert answer.status in {400, 501}
        assert (answer.header("Content-Type") or "").startswith(kind)
        assert answer.headers.count("content-type") == answer.headers.count("content-length") == 1
        assert (b'"message":' in answer.body) == path.startswith("/vimeo")


def test_chunked_bodies_are_refused_in_http_1_0(service: Service) -> None:
    answer = ask(service, STREAMS, "Transfer-Encoding: chunked", method="POST", body=CHUNKED, version="HTTP/1.0")
    assert answer.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"fffffffffffffffff\r\nabc",  # more than any machine can count
        b"ffffffff\r\nabc",  # which werkzeug inflates to 4 GiB
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"3_3\r\nabc\r\n0\r\n\r\n",
        b"\r\nabc\r\n0\r\n\r\n",
        b"2\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n",
        b"3\r\nabc",
    ],
)
def test_an_invalid_or_truncated_chunked_body_is_discarded(service: Service, body: bytes) -> None:
    stored = service.stored()
    head = f"POST {STREAMS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    # nginx hangs up on a body that breaks off.
    assert [answer.status for answer in answers(raw(service, head.encode() + body, end=True))] in ([400], [])
    assert service.stored() <= stored


def test_a_chunk_may_have_extensions_and_trailers(service: Service) -> None:
    body = b'3;name="a"\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n'
    answer = ask(service, STREAMS, "Transfer-Encoding: chunked", method="POST", body=body)
    assert answer.status == 201


def test_a_request_hidden_in_a_body_is_not_answered(service: Service) -> None:
    hidden = b"DELETE /v1/streams/x HTTP/1.1\r\nHost: a\r\n\r\n"
    sent = b"POST /v1/streams HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(hidden)
    found = answers(raw(service, sent + hidden))
    assert [answer.status for answer in found] == [201]


@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/9.9", "HTTP/1.1.1", "HTCPCP/1.0"])
def test_an_unknown_http_version_is_refused(service: Service, version: str) -> None:
    data = raw(service, f"GET /ping {version}\r\nHost: a\r\n\r\n".encode())
    assert b"pong" not in data


def test_random_bytes_are_not_a_request(service: Service) -> None:
    for noise in (
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"\xff" * 300 + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET  /ping\0 X\r\n\r\n",
    ):
        assert b"pong" not in raw(service, noise, end=True)


def test_a_refusal_after_which_nginx_closes_says_connection_close(service: Service) -> None:
    stored = requests.post(f"{service.url}/v1/streams", data=b"abc", timeout=60).json()["id"]
    with requests.Session() as session:
        for _ in range(3):
            answer = session.get(f"{service.url}/v1/streams/{stored}", headers={"If-Match": '"other"'}, timeout=60)
            assert answer.status_code == 412
            # Unless told of its end, requests would send this over a dead connection, and not retry.
            uploaded = session.post(f"{service.url}/v1/streams", data=iter([b"abc"]), timeout=60)
            assert uploaded.status_code == 201
