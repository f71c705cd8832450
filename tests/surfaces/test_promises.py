"""What a client relies on with its upload is kept or refused, never ignored: digests, passwords, and other options."""

import base64
import hashlib
import io
from secrets import token_hex
from typing import Any

import pytest
import requests
from flask import Flask
from werkzeug.test import TestResponse

from tests.attacks.wire import ask
from tests.inprocess import stored
from tests.services import Service
from vimeo_api.web.receiving.receive import OPTIONS

CONTENT = b"brief"
MULTIPART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nbrief\r\n--b--\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
JSON = {"Content-Type": "application/json"}
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
UPLOADS: dict[str, tuple[str, str, dict[str, str], bytes]] = {
    "vimeo": ("PUT", "/vimeo/api/v1.0/file", FORM, MULTIPART),
    "streams": ("POST", "/v1/streams", {}, CONTENT),
    "queue": ("POST", "/v1/queues/q/streams", {}, CONTENT),
    "store": ("POST", "/", {}, CONTENT),
    "store's form": ("POST", "/", FORM, MULTIPART),
    "named": ("POST", "/upload/{name}.txt", {}, CONTENT),
    "named form": ("POST", "/upload", FORM, MULTIPART),
    "transfer": ("POST", "/uploadFile", FORM, MULTIPART),
    "URL": ("POST", "/uploadFile", JSON, b'{"file": "ftp://x"}'),
}
HAVE = {  # the options that surfaces have
    "vimeo": {*OPTIONS},
    "streams": {"expires_in"},
    "queue": {"expires_in"},
    "named": {"expires_in"},
    "named form": {"expires_in"},
    "transfer": {"expires_in"},
    "URL": {"expires_in"},
}


def digest(body: bytes, algorithm: str, name: str) -> str:
    return f"{name}=:{base64.b64encode(hashlib.new(algorithm, body).digest()).decode()}:"


def right(body: bytes) -> list[dict[str, str]]:
    return [
        {"Content-Digest": digest(body, "sha256", "sha-256")},
        {"Content-Digest": f"crc32c=:AAAA:, {digest(body, 'sha512', 'sha-512')};a=b"},
        {"Repr-Digest": f"{digest(body, 'sha1', 'sha')},{digest(body, 'md5', 'md5')}"},
        {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()},
        {"Content-Digest": "crc32c=:AAAA:"},
        {"Content-Digest": ""},
    ]


def send(app: Flask, how: str, headers: dict[str, str], *, query: str = "", body: bytes | None = None) -> TestResponse:
    method, path, kind, usual = UPLOADS[how]
    target = path.format(name=token_hex(8)) + query
    return app.test_client().open(target, method=method, headers=kind | headers, data=usual if body is None else body)


@pytest.mark.parametrize("how", [how for how in UPLOADS if how not in {"URL", "named form"}])
def test_a_digest_is_checked(inprocess: Flask, how: str) -> None:
    body = UPLOADS[how][3]
    for headers in right(body):
        assert send(inprocess, how, headers).status_code in {200, 201}, headers
    files = stored(inprocess)
    wrong = [*right(body[1:])[:4], {"Content-Digest": "sha-256=abc"}, {"Content-Digest": "SHA-512"}]
    wrong += [{"Content-MD5": "x"}, {"Content-Digest": digest(body, "md5", "sha-256")}]
    for headers in wrong:
        refused = send(inprocess, how, headers)
        assert (refused.status_code, "digest" in refused.text) == (400, True), headers
    assert stored(inprocess) == files


def test_the_digest_of_nothing_is_checked_too(inprocess: Flask) -> None:
    for headers in right(b"")[:4]:
        assert send(inprocess, "streams", headers, body=b"").status_code == 201
    for headers in right(b"x")[:4]:
        assert send(inprocess, "streams", headers, body=b"").status_code == 400


@pytest.mark.parametrize("how", UPLOADS)
def test_an_option_that_a_surface_does_not_have_is_refused(inprocess: Flask, how: str) -> None:
    files = stored(inprocess)
    for option in {*OPTIONS} - HAVE.get(how, set()):
        answers = [send(inprocess, how, {}, query=f"?{option}=1")]
        if option == "password":
            answers.append(send(inprocess, how, {"X-File-Password": "sesame"}))
        if UPLOADS[how][2] == FORM:
            field = f'--b\r\nContent-Disposition: form-data; name="{option}"\r\n\r\n1\r\n'.encode()
            answers.append(send(inprocess, how, {}, body=field + MULTIPART))
        if how == "URL":
            answers.append(send(inprocess, how, {}, body=f'{{"file": "ftp://x", "{option}": "1"}}'.encode()))
        assert [(one.status_code, f"`{option}`" in one.text) for one in answers] == [(400, True)] * len(answers)
    assert stored(inprocess) == files


@pytest.mark.parametrize("surface", ["vimeo", "streams", "store", "named", "transfer"])
def test_resumable_uploads_refuse_the_same(inprocess: Flask, surface: str) -> None:
    for option in OPTIONS:
        fields = {"filename": "a.txt", option: "https://example.org/" if option == "notify" else "7"}
        pairs = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
        tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": pairs}
        begun = inprocess.test_client().post(f"/uploads/{surface}", headers=tus)
        assert begun.status_code == (201 if option in HAVE.get(surface, set()) else 400), option


def test_the_whole_of_a_resumable_upload_may_have_any_digest(inprocess: Flask) -> None:
    http, tus = inprocess.test_client(), {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
    for algorithm, name in (("sha256", "sha-256"), ("sha512", "sha-512"), ("md5", "md5")):
        for body, status in ((CONTENT, 201), (b"other", 400)):
            headers = tus | {"Upload-Length": "5", "Repr-Digest": digest(body, algorithm, name)}
            assert http.post("/uploads/streams", headers=headers, data=CONTENT).status_code == status
    assert http.get(f"/v1/streams/{send(inprocess, 'streams', {}).json['id']}").headers["Repr-Digest"]  # type: ignore[index]


def test_a_form_for_people_has_options_in_its_fields_only(inprocess: Flask) -> None:
    asked: dict[str, Any] = {"data": {"file": (io.BytesIO(b"brief"), "a.txt")}, "headers": {"X-File-Password": "x"}}
    assert inprocess.test_client().post("/share", **asked).status_code == 400


def test_a_password_that_is_not_utf_8_is_not_equal_to_another(inprocess: Flask) -> None:
    http = inprocess.test_client()
    for sent, spelling in (("é".encode("latin-1"), "é"), ("é".encode(), "é"), (b"\xef\xf0", "ïð")):
        header = {"X-File-Password": sent.decode("latin-1")}  # as WSGI passes it on
        link = send(inprocess, "vimeo", header).json["url"]  # type: ignore[index]
        for wrong in (b"\xff", b"\xef\xff", b"\xef\xbf\xbd"):
            assert http.head(link, headers={"X-File-Password": wrong.decode("latin-1")}).status_code == 401
        assert [http.head(f"{link}?password={odd}").status_code for odd in ("%EF%F0", "%FF", "%EF%FF")] == [401] * 3
        assert http.post(f"{link}/download", data=b"password=%EF%F0", headers=URLENCODED).status_code == 400
        assert http.head(link, headers=header).status_code == 200
        assert http.head(link, query_string={"password": spelling}).status_code == 200


def test_names_that_are_not_utf_8_are_not_one_name(inprocess: Flask) -> None:
    http = inprocess.test_client()
    for path in (b"/v1/queues/\xff/streams", b"/v1/queues/a\xfe/streams", b"/upload/M\xfcller.txt", b"/\xed\xa0\x80"):
        refused = http.post("/", data=b"x", environ_overrides={"PATH_INFO": path.decode("latin-1")})  # as WSGI has it
        assert (refused.status_code, "UTF-8" in refused.text) == (400, not path.startswith(b"/\xed"))
    assert http.post("/v1/queues/%EF%BF%BD/streams", data=b"x").status_code == 201


def test_both_profiles_read_the_bytes_of_a_target(service: Service) -> None:
    form: dict[str, Any] = {"files": {"file": ("a", CONTENT)}, "data": {"password": "é"}}
    path = requests.put(service.vimeo, timeout=60, **form).json()["url"].removeprefix(service.url)
    for spelling, status in (("%C3%A9", 200), ("é", 200), ("%E9", 401)):  # encoded or not
        assert ask(service, f"{path}?password={spelling}", method="HEAD").status == status
    for name in ("é", "%C3%A9"):
        assert ask(service, f"/v1/queues/{name}/first").status == 404
        assert ask(service, f"/v1/queues/{name}%E9/first").status == 400
    assert ask(service, f"/v1/queues/é{path[-8:]}/streams", method="POST", body=CONTENT).status == 201
    assert ask(service, f"/v1/queues/%C3%A9{path[-8:]}/first").status == 200


@pytest.mark.parametrize("how", ["vimeo", "streams", "store", "named", "transfer"])
def test_both_profiles_check_digests_and_options(service: Service, how: str) -> None:
    method, path, kind, body = UPLOADS[how]
    url = service.url + path.format(name=token_hex(8))
    for headers in (right(b"x")[0], right(b"x")[3], {"X-File-Password": "a"} if how != "vimeo" else right(b"x")[2]):
        assert requests.request(method, url, headers=kind | headers, data=body, timeout=60).status_code == 400
    headers = kind | right(body)[0] | right(body)[3]
    assert requests.request(method, url, headers=headers, data=body, timeout=60).status_code in {200, 201}
