"""The surface `vimeo` as its clients see it, in both profiles: its document, its passwords and its paths."""

import random
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.services import Service
from tests.surfaces.vimeo import PASSWORD, get, gone, put, refused


def test_it_serves_the_examples_of_its_document(service: Service, tmp_path: Path) -> None:
    before = service.stored()
    report = tmp_path / "report.xls"
    report.write_bytes(random.randbytes(300_000))
    with report.open("rb") as file:
        res = requests.put(service.vimeo, files={"file": file}, data={"password": PASSWORD}, timeout=60)
    assert res.status_code == 201
    assert [*res.json()][:2] == ["status", "url"]  # in the order of its document
    url = res.json()["url"]
    assert url.startswith(f"{service.vimeo}/")
    assert len(url.rsplit("/", 1)[1]) == 32
    assert len(service.stored() - before) == 1

    refused(get(url), 401, "Unauthorized")
    refused(get(url, params={"password": "wrong"}), 401, "Unauthorized")
    res = get(url, params={"password": PASSWORD})
    assert res.status_code == 200
    assert res.content == report.read_bytes()
    assert res.headers["Content-Type"] == "application/vnd.ms-excel"
    assert res.headers["Content-Disposition"] == 'attachment; filename="report.xls"'
    assert res.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in res.headers["Content-Security-Policy"]
    gone(url, params={"password": PASSWORD})
    refused(get(url), 410, "Gone")


def test_it_finds_the_file_under_any_field_name(service: Service) -> None:
    answer = get(requests.put(service.vimeo, files={"photo": ("a.png", b"first")}, timeout=60).json()["url"])
    assert answer.content == b"first"
    assert answer.headers["Content-Type"] == "image/png"
    letter = get(put(service, b"PK", name="letter.docx")).headers["Content-Type"]
    assert letter == "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def test_it_takes_the_password_by_query_basic_or_header(service: Service) -> None:
    password = "pässword ✓ &?="
    ways: list[dict[str, object]] = [
        {"params": {"password": password}},
        {"auth": ("anyone", password.encode())},
        {"headers": {"X-File-Password": password.encode()}},
    ]
    for way in ways:
        link = put(service, b"secret", password=password)
        challenge = get(link)
        refused(challenge, 401, "Unauthorized")
        assert challenge.headers["WWW-Authenticate"].startswith("Basic ")
        assert get(link, **way).content == b"secret"


WAYS: dict[str, dict[str, Any]] = {
    "field": {"data": {"password": PASSWORD}},
    "blob": {"files": {"password": ("blob", PASSWORD, "text/plain"), "file": ("a.txt", b"secret")}},
    "query": {"params": {"password": PASSWORD}},
    "basic": {"auth": ("anyone", PASSWORD)},
    "header": {"headers": {"X-File-Password": PASSWORD}},
    "all": {
        "data": {"password": PASSWORD},
        "params": {"password": PASSWORD},
        "auth": ("", PASSWORD),
        "headers": {"X-File-Password": PASSWORD},
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_a_password_protects_the_file_whichever_way_it_is_sent(service: Service, way: str) -> None:
    answer = requests.put(service.vimeo, **{"files": {"file": ("a.txt", b"secret")}, **WAYS[way]}, timeout=60)
    assert answer.status_code == 201, answer.text
    refused(get(answer.json()["url"]), 401, "Unauthorized")
    assert get(answer.json()["url"], params={"password": PASSWORD}).content == b"secret"


ODD: dict[str, dict[str, Any]] = {
    "The password is empty.": {"data": {"password": ""}},
    "The request has several passwords that differ.": {"data": {"password": "a"}, "params": {"password": "b"}},
    "The password in Authorization cannot be read.": {"headers": {"Authorization": "Basic %%%"}},
    "The form has two values of password.": {"data": [("password", "a"), ("password", "b")]},
    "The form has 'pasword', which is not one of: downloads, expires_in, notify, password.": {"data": {"pasword": "a"}},
    "The query has 'pasword', which is not one of: expires_in, password.": {"params": {"pasword": "a"}},
    "downloads must be a number from 1 to 10000.": {"data": {"downloads": "10001"}},
    "expires_in must be a number of seconds, or a duration such as 30m, 12h or 7d.": {"data": {"expires_in": "soon"}},
}


@pytest.mark.parametrize("sentence", ODD)
def test_it_refuses_what_it_does_not_understand_instead_of_ignoring_it(service: Service, sentence: str) -> None:
    before = service.stored()
    answer = requests.put(service.vimeo, **{"files": {"file": ("a.txt", b"secret")}, **ODD[sentence]}, timeout=60)
    refused(answer, 400, "Bad Request")
    assert answer.json()["message"] == sentence
    assert service.stored() <= before  # others' files may be removed meanwhile


@pytest.mark.parametrize(
    "empty", [{"params": {"password": ""}}, {"headers": {"X-File-Password": ""}}, {"auth": ("me", "")}]
)
def test_an_empty_password_is_refused_whichever_way_it_is_sent(service: Service, empty: dict[str, Any]) -> None:
    refused(requests.put(service.vimeo, files={"file": ("a.txt", b"x")}, timeout=60, **empty), 400, "Bad Request")


def test_it_ignores_a_password_for_an_unprotected_file(service: Service) -> None:
    assert get(put(service, b"open"), params={"password": "anything"}).content == b"open"


def test_it_refuses_a_password_that_is_too_long(service: Service) -> None:
    before = service.stored()
    answer = requests.put(service.vimeo, files={"file": ("a", b"x")}, data={"password": "x" * 1025}, timeout=60)
    refused(answer, 400, "Bad Request")
    link = put(service, b"x", password="y" * 1024)
    refused(get(link, headers={"X-File-Password": "y" * 1025}), 401, "Unauthorized")
    assert get(link, headers={"X-File-Password": "y" * 1024}).content == b"x"
    assert len(service.stored() - before) == 1


def test_it_knows_its_paths_and_methods(service: Service) -> None:
    link = put(service, b"x")
    known = [
        ("GET", service.vimeo, "PUT"),
        ("POST", service.vimeo, "PUT"),
        ("DELETE", service.vimeo, "PUT"),
        ("PUT", link, "GET"),
        ("DELETE", link, "GET"),
    ]
    for method, url, allowed in known:
        answer = requests.request(method, url, timeout=60)
        refused(answer, 405, "Method not Allowed")
        assert answer.headers["Allow"] == ", ".join(sorted(answer.headers["Allow"].split(", ")))
        assert allowed in answer.headers["Allow"]
    for path in ("/vimeo", "/vimeo/", "/vimeo/api/v1.0/file/", "/vimeo/api/v1.0/file/a/b", "/vimeo//api/v1.0/file"):
        refused(requests.get(service.url + path, timeout=60), 404, "Not Found")
    for key in ("0" * 32, "x" * 5000):
        refused(requests.get(f"{service.vimeo}/{key}", timeout=60), 404, "Not Found")
    for key in ("..%2f..", "%ff"):
        refused(requests.get(f"{service.vimeo}/{key}", timeout=60), 400, "Bad Request")
    answer = requests.get(f"{service.vimeo}/%00", timeout=60)  # nginx does not even hand it on
    assert (answer.status_code, answer.json()["error"]) in {(404, "Not Found"), (400, "Bad Request")}
    options = requests.options(link, timeout=60)
    assert options.status_code == 200
    assert {"GET", "HEAD", "OPTIONS"} <= set(options.headers["Allow"].split(", "))
    assert get(link).content == b"x"


def test_its_links_follow_the_host_that_the_client_used(service: Service) -> None:
    answer = requests.put(
        service.vimeo, files={"file": ("a", b"x")}, headers={"Host": f"localhost:{service.port}"}, timeout=60
    )
    assert answer.json()["url"].startswith(f"http://localhost:{service.port}/vimeo/")


def test_a_cached_refusal_never_outlives_its_reason(service: Service) -> None:
    link = put(service, b"x", password=PASSWORD)
    for _ in range(4):
        refused(get(link), 401, "Unauthorized")
        refused(get(link, params={"password": "wrong"}), 401, "Unauthorized")
    assert get(link, params={"password": PASSWORD}).content == b"x"
    gone(link, params={"password": PASSWORD})
    for _ in range(4):
        refused(get(link), 410, "Gone")
        refused(get(link, params={"password": "wrong"}), 410, "Gone")
