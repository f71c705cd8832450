"""Who may do what, with real requests: tokens, quotas, limits and origins."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import pytest
import requests
from flask import Flask

from tests.services import Service, await_, running
from vimeo_api import config
from vimeo_api.app import create_app
from vimeo_api.core import tokens
from vimeo_api.extensions import db

MIB = 1024**2
ORIGIN = "https://pages.example"
LIMITS = {
    "REQUIRE_TOKENS": "1",
    "TRUSTED_PROXIES": "1",
    "PASSWORD_LIMIT_ADDRESS": "3 per hour",
    "PASSWORD_LIMIT_FILE": "5 per hour",
    "STORE_UPLOAD_LIMIT": "2 per hour",
    "CORS_ORIGINS": f"{ORIGIN},https://other.example",
}


@dataclass
class Guarded:
    """The real service with everything that guards it turned on, and an app of our own on its database."""

    service: Service
    app: Flask

    def token(self, name: str, *scopes: str, quota: int | None = None) -> dict[str, str]:
        """Return the header of a new token."""
        with self.app.app_context():
            return {"Authorization": f"Bearer {tokens.create(name, scopes, quota=quota)}"}


@pytest.fixture(scope="module", params=["embedded", "production"])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    data = tmp_path_factory.mktemp("guarded") / "data"
    with running(request.param, data, **LIMITS) as service:
        postgresql = f"postgresql+psycopg:///vimeo_api?host={data / 'run'}&user=vimeo_api"
        places = {"DATABASE_URL": postgresql} if request.param == "production" else {}
        app = create_app(config.load({"DATA_DIR": str(data), "PROFILE": "embedded", **places}))
        yield Guarded(service, app)
        with app.app_context():
            db.engine.dispose()


@pytest.fixture(scope="module")
def anything(guarded: Guarded) -> dict[str, str]:
    return guarded.token("anything", "*:*")


def call(method: str, url: str, **more: Any) -> requests.Response:
    return requests.request(method, url, timeout=60, allow_redirects=False, **more)


FORM: dict[str, Any] = {"files": {"file": ("report.xls", b"numbers")}}
KEY = "0" * 32
UUID = "20ef43f7-4bfd-4b86-9204-7c857a09a940"

# Method, path, scope, what else is sent.
PROTECTED: list[tuple[str, str, str, dict[str, Any]]] = [
    ("PUT", "/vimeo/api/v1.0/file", "vimeo:write", FORM),
    ("POST", "/v1/streams", "streams:write", {"data": b"x"}),
    ("PUT", "/v1/streams", "streams:write", {"data": b"x"}),
    ("DELETE", f"/v1/streams/{UUID}", "streams:delete", {}),
    ("POST", "/v1/streams:join", "streams:write", {"json": {"streams": [UUID]}}),
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
    ("POST", "/uploadFile", "transfer:write", FORM),
    ("POST", "/uploadFile", "transfer:write", {"json": {"file": "http://localhost/"}}),
    ("DELETE", "/uploadFile/1:x", "transfer:delete", {}),
]


@pytest.mark.parametrize(("method", "path", "scope", "body"), PROTECTED)
def test_it_needs_a_token_of_the_right_scope(
    guarded: Guarded, method: str, path: str, scope: str, body: dict[str, Any]
) -> None:
    url = guarded.service.url + path
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


@pytest.mark.parametrize(
    ("method", "path", "kind", "text"),
    [
        ("PUT", "/vimeo/api/v1.0/file", "application/json", '{"error":"Unauthorized"}\n'),
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
def test_it_refuses_in_the_dialect_of_the_surface(
    guarded: Guarded, method: str, path: str, kind: str, text: str
) -> None:
    answer = call(method, guarded.service.url + path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, kind)
    assert text in answer.content.decode()
    assert answer.headers["Cache-Control"] == "no-store"


def test_links_stay_open_to_whoever_holds_them(guarded: Guarded, anything: dict[str, str]) -> None:
    url = guarded.service.url
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


def test_a_revoked_token_is_worthless_at_once(guarded: Guarded) -> None:
    token = guarded.token("brief", "streams:write")
    url = f"{guarded.service.url}/v1/streams"
    assert call("POST", url, data=b"x", headers=token).status_code == 201
    with guarded.app.app_context():
        tokens.revoke("brief")
    assert call("POST", url, data=b"x", headers=token).status_code == 401
    assert token["Authorization"].split()[1] not in guarded.service.logs()


def test_a_large_upload_without_a_token_is_refused_before_its_first_byte(guarded: Guarded) -> None:
    head = f"POST /v1/streams HTTP/1.1\r\nHost: h\r\nContent-Length: {100 * MIB}\r\nExpect: 100-continue\r\n\r\n"
    if guarded.service.profile == "production":
        assert answered(guarded, head.encode()).startswith(b"HTTP/1.1 401 ")
    body = bytes(20 * MIB)
    answer = call("POST", f"{guarded.service.url}/v1/streams", data=body)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="vimeo_api"')
    assert guarded.service.spooled() == set()


@pytest.mark.parametrize(
    "path", ["/v1/streams", "/upload/a.txt", "/v1/./streams", "/%76ideo/api/v1.0/file", "/nothing"]
)
def test_nothing_of_unknown_length_is_spooled_without_a_token(guarded: Guarded, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    first_line = answered(guarded, head.encode() + b"3\r\nabc\r\n0\r\n\r\n").split(b"\r\n")[0]
    assert first_line.split()[1] in {b"401", b"404"}


@pytest.mark.parametrize("path", ["/download", f"/v1/streams/{UUID}", "/downloadFile?file_id=x"])
def test_no_body_of_a_get_fills_the_spool(guarded: Guarded, path: str) -> None:
    if guarded.service.profile == "production":
        head = f"GET {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {4 * MIB}\r\n\r\n"
        assert answered(guarded, head.encode()).startswith(b"HTTP/1.1 413 ")


def answered(guarded: Guarded, request: bytes) -> bytes:
    """Send a request as it stands, and return the beginning of its answer."""
    with socket.create_connection(("127.0.0.1", guarded.service.port), timeout=60) as connection:
        connection.sendall(request)
        return connection.recv(4096)


def test_a_quota_bounds_what_is_stored_with_a_token(guarded: Guarded) -> None:
    token = guarded.token("small", "streams:*", quota=MIB)
    url = f"{guarded.service.url}/v1/streams"
    key = call("POST", url, data=bytes(MIB), headers=token).json()["id"]
    refused = call("POST", url, data=b"x", headers=token)
    assert (refused.status_code, refused.text) == (403, "The quota of this token has 0 bytes left.\n")
    large = call("POST", url, data=bytes(20 * MIB), headers=token)
    assert large.status_code == 403
    stored = guarded.service.stored()
    assert call("DELETE", f"{url}/{key}", headers=token).status_code == 200
    await_(lambda: guarded.service.stored() < stored)
    await_(lambda: call("POST", url, data=bytes(MIB), headers=token).status_code == 201)
    assert guarded.service.spooled() == set()


def test_wrong_passwords_are_counted_by_address_and_right_ones_are_not(
    guarded: Guarded, anything: dict[str, str]
) -> None:
    form = {**FORM, "data": {"password": "sesame"}}
    link = requests.put(guarded.service.vimeo, headers=anything, timeout=60, **form).json()["url"]

    def attempt(password: str, address: str, method: str = "HEAD", url: str = link) -> requests.Response:
        return call(method, url, headers={"X-File-Password": password, "X-Forwarded-For": address})

    assert [attempt("sesame", "192.0.2.1").status_code for _ in range(10)] == [200] * 10
    # The second wrong one may be answered from the cache of refusals, and counts all the same.
    assert [attempt("wrong", "192.0.2.1").status_code for _ in range(4)] == [401, 401, 401, 429]
    refused = attempt("sesame", "192.0.2.1", "GET")
    assert (refused.status_code, refused.json()) == (429, {"error": "Too Many Requests"})
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    assert call("GET", link).status_code == 401  # without a password nothing is counted
    # What a client writes in front of the trusted proxy's entry is not believed.
    assert attempt("sesame", "198.51.100.7, 192.0.2.1").status_code == 429

    assert attempt("sesame", "192.0.2.2").status_code == 200
    assert [attempt("wrong", "192.0.2.2").status_code for _ in range(3)] == [401, 401, 429]  # five for the file
    assert attempt("sesame", "192.0.2.3").status_code == 429
    other = requests.put(guarded.service.vimeo, headers=anything, timeout=60, **form).json()["url"]
    assert attempt("sesame", "192.0.2.3", url=other).status_code == 200
    assert link.rsplit("/", 1)[1] not in guarded.service.logs().replace(
        f"/vimeo/api/v1.0/file/{link.rsplit('/', 1)[1]}", ""
    )


def test_uploads_are_limited_by_token(guarded: Guarded) -> None:
    first, second = guarded.token("first", "store:*"), guarded.token("second", "store:*")

    def upload(token: dict[str, str]) -> requests.Response:
        return call("POST", f"{guarded.service.url}/", data=b"x", headers=token)

    assert [upload(first).status_code for _ in range(3)] == [200, 200, 429]
    assert upload(first).text == "Too many attempts; try again later."
    assert 0 < int(upload(first).headers["Retry-After"]) <= 3600
    assert upload(second).status_code == 200
    digest = upload(second).text
    assert call("GET", f"{guarded.service.url}/?file_hash={digest}").status_code == 200


def test_pages_of_named_origins_may_ask(guarded: Guarded, anything: dict[str, str]) -> None:
    url = f"{guarded.service.url}/v1/streams"
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    preflight = call("OPTIONS", url, headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    key = call("POST", url, data=b"abc", headers=anything | {"Origin": ORIGIN}).json()["id"]
    once = requests.put(guarded.service.vimeo, headers=anything, timeout=60, **FORM).json()["url"]
    for link in (*[f"{url}/{key}"] * 4, once):
        for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example", None), (None, None)):
            answer = call("HEAD", link, headers={"Origin": origin} if origin else {})
            assert (answer.status_code, answer.headers.get("Access-Control-Allow-Origin")) == (200, allowed)
            assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Origin" not in call("POST", url, headers={"Origin": "https://evil.example"}).headers


def test_other_sites_may_not_ask_by_default(service: Service) -> None:
    answer = call("GET", f"{service.url}/ping", headers={"Origin": ORIGIN})
    assert not {"Access-Control-Allow-Origin", "Vary"} & set(answer.headers)


def test_tokens_are_not_looked_at_by_default(service: Service) -> None:
    answer = call("POST", f"{service.url}/v1/streams", data=b"x", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 201
