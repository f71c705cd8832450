"""Brute force and rates, with real requests to both profiles."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.access.guarded import FORM, PROTECTED, Guarded, call
from tests.origin import Origin, Page
from tests.production.parts import frozen, stopped
from tests.services import Service, running
from vimeo_api import config


def test_wrong_passwords_are_counted_by_address_and_right_ones_are_not(
    guarded: Guarded, anything: dict[str, str]
) -> None:
    link = call("PUT", guarded.service.vimeo, headers=anything, **PROTECTED).json()["url"]

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


@pytest.mark.parametrize("profile", ["embedded", "production"])
def test_without_trusted_proxies_nobody_hides_behind_a_forged_address(profile: str, tmp_path: Path) -> None:
    with running(profile, tmp_path / "data", PASSWORD_LIMIT_ADDRESS="3 per hour") as service:
        links = [call("PUT", service.vimeo, **PROTECTED).json()["url"] for _ in range(5)]
        found = []
        for number, link in enumerate(links):
            forged = dict.fromkeys(("X-Forwarded-For", "X-Real-IP", "Forwarded"), f"192.0.2.{number}")
            found.append(call("GET", link, params={"password": "wrong"}, headers=forged).status_code)
        assert found == [401, 401, 401, 429, 429]
        assert call("GET", links[0], params={"password": "sesame"}).status_code == 429
        assert call("HEAD", links[0]).status_code == 401
        assert call("GET", call("PUT", service.vimeo, **FORM).json()["url"]).status_code == 200


def test_guesses_are_limited_and_uploads_are_not_by_default(tmp_path: Path) -> None:
    default = {row.name: row.default for _, rows in config.table() for row in rows}["PASSWORD_LIMIT_ADDRESS"]
    with running("embedded", tmp_path / "data", PASSWORD_LIMIT_ADDRESS=default) as service:
        link = call("PUT", service.vimeo, **PROTECTED).json()["url"]
        statuses = [call("GET", link, auth=("user", f"wrong {number}")).status_code for number in range(21)]
        assert set(statuses) == {401, 429}
        assert statuses == sorted(statuses)
        assert [call("POST", f"{service.url}/v1/streams", data=b"x").status_code for _ in range(40)] == [201] * 40


def test_an_upload_that_shows_a_password_counts_as_an_upload(tmp_path: Path) -> None:
    with running("embedded", tmp_path / "data", VIMEO_UPLOAD_LIMIT="2 per hour") as service:
        assert [call("PUT", service.vimeo, **FORM).status_code for _ in range(2)] == [201, 201]
        shown: list[dict[str, Any]] = [
            {"auth": ("user", "x")},
            {"headers": {"X-File-Password": "x"}},
            {"params": {"password": "x"}},
        ]
        assert [call("PUT", service.vimeo, **FORM, **how).status_code for how in shown] == [429] * 3


Disturb = Callable[[Service, str], AbstractContextManager[None]]


@pytest.mark.parametrize("disturb", [stopped, frozen])
def test_guesses_are_counted_in_memory_while_redis_is_away(
    all_guarded: Callable[[str], Guarded], disturb: Disturb
) -> None:
    guarded = all_guarded("production")
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
