"""What clients send to the surface `vimeo`: large, chunked, broken and short bodies, and names of all kinds."""

import json
import random
import socket
import subprocess
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import unquote

import pytest
import requests

from tests.services import Service, await_
from tests.surfaces.vimeo import MIB, get, put, refused


def test_it_takes_files_up_to_its_limit(service: Service) -> None:
    assert len(get(put(service, bytes(16 * MIB))).content) == 16 * MIB
    before = service.stored()
    for size in (16 * MIB + 1, 17 * MIB, 40 * MIB):
        answer = requests.put(service.vimeo, files={"file": ("big.bin", bytes(size))}, timeout=60)
        refused(answer, 413, "Request Entity too Large")
    assert service.stored() <= before  # others' files may be removed meanwhile
    await_(lambda: not service.spooled())


@pytest.mark.parametrize("options", [[], ["-H", "Expect:"], ["-H", "Transfer-Encoding: chunked"]])
def test_curl_sees_the_413(service: Service, tmp_path: Path, options: list[str]) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(bytes(17 * MIB))
    command = ["curl", "-sS", "-X", "PUT", "-F", f"file=@{big}", "-w", "%{http_code}", *options, service.vimeo]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    message = "The file is larger than the limit."
    assert json.loads(done.stdout[:-3]) == {"error": "Request Entity too Large", "message": message}
    assert done.stdout[-3:] == "413"


@pytest.mark.parametrize("options", [["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"]])
def test_curl_uploads_chunked_and_with_expectation(service: Service, tmp_path: Path, options: list[str]) -> None:
    source = tmp_path / "отчёт.xls"
    source.write_bytes(random.randbytes(3 * MIB))
    upload = ["curl", "-sS", "-X", "PUT", "-F", f"file=@{source}", *options, service.vimeo]
    link = json.loads(subprocess.run(upload, capture_output=True, check=True).stdout)["url"]
    subprocess.run(["curl", "-sS", "-OJ", link], cwd=tmp_path, check=True)
    answer = tmp_path / "_____.xls"  # curl 7.88 knows no filename*
    assert answer.read_bytes() == source.read_bytes()


BOUNDARY = "b0undary"
PART = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
BROKEN = {
    "nothing": ("multipart/form-data; boundary=x", b""),
    "no type": (None, b"abc"),
    "not multipart": ("application/octet-stream", b"abc"),
    "urlencoded": ("application/x-www-form-urlencoded", b"file=abc"),
    "no boundary": ("multipart/form-data", b"abc"),
    "endless boundary": (f"multipart/form-data; boundary={'b' * 5000}", b"abc"),
    "no part": (f"multipart/form-data; boundary={BOUNDARY}", f"--{BOUNDARY}--\r\n".encode()),
    "no end": (f"multipart/form-data; boundary={BOUNDARY}", f"{PART}abc".encode()),
    "no file": (
        f"multipart/form-data; boundary={BOUNDARY}",
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc\r\n--{BOUNDARY}--\r\n'.encode(),
    ),
    "empty name": (
        f"multipart/form-data; boundary={BOUNDARY}",
        PART.replace("a.txt", "").encode() + f"abc\r\n--{BOUNDARY}--\r\n".encode(),
    ),
    "line break in a name": (
        f"multipart/form-data; boundary={BOUNDARY}",
        PART.replace("a.txt", "a\r\nX-Evil: 1\r\n\r\n").encode() + f"abc\r\n--{BOUNDARY}".encode(),
    ),
    "bytes after the boundary": (f"multipart/form-data; boundary={BOUNDARY}", f"{PART}a\r\n--{BOUNDARY}xx".encode()),
    "password that is no text": (
        f"multipart/form-data; boundary={BOUNDARY}",
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="password"\r\n\r\n'.encode()
        + b"\xff\xfe\r\n"
        + f"{PART}abc\r\n--{BOUNDARY}--\r\n".encode(),
    ),
    "thousands of parts": (
        f"multipart/form-data; boundary={BOUNDARY}",
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="x"\r\n\r\nx\r\n'.encode() * 5000
        + f"{PART}abc\r\n--{BOUNDARY}--\r\n".encode(),
    ),
    "huge field": (
        f"multipart/form-data; boundary={BOUNDARY}",
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="x"\r\n\r\n{"x" * MIB}\r\n'.encode()
        + f"{PART}abc\r\n--{BOUNDARY}--\r\n".encode(),
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_it_refuses_a_broken_body_and_keeps_nothing_of_it(service: Service, kind: str) -> None:
    before = service.stored()
    content_type, body = BROKEN[kind]
    headers = {"Content-Type": content_type} if content_type else {}
    refused(requests.put(service.vimeo, data=body, headers=headers, timeout=60), 400, "Bad Request")
    assert service.stored() <= before  # others' files may be removed meanwhile
    await_(lambda: not service.spooled())


@pytest.mark.parametrize("chunked", [False, True])
def test_it_discards_a_truncated_body(service: Service, *, chunked: bool) -> None:
    before = service.stored()
    body = f"{PART}abc\r\n--{BOUNDARY}--\r\n".encode()
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body) + 1}"
    sent = b"%x\r\n%s" % (len(body) + 1, body) if chunked else body
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        head = f"PUT /vimeo/api/v1.0/file HTTP/1.1\r\nHost: h\r\n{length}\r\n"
        client.sendall(f"{head}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode() + sent)
        client.shutdown(socket.SHUT_WR)
        answer = client.makefile("rb").read()
    # nginx hangs up on a client that stops in the middle, the embedded server still answers.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert service.stored() <= before  # others' files may be removed meanwhile
    await_(lambda: not service.spooled())


NAMES = {
    "../../x": "x",
    "/etc/passwd": "passwd",
    "C:\\Users\\me\\a.txt": "a.txt",
    "отчёт за май.xls": "отчёт за май.xls",
    "line\r\nbreak.txt": "linebreak.txt",
    "a" * 400 + ".pdf": "a" * 251 + ".pdf",
    "я" * 400: "я" * 127,
    "e\u0301.txt": "é.txt",
    "\u202egpj.exe": "gpj.exe",
    'quo"te;%41.txt': 'quo"te;%41.txt',
    "..": "file",
    " ": "file",
}


@pytest.mark.parametrize("name", NAMES)
def test_it_hands_every_name_back_harmless(service: Service, name: str) -> None:
    answer = get(put(service, b"x", name=name))
    assert answer.status_code == 200
    disposition = answer.headers["Content-Disposition"]
    kind, parameters = parse_disposition(disposition)
    assert kind == "attachment"
    assert parameters.get("filename*", parameters["filename"]) == NAMES[name]
    assert "X-Evil" not in answer.headers


def parse_disposition(header: str) -> tuple[str, dict[str, str]]:
    """Parse RFC 6266 as a client would, with the standard library."""
    message = EmailMessage()
    message["Content-Disposition"] = header.split("; filename*=", maxsplit=1)[0]
    parameters = {"filename": message.get_filename() or ""}
    if "filename*=UTF-8''" in header:
        parameters["filename*"] = unquote(header.split("filename*=UTF-8''")[1])
    return message.get_content_disposition() or "", parameters


def test_old_requests_clients_keep_their_names(service: Service) -> None:
    body = f"{PART}abc\r\n--{BOUNDARY}--\r\n".replace('filename="a.txt"', "filename*=utf-8''%D0%BE%D1%82.txt")
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    link = requests.put(service.vimeo, data=body, headers=headers, timeout=60).json()["url"]
    assert "filename*=UTF-8''%D0%BE%D1%82.txt" in get(link).headers["Content-Disposition"]
