"""The 4XX cache: what is cached, and that no stale response is served."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis.exceptions import TimeoutError as RedisTimeout

from tests.core.leasing import lease
from vimeo_api.core import policy
from vimeo_api.core.access import passwords
from vimeo_api.core.files import cache_generations, catalog, leases, storing
from vimeo_api.core.files.catalog import NewFile
from vimeo_api.extensions import blobs, cache
from vimeo_api.web.hooks import refusal_cache

LINK = "/vimeo/api/v1.0/file/k"
A = "a" * 32


@pytest.fixture
def client(app: Flask, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setattr(refusal_cache, "_breaker", type(refusal_cache._breaker)(seconds=60))  # noqa: SLF001
    monkeypatch.setattr(refusal_cache, "_refused", type(refusal_cache._refused)(20_000))  # noqa: SLF001
    return app.test_client()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that the database was asked for."""
    keys: list[str] = []
    find = catalog.find

    def noted(surface: str, key: str) -> catalog.Entry | None:
        keys.append(key)
        return find(surface, key)

    monkeypatch.setattr(catalog, "find", noted)
    return keys


def add(password: str | None = None) -> None:
    hashed = passwords.hashed(password) if password else None
    catalog.add(NewFile("vimeo", "k", blob="b", name="n.txt", size=3, password_hash=hashed))


def test_a_refusal_is_cached_after_it_was_computed_three_times(client: FlaskClient, asked: list[str]) -> None:
    answers = [client.get(LINK) for _ in range(5)]
    assert {(a.status_code, a.text, a.content_type) for a in answers} == {(404, answers[0].text, "application/json")}
    assert len(asked) == 3  # the first asks no cache, the second plants the generation, the third keeps its answer


def upload() -> None:
    with blobs.stage() as staging:
        storing.upload(policy.NAMED, staging, name="a.pdf")


def get_named(client: FlaskClient) -> int:
    return client.get("/download/a.pdf", environ_overrides={"werkzeug.socket": None}).status_code


def test_an_upload_makes_cached_refusals_stale(client: FlaskClient) -> None:
    assert [get_named(client) for _ in range(4)] == [404] * 4
    upload()
    assert [get_named(client) for _ in range(2)] == [200] * 2


def test_a_response_from_before_a_commit_is_never_served_after_it(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = catalog.find
    assert [get_named(client) for _ in range(2)] == [404] * 2  # the second plants the generation

    def overtaken(surface: str, key: str) -> catalog.Entry | None:
        found = find(surface, key)
        monkeypatch.setattr(catalog, "find", find)
        upload()  # commits between this request's look at the database and its note in the cache
        return found

    monkeypatch.setattr(catalog, "find", overtaken)
    assert [get_named(client) for _ in range(2)] == [404, 200]


def test_no_401_is_cached_while_the_file_is_leased(client: FlaskClient) -> None:
    add(password="p")
    for _ in range(3):
        assert client.get(LINK).status_code == 401
    entry = catalog.find("vimeo", "k")
    assert entry is not None
    lease(entry.id, A)
    for _ in range(3):
        assert client.get(LINK).headers["Cache-Control"] == "no-store"
    leases.use_up(entry.id, A, grace_seconds=0)
    assert client.get(LINK).status_code == 410


def test_credentials_and_method_are_part_of_the_cache_key(client: FlaskClient, asked: list[str]) -> None:
    add(password="p")
    for _ in range(3):
        for headers in ({}, {"X-File-Password": "a"}, {"X-File-Password": "b"}, {"Authorization": "Basic Og=="}):
            assert client.get(LINK, headers=headers).status_code == 401
            assert client.head(LINK, headers=headers).status_code == 401
    before = len(asked)
    assert client.get(LINK, headers={"X-File-Password": "a"}).status_code == 401
    assert len(asked) == before


def test_unknown_paths_and_wrong_methods_are_remembered_with_their_headers(client: FlaskClient) -> None:
    for _ in range(4):
        answer = client.get("/vimeo/api/v1.0/file")
        assert (answer.status_code, answer.json) == (
            405,
            {"error": "Method not Allowed", "message": "This path does not have this method."},
        )
        assert "PUT" in answer.headers["Allow"]
        assert client.get("/vimeo/nothing").get_json()["error"] == "Not Found"


def test_requests_work_without_the_cache(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    calls: list[str] = []

    def down(*_: object, **__: object) -> None:
        calls.append("cache")
        raise RedisTimeout

    for name in ("get_many", "set", "add"):
        monkeypatch.setattr(cache, name, down)
    for _ in range(3):
        assert client.get(LINK).status_code == 404
    assert len(asked) == 3
    assert len(calls) == 1  # and leaves it alone for a while


def test_cache_entries_reveal_nothing(app: Flask, client: FlaskClient) -> None:
    kept = list((app.config["SETTINGS"].data_dir / "cache").glob("*"))
    add(password="sesame")
    for _ in range(3):
        client.get(f"{LINK}?password=wrong-sesame")
    new = [path for path in (app.config["SETTINGS"].data_dir / "cache").glob("*") if path not in kept]
    assert new
    for path in new:
        assert b"sesame" not in path.read_bytes()
        assert b"sesame" not in path.name.encode()


def test_a_damaged_entry_is_ignored(app: Flask, client: FlaskClient) -> None:
    for _ in range(3):
        client.get(LINK)
    folder = app.config["SETTINGS"].data_dir / "cache"
    for path in folder.glob("*"):
        path.write_bytes(path.read_bytes()[:4] + b"\x80\x05not json")
    assert client.get(LINK).status_code == 404


def test_renewing_a_generation_without_a_cache_is_no_error(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object, **__: object) -> None:
        raise RedisTimeout

    monkeypatch.setattr(cache, "set", down)
    cache_generations.renew("vimeo", "k")


def test_a_scan_of_unknown_keys_never_reads_the_cache(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def met(*_: object, **__: object) -> None:
        raise AssertionError

    for name in ("get_many", "set", "add"):
        monkeypatch.setattr(cache, name, met)
    for number in range(100):
        assert client.get(f"/vimeo/api/v1.0/file/{number}").status_code == 404


def test_the_set_of_refused_requests_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    recent = type(refusal_cache._refused)(100)  # noqa: SLF001
    for number in range(1000):
        recent.add(number)
        assert number in recent
    assert 0 not in recent
    assert sum(number in recent for number in range(1000)) <= 202
