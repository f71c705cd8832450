"""Hostile names and contents: stored and sent back unchanged, and harmless to everyone who views them."""

import json
import re
import secrets
import unicodedata
from urllib.parse import quote, unquote, urlsplit

import pytest
import requests

from tests.attacks.wire import RawResponse, ask
from tests.services import Service

pytestmark = pytest.mark.usefixtures("unharmed")

SCRIPT = b"<html><script>alert(document.domain)</script><svg onload=alert(1)>"
POLICY = "sandbox; default-src 'none'"
BOUNDARY = "b"
NAMES = [
    "plain.html",
    "отчёт.html",
    "报告.svg",
    "\N{LATIN SMALL LETTER E}\N{COMBINING ACUTE ACCENT}.txt",
    "🎬.txt",
    "a;b=c.txt",
    'q"uote.txt',
    "per%41cent%0d%0a.txt",
    "<script>alert(1)</script>.txt",
    "' OR 1=1 --.txt",
    "$(id)`id`.txt",
    "{{7*7}}.txt",
    "con.txt",
    ".htaccess.txt",
    "-rf.txt",
    "a" * 400 + ".txt",
    "\N{RIGHT-TO-LEFT OVERRIDE}txt.exe.txt",
    "nul\0byte.txt",
    "tab\there.txt",
    "\N{LINE SEPARATOR}\N{NEXT LINE}.txt",
    "../../up.txt",
    "C:\\dos\\path.txt",
]


def put(service: Service, name: bytes, content: bytes = SCRIPT, path: str = "/vimeo/api/v1.0/file") -> RawResponse:
    """Upload a form whose file name is these bytes."""
    part = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="'
        + name
        + b'"\r\nContent-Type: text/html\r\n\r\n'
    )
    form = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    method = "PUT" if path.startswith("/vimeo") else "POST"
    return ask(service, path, form, method=method, body=part + content + b"\r\n--b--\r\n")


def path_of(answer: RawResponse) -> str:
    assert answer.status == 201, answer
    return urlsplit(str(json.loads(answer.body)["url"])).path


def inert(answer: RawResponse) -> None:
    """Fail unless a browser would neither sniff nor run these bytes."""
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert answer.header("Content-Security-Policy") == POLICY


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_returned_as_it_was_or_in_a_safe_form(service: Service, name: str) -> None:
    answer = put(service, name.replace('"', "%22").encode())
    if "\0" in name:
        assert answer.status in {201, 400}
        if answer.status == 400:
            return
    given = ask(service, path_of(answer))
    assert given.body == SCRIPT
    disposition = given.header("Content-Disposition") or ""
    assert disposition.startswith('attachment; filename="')
    assert disposition.isascii()
    assert disposition.isprintable()
    assert "/" not in disposition.replace("''", "")
    extended = re.search(r"filename\*=UTF-8''(\S+)", disposition)
    plain = re.search(r'filename="([^"]*)"', disposition)
    assert plain
    shown = unquote(extended[1]) if extended else plain[1]
    assert len(shown.encode()) <= 255
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs"} for c in shown)


@pytest.mark.parametrize(
    "name",
    [
        b"a\r\nSet-Cookie: evil=1\r\n.txt",
        b"a\nSet-Cookie: evil=1.txt",
        b"a\rSet-Cookie: evil=1.txt",
        b"a%0d%0aSet-Cookie:%20evil=1.txt",
        b'a\\"\r\nSet-Cookie: evil=1.txt',
        "a\N{NEXT LINE}Set-Cookie: evil=1.txt".encode(),
        "a嘊嘍Set-Cookie: evil=1.txt".encode(),  # whose low bytes are LF and CR
        b"\xff\xfe\r\x00\n\x00Set-Cookie: evil=1.txt",
    ],
)
def test_no_file_name_injects_a_header(service: Service, name: bytes) -> None:
    answer = put(service, name)
    assert answer.status in {201, 400}
    if answer.status == 201:
        given = ask(service, path_of(answer))
        assert given.status == 200
        assert "set-cookie" not in [*answer.headers, *given.headers]
        assert given.body == SCRIPT


@pytest.mark.parametrize(
    "name", [b"\xe4.txt", b"\xff\xfea\0.txt", b"\x83\x65\x83\x58\x83\x67.txt", b"\xed\xa0\x80.txt", b"\xc0\xae.txt"]
)
def test_a_name_that_is_not_utf_8_is_stored_or_refused(service: Service, name: bytes) -> None:
    answer = put(service, name)
    assert answer.status in {201, 400}
    if answer.status == 201:
        assert ask(service, path_of(answer)).body == SCRIPT


@pytest.mark.parametrize(
    "target", ["/a%0d%0aSet-Cookie:x=1", "/upload?q=%0d%0aSet-Cookie:x=1", "/v1/queues/a%0d%0aSet-Cookie:x=1/first"]
)
def test_no_path_injects_a_header(service: Service, target: str) -> None:
    for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
        assert "set-cookie" not in ask(service, target, method=method).headers


def test_stored_scripts_do_not_run_in_a_browser(service: Service) -> None:
    """Streams, store, named and transfer: whole, a range, HEAD, again from the caches."""
    name = f"{secrets.token_hex(6)}.txt"
    stream = requests.post(f"{service.url}/v1/streams", data=SCRIPT, timeout=60).json()["id"]
    digest = requests.post(service.url, data=SCRIPT, timeout=60).text
    assert requests.post(f"{service.url}/upload/{name}", data=SCRIPT, timeout=60).status_code == 201
    file = {"file": ("x.html", SCRIPT)}
    sealed = requests.post(f"{service.url}/uploadFile", files=file, timeout=60).json()["file_id"]
    sealed = quote(sealed, safe="")
    for target in (
        f"/v1/streams/{stream}",
        f"/?file_hash={digest}",
        f"/download/{name}",
        f"/downloadFile?file_id={sealed}",
    ):
        for fields, status in (((), 200), (("Range: bytes=2-9",), 206), (("Accept: text/html",), 200)):
            for _ in range(4):
                answer = ask(service, target, *fields)
                assert answer.status == status
                inert(answer)
                assert (answer.header("Content-Disposition") or "").startswith("attachment")
        inert(ask(service, target, method="HEAD"))
        tag = ask(service, target).header("ETag")
        for condition, code in ((f"If-None-Match: {tag}", 304), ("Range: bytes=999-", 416), ('If-Match: "x"', 412)):
            refused = ask(service, target, condition)
            assert refused.status == code
            assert refused.header("X-Content-Type-Options") == "nosniff"
            assert SCRIPT not in refused.body


def test_a_one_time_script_does_not_run_in_a_browser(service: Service) -> None:
    path = path_of(put(service, b"x.html"))
    inert(ask(service, path, method="HEAD"))
    part = ask(service, path, "Range: bytes=2-9")
    assert part.status == 206
    inert(part)
    whole = ask(service, path, f"X-Download-Grant: {part.header('X-Download-Grant')}")
    assert whole.body == SCRIPT
    inert(whole)


EVIL = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", f"/{quote(EVIL)}"),
        ("GET", f"/v1/streams/{quote(EVIL)}"),
        ("DELETE", f"/v1/streams/{quote(EVIL)}"),
        ("GET", f"/v1/queues/{quote(EVIL)}/first"),
        ("GET", f"/?file_hash={quote(EVIL)}"),
        ("DELETE", f"/?file_hash={quote(EVIL)}"),
        ("POST", f"/upload/{quote(EVIL)}"),
        ("POST", f"/upload/a.{quote(EVIL)}"),
        ("GET", f"/download/{quote(EVIL)}"),
        ("GET", f"/upload?q={quote(EVIL)}"),
        ("GET", f"/downloadFile?file_id={quote(EVIL)}"),
        ("GET", f"/uploadFile/{quote(EVIL)}"),
        ("GET", f"/vimeo/api/v1.0/file/{quote(EVIL)}?password={quote(EVIL)}"),
        ("GET", f"/static/{quote(EVIL)}"),
        (EVIL.split(" ", maxsplit=1)[0], "/ping"),
    ],
)
def test_a_response_that_repeats_input_does_not_run_it(service: Service, method: str, target: str) -> None:
    for accepted in ("*/*", "text/html", "application/json"):
        for _ in range(3):
            answer = ask(service, target, f"Accept: {accepted}", method=method, body=b"x" if method == "POST" else b"")
            kind = answer.header("Content-Type") or ""
            if kind.startswith("text/html"):
                assert EVIL.encode() not in answer.body
                assert b"<img" not in answer.body
            elif answer.body:
                assert answer.header("X-Content-Type-Options") == "nosniff", answer


def test_a_name_is_shown_as_text_on_the_page(service: Service) -> None:
    name = f"{EVIL}{secrets.token_hex(4)}.txt"
    assert requests.post(f"{service.url}/upload/{quote(name)}", data=b"x", timeout=60).status_code == 201
    page = requests.get(f"{service.url}/upload", timeout=60)
    assert "&lt;img src=x" in page.text
    assert EVIL not in page.text
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
