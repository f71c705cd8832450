"""Brute force and rate limits: real requests to both profiles, in-process requests where those are enough."""

import io
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.access.guarded import FORM, PROTECTED, Guarded, call
from tests.inprocess import PROFILES, made
from tests.origin import Origin, Page
from tests.production.parts import frozen, stopped
from tests.services import Service, await_
from vimeo_api.core.access import api_tokens

VIMEO = "/vimeo/api/v1.0/file"
FORGED = ("X-Forwarded-For", "X-Real-IP", "Forwarded")


def test_wrong_passwords_are_counted_by_address_and_right_ones_are_not(
    guarded: Guarded, anything: dict[str, str]
) -> None:
    link = call("PUT", guarded.service.vimeo, headers=anything, **PROTECTED).json()["url"]

    def attempt(password: str, address: str, method: str = "HEAD", url: str = link) -> requests.Response:
        return call(method, url, headers={"X-File-Password": password, "X-Forwarded-For": address})

    assert [attempt("sesame", "192.0.2.1").status_code for _ in range(10)] == [200] * 10
    # The second wrong one may be answered from the cache of refusals, and still counts.
    assert [attempt("wrong", "192.0.2.1").status_code for _ in range(4)] == [401, 401, 401, 429]
    refused = attempt("sesame", "192.0.2.1", "GET")
    assert (refused.status_code, refused.json()) == (
        429,
        {"error": "Too Many Requests", "message": "Too many attempts; try again later."},
    )
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    assert call("GET", link).status_code == 401  # without a password nothing is counted
    # Entries that a client writes before the trusted proxy's entry are not trusted.
    assert attempt("sesame", "198.51.100.7, 192.0.2.1").status_code == 429

    assert attempt("sesame", "192.0.2.2").status_code == 200
    assert [attempt("wrong", "192.0.2.2").status_code for _ in range(3)] == [401, 401, 429]  # five for the file
    assert attempt("sesame", "192.0.2.3").status_code == 429
    other = call("PUT", guarded.service.vimeo, headers=anything, **PROTECTED).json()["url"]
    assert attempt("sesame", "192.0.2.3", url=other).status_code == 200


def test_uploads_are_limited_by_token(guarded: Guarded) -> None:
    first, second = guarded.token("first", "store:*"), guarded.token("second", "store:*")

    def upload(token: dict[str, str]) -> requests.Response:
        return call("POST", f"{guarded.url}/", data=b"x", headers=token)

    assert [upload(first).status_code for _ in range(3)] == [200, 200, 429]
    assert upload(first).text == "Too many attempts; try again later."
    assert 0 < int(upload(first).headers["Retry-After"]) <= 3600
    assert upload(second).status_code == 200
    digest = upload(second).text
    assert call("GET", f"{guarded.url}/?file_hash={digest}").status_code == 200


def test_fetches_are_limited_by_token(guarded: Guarded, anything: dict[str, str], origin: Origin) -> None:
    url = origin.serve("/x", Page(content=b"x"))

    def fetch() -> requests.Response:
        return call("POST", f"{guarded.url}/uploadFile", json={"file": url}, headers=anything)

    assert fetch().status_code in {200, 202}
    refused = fetch()
    assert (refused.status_code, refused.json()) == (429, {"error": "Too many attempts; try again later."})
    assert call("POST", f"{guarded.url}/uploadFile", headers=anything, **FORM).status_code == 200  # is no fetch


def form(**fields: str) -> dict[str, Any]:
    """Return what the client in this process sends as a form with a file."""
    return {"data": {**fields, "file": (io.BytesIO(b"numbers"), "report.xls")}}


@pytest.mark.parametrize("service", ["production"], indirect=True)
def test_behind_nginx_a_forged_address_is_not_what_the_service_sees(service: Service) -> None:
    before = service.log_sizes()
    # nginx's second server asks for one of them, and the first for the other.
    for path in ("/v1/streams/none", f"{VIMEO}/none"):
        answer = call("GET", f"{service.url}{path}", headers=dict.fromkeys(FORGED, "192.0.2.1"))
        assert answer.status_code == 404
        logged = partial(refusals, service, before, answer.headers["X-Request-Id"])
        assert [line["address"] for line in await_(logged)] == ["127.0.0.1"]


def refusals(service: Service, before: Mapping[Path, int], request: str) -> list[dict[str, Any]]:
    """Return what the log of events says of a refused request."""
    said = [line for line in service.logs_since(before).splitlines() if request in line and "vimeo_api.events" in line]
    return [line for line in map(json.loads, said) if line["action"] == "refused"]


@pytest.mark.parametrize("profile", PROFILES)
def test_without_trusted_proxies_a_forged_address_does_not_evade_limits(profile: str, tmp_path: Path) -> None:
    with made(profile, tmp_path / "data", PASSWORD_LIMIT_ADDRESS="3 per hour") as app:
        client = app.test_client()
        links = [client.put(VIMEO, **form(password="sesame")).get_json()["url"] for _ in range(5)]
        found = []
        for number, link in enumerate(links):
            forged = dict.fromkeys(FORGED, f"192.0.2.{number}")
            found.append(client.get(link, headers=forged, query_string={"password": "wrong"}).status_code)
        assert found == [401, 401, 401, 429, 429]
        assert client.get(links[0], query_string={"password": "sesame"}).status_code == 429
        assert client.head(links[0]).status_code == 401
        assert client.get(client.put(VIMEO, **form()).get_json()["url"]).status_code == 200


def test_wrong_passwords_are_limited_by_default_and_uploads_are_not(tmp_path: Path) -> None:
    with made("embedded", tmp_path / "data") as app:
        client = app.test_client()
        link = client.put(VIMEO, **form(password="sesame")).get_json()["url"]
        statuses = [client.get(link, auth=("user", f"wrong {number}")).status_code for number in range(21)]
        assert set(statuses) == {401, 429}
        assert statuses == sorted(statuses)
        assert [client.post("/v1/streams", data=b"x").status_code for _ in range(40)] == [201] * 40


@pytest.mark.parametrize(
    "shown", [{"auth": ("user", "x")}, {"headers": {"X-File-Password": "x"}}, {"query_string": {"password": "x"}}]
)
def test_an_upload_with_a_password_counts_as_an_upload(tmp_path: Path, shown: dict[str, Any]) -> None:
    with made("embedded", tmp_path / "data", VIMEO_UPLOAD_LIMIT="2 per hour") as app:
        client = app.test_client()
        assert [client.put(VIMEO, **form()).status_code for _ in range(2)] == [201, 201]
        assert client.put(VIMEO, **form(), **shown).status_code == 429


Disturb = Callable[[Service, str], AbstractContextManager[None]]


@pytest.mark.parametrize("guarded", ["production"], indirect=True)
@pytest.mark.parametrize("disturb", [stopped, frozen])
def test_wrong_passwords_are_counted_in_memory_while_redis_is_down(guarded: Guarded, disturb: Disturb) -> None:
    token = guarded.token(f"while {disturb.__name__}", "vimeo:write", "store:write")
    link = call("PUT", guarded.service.vimeo, headers=token, **PROTECTED).json()["url"]
    address = {"X-Forwarded-For": f"192.0.2.{100 + len(disturb.__name__)}"}
    with disturb(guarded.service, "redis-cache"):
        statuses: list[int] = []
        # Each process counts for itself.
        while 429 not in statuses[-8:] and len(statuses) < 100:
            statuses.append(call("GET", link, params={"password": "wrong"}, headers=address).status_code)
        assert set(statuses) == {401, 429}
        assert call("POST", f"{guarded.url}/", data=b"x", headers=token).status_code == 200
        assert call("GET", f"{guarded.url}/ping").status_code == 200


@pytest.mark.parametrize("profile", PROFILES)
def test_a_token_with_a_full_quota_may_still_delete(profile: str, tmp_path: Path) -> None:
    with made(profile, tmp_path / "data", REQUIRE_TOKENS="1") as app:
        client = app.test_client()
        with app.app_context():
            headers = {"Authorization": f"Bearer {api_tokens.create('robot', ['streams:*'], quota=5000)}"}
        key = client.post("/v1/streams", data=bytes(5000), headers=headers).get_json()["id"]
        refused = client.post("/v1/streams", headers=headers)
        assert (refused.status_code, refused.text) == (403, "The quota of this token has 0 bytes left.\n")
        assert client.delete(f"/v1/streams/{key}", headers=headers).status_code == 200
        assert client.post("/v1/streams", data=bytes(5000), headers=headers).status_code == 201
