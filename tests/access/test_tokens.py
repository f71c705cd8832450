"""Tokens and quotas: real requests to both profiles."""

from secrets import token_hex
from typing import Any

import pytest
import requests

from tests.access.guarded import FORM, MIB, Guarded, answered, call
from tests.access.guarded import PROTECTED as PROTECTED_FILE
from tests.services import Service, await_
from vimeo_api import views
from vimeo_api.core.access import api_tokens
from vimeo_api.web import openapi
from vimeo_api.web.pipeline import Pipeline

KEY = "0" * 32
UUID = "20ef43f7-4bfd-4b86-9204-7c857a09a940"

# Method, path, scope, what else is sent.
PROTECTED: list[tuple[str, str, str, dict[str, Any]]] = [
    ("PUT", "/vimeo/api/v1.0/file", "vimeo:write", FORM),
    ("GET", "/share", "vimeo:write", {}),
    ("POST", "/share", "vimeo:write", FORM),
    ("POST", "/v1/streams", "streams:write", {"data": b"x"}),
    ("PUT", "/v1/streams", "streams:write", {"data": b"x"}),
    ("DELETE", f"/v1/streams/{UUID}", "streams:delete", {}),
    ("POST", "/v1/streams:join", "streams:write", {"json": {"streams": [UUID]}}),
    ("DELETE", f"/v1/joins/{UUID}", "streams:delete", {}),
    ("POST", "/v1/queues/q/streams", "streams:write", {"data": b"x"}),
    ("GET", "/v1/queues/q/streams", "streams:list", {}),
    ("GET", "/v1/queues/q/first", "streams:list", {}),
    ("GET", f"/v1/queues/q/streams/{UUID}/next", "streams:list", {}),
    ("GET", f"/v1/queues/q/streams/{UUID}/previous", "streams:list", {}),
    ("POST", "/v1/queues/q/take", "streams:take", {}),
    ("DELETE", f"/v1/queues/q/streams/{UUID}?receipt=x", "streams:take", {}),
    ("POST", "/", "store:write", {"data": b"x"}),
    ("DELETE", f"/?file_hash={KEY}", "store:delete", {}),
    ("GET", "/upload", "named:list", {}),
    ("HEAD", "/upload", "named:list", {}),
    ("POST", "/upload", "named:write", FORM),
    ("POST", "/upload/a.txt", "named:write", {"data": b"x"}),
    ("GET", "/download", "named:list", {}),
    ("DELETE", "/download/none.txt", "named:delete", {}),
    ("GET", "/download/none.txt/delete", "named:delete", {}),
    ("POST", "/download/none.txt/delete", "named:delete", {}),
    ("POST", "/uploadFile", "transfer:write", FORM),
    ("POST", "/uploadFile", "transfer:write", {"json": {"file": "ftp://localhost/"}}),
    ("DELETE", "/uploadFile/1:x", "transfer:delete", {}),
    ("DELETE", "/downloadFile?file_id=1:x", "transfer:delete", {}),
    ("DELETE", "/downloadFile", "transfer:delete", {"json": {"file_id": "1:x"}}),
    ("GET", f"/uploads/store/{KEY}", "store:write", {}),
    ("DELETE", f"/uploads/transfer/{KEY}", "transfer:write", {}),
]


def test_every_view_that_needs_a_token_is_listed_and_described() -> None:
    app = Pipeline("vimeo_api")
    views.init_app(app)
    operations = [
        (method.upper(), path, api)
        for path, methods in openapi.document(app)["paths"].items()
        for method, api in methods.items()
    ]
    described = {(method, api["tags"][0], scope) for method, _, api in operations for scope in scopes(api)}
    # tests/surfaces/resumable/test_operating.py has the methods of an upload that have a body
    assert described - {(method, "uploads", "{surface}:write") for method in ("PATCH", "POST")} == {
        (method, "uploads", "{surface}:write")
        if path.startswith("/uploads/")
        else (method, "share" if path == "/share" else scope.split(":")[0], scope)
        for method, path, scope, _ in PROTECTED
        if method != "HEAD"
    }
    changing = {(method, path) for method, path, api in operations if method != "GET" and not scopes(api)}
    assert changing == {  # each by a key that is the permission: a link or a manage URL
        ("POST", "/downloadFile"),
        ("POST", "/share/link"),
        ("POST", "/vimeo/api/v1.0/file/{key}/download"),
        ("DELETE", "/manage/{key}"),
        ("POST", "/manage/{key}/delete"),
        ("POST", "/manage/{key}/release"),
    }


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_no_body_stays_that_came_to_a_resumable_upload_by_another_method(guarded: Guarded, method: str) -> None:
    for body in (b"", bytes(MIB)):
        answer = call(
            method, f"{guarded.url}/uploads/streams/{KEY}", data=body, headers={"Content-Length": str(len(body))}
        )
        assert answer.status_code in {401, 405}
    await_(lambda: not guarded.service.spooled())


def scopes(api: dict[str, Any]) -> list[str]:
    return [scope for scheme in api.get("security", []) for scope in scheme.get("apiToken", [])]


@pytest.mark.parametrize(("method", "path", "scope", "body"), PROTECTED)
def test_it_needs_a_token_of_the_right_scope(
    guarded: Guarded, method: str, path: str, scope: str, body: dict[str, Any]
) -> None:
    url = guarded.url + path
    bare = call(method, url, **body)
    assert (bare.status_code, bare.headers["WWW-Authenticate"]) == (401, 'Bearer realm="vimeo_api"')
    unknown = call(method, url, headers={"Authorization": f"Bearer va_{'x' * 43}"}, **body)
    assert unknown.status_code == 401
    assert unknown.headers["WWW-Authenticate"].endswith('error="invalid_token"')

    surface, verb = scope.split(":")
    others = {"write", "list", "take", "delete"} - {verb}
    wrong = guarded.token(token_hex(8), *(f"*:{other}" for other in others))
    refused = call(method, url, headers=wrong, **body)
    assert (refused.status_code, scope in refused.headers["WWW-Authenticate"]) == (403, True)
    right = guarded.token(token_hex(8), scope)
    assert call(method, url, headers=right, **body).status_code not in {401, 429} or surface == "store"


def test_a_resumable_upload_that_begins_needs_a_token_of_the_right_scope(guarded: Guarded) -> None:
    url, begins = f"{guarded.url}/uploads/store", {"Tus-Resumable": "1.0.0", "Upload-Length": "3"}
    refused = call("POST", url, headers={**begins, **guarded.token(token_hex(8), "store:list")})
    assert (refused.status_code, "store:write" in refused.headers["WWW-Authenticate"]) == (403, True)
    assert "store:write" in refused.json()["error"]
    bare = call("POST", url, headers=begins)
    assert (bare.status_code, bare.headers["WWW-Authenticate"]) == (401, 'Bearer realm="vimeo_api"')


def test_a_browser_prompts_for_the_token_as_a_password(guarded: Guarded) -> None:
    for path in ("/upload", "/v1/queues/q/streams"):
        asked = call("GET", guarded.url + path, headers={"Accept": "text/html,application/xml;q=0.9,*/*;q=0.8"})
        assert asked.status_code == 401
        assert asked.headers["WWW-Authenticate"] == 'Basic realm="API token", charset="UTF-8"'
    token = guarded.token(token_hex(8), "named:*", "streams:write")["Authorization"].removeprefix("Bearer ")
    assert call("GET", f"{guarded.url}/upload", auth=("", token)).status_code == 200
    assert call("GET", f"{guarded.url}/upload", auth=("", token[:-1])).status_code == 401
    assert call("GET", f"{guarded.url}/v1/queues/q/streams", auth=("anybody", token)).status_code == 403
    large = bytes(11 * MIB)  # so nginx asks before its first byte
    assert call("POST", f"{guarded.url}/v1/streams", auth=("anybody", token), data=large).status_code == 201
    # A browser also adds it to requests of pages of other sites.
    foreign = {"Sec-Fetch-Site": "cross-site"}
    name = f"{token_hex(4)}.txt"
    assert call("POST", f"{guarded.url}/upload/{name}", auth=("", token), data=b"x", headers=foreign).status_code == 403
    assert call("POST", f"{guarded.url}/upload/{name}", auth=("", token), data=b"x").status_code == 201


def test_a_browser_that_sends_its_token_with_links_can_open_protected_files(guarded: Guarded) -> None:
    header = guarded.token(token_hex(8), "vimeo:write")
    token = header["Authorization"].removeprefix("Bearer ")
    link = call("PUT", guarded.service.vimeo, headers=header, **PROTECTED_FILE).json()["url"]
    address = {"X-Forwarded-For": "192.0.2.77"}
    tries = [call("GET", link, auth=("", token), headers=address) for _ in range(5)]  # no guesses, so not counted
    assert {(answer.status_code, answer.headers["WWW-Authenticate"]) for answer in tries} == {
        (401, 'Basic realm="file", charset="UTF-8"')
    }
    assert call("HEAD", link, auth=("", "sesame"), headers=address).status_code == 200
    assert call("GET", f"{link}?password=sesame", auth=("", token), headers=address).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "kind", "text"),
    [
        (
            "PUT",
            "/vimeo/api/v1.0/file",
            "application/json",
            '{"error":"Unauthorized","message":"This needs an API token',
        ),
        (
            "POST",
            "/v1/streams",
            "text/plain; charset=utf-8",
            "This needs an API token, as `Authorization: Bearer …`.\n",
        ),
        ("POST", "/", "text/plain; charset=utf-8", "This needs an API token, as `Authorization: Bearer …`."),
        ("POST", "/uploadFile", "application/json", "This needs an API token"),
        ("GET", "/upload", "text/html; charset=utf-8", "This needs an API token"),
        ("GET", "/download", "application/json", "This needs an API token"),
    ],
)
def test_it_refuses_in_the_error_format_of_the_surface(
    guarded: Guarded, method: str, path: str, kind: str, text: str
) -> None:
    answer = call(method, guarded.url + path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, kind)
    assert text in answer.content.decode()
    assert answer.headers["Cache-Control"] == "no-store"


def test_links_need_no_token(guarded: Guarded, anything: dict[str, str]) -> None:
    url = guarded.url
    stream = requests.post(f"{url}/v1/streams", data=b"abc", headers=anything, timeout=60).json()["id"]
    requests.post(f"{url}/upload/links.txt", data=b"abc", headers=anything, timeout=60).raise_for_status()
    sealed = requests.post(f"{url}/uploadFile", headers=anything, timeout=60, **FORM).json()["file_id"]
    once = requests.put(guarded.service.vimeo, headers=anything, timeout=60, **FORM).json()["url"]
    for link in (f"/v1/streams/{stream}", "/download/links.txt", f"/downloadFile?file_id={sealed}"):
        assert call("GET", url + link).status_code == 200
        assert call("GET", url + link, headers=anything).status_code == 200
    assert call("POST", f"{url}/downloadFile", json={"file_id": sealed}).status_code == 200
    assert call("GET", once, headers=anything).status_code == 200
    for path in ("/ping", "/docs", "/openapi.json"):
        assert call("GET", url + path).status_code == 200
    assert call("OPTIONS", f"{url}/v1/streams").status_code == 200
    assert call("PATCH", f"{url}/v1/streams").status_code == 405


def test_no_cache_keeps_a_response_that_needed_a_token(guarded: Guarded, anything: dict[str, str]) -> None:
    name = f"{token_hex(4)}.txt"
    call("POST", f"{guarded.url}/upload/{name}", data=b"abc", headers=anything).raise_for_status()
    for path in ("/download", "/upload", "/v1/queues/q/streams"):
        for _ in range(4):
            assert call("GET", guarded.url + path, headers=anything).status_code == 200
            bare = call("GET", guarded.url + path)
            assert (bare.status_code, name in bare.text) == (401, False)
    call("DELETE", f"{guarded.url}/?file_hash={KEY}", headers=anything)
    assert call("DELETE", f"{guarded.url}/?file_hash={KEY}").status_code == 401


def test_a_revoked_token_is_refused_at_once(guarded: Guarded) -> None:
    token = guarded.token("brief", "streams:write")
    url = f"{guarded.url}/v1/streams"
    assert call("POST", url, data=b"x", headers=token).status_code == 201
    with guarded.app.app_context():
        api_tokens.revoke("brief")
    assert call("POST", url, data=b"x", headers=token).status_code == 401


def test_a_large_upload_without_a_token_is_refused_before_its_first_byte(guarded: Guarded) -> None:
    announced = f"Content-Length: {100 * MIB}\r\nExpect: 100-continue"
    head = f"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\n{announced}\r\n\r\n"
    if guarded.service.profile == "production":
        assert answered(guarded.service, head.encode()).startswith(b"HTTP/1.1 401 ")
    body = bytes(20 * MIB)
    answer = call("POST", f"{guarded.url}/v1/streams", data=body)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="vimeo_api"')
    await_(lambda: not guarded.service.spooled())


@pytest.mark.parametrize(
    "path", ["/v1/streams", "/upload/a.txt", "/v1/./streams", "/%76ideo/api/v1.0/file", "/nothing"]
)
def test_without_a_token_a_body_of_unknown_length_is_not_spooled(guarded: Guarded, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    first_line = answered(guarded.service, head.encode() + b"3\r\nabc\r\n0\r\n\r\n").split(b"\r\n")[0]
    assert first_line.split()[1] in {b"400", b"401", b"404"}


@pytest.mark.parametrize("path", ["/download", f"/v1/streams/{UUID}", "/downloadFile?file_id=x"])
def test_the_body_of_a_get_is_not_spooled(guarded: Guarded, path: str) -> None:
    if guarded.service.profile == "production":
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {4 * MIB}\r\n\r\n"
        assert answered(guarded.service, head.encode()).startswith(b"HTTP/1.1 413 ")


def test_a_quota_limits_the_bytes_stored_with_a_token(guarded: Guarded) -> None:
    token = guarded.token("small", "streams:*", quota=MIB)
    url = f"{guarded.url}/v1/streams"
    key = call("POST", url, data=bytes(MIB), headers=token).json()["id"]
    refused = call("POST", url, data=b"x", headers=token)
    assert (refused.status_code, refused.text) == (403, "The quota of this token has 0 bytes left.\n")
    large = call("POST", url, data=bytes(20 * MIB), headers=token)
    assert (large.status_code, large.text) == (403, refused.text)  # nginx refuses it before the body
    stored = guarded.service.stored()
    assert call("DELETE", f"{url}/{key}", headers=token).status_code == 200
    await_(lambda: stored - guarded.service.stored())
    await_(lambda: call("POST", url, data=bytes(MIB), headers=token).status_code == 201)
    await_(lambda: not guarded.service.spooled())


def test_tokens_are_ignored_by_default(service: Service) -> None:
    answer = call("POST", f"{service.url}/v1/streams", data=b"x", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 201
