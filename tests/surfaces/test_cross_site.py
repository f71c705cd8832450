"""A page of another site can change nothing in its visitor's name, in both profiles."""

import pytest
import requests

from tests.services import Service

EVIL = "https://evil.example"
WRITES = [
    ("PUT", "/vimeo/api/v1.0/file"),
    ("POST", "/v1/streams"),
    ("POST", "/v1/queues/q/take"),
    ("POST", "/"),
    ("POST", "/upload"),
    ("POST", "/upload/cross.txt"),
    ("POST", "/uploadFile"),
    ("DELETE", "/?file_hash=0"),
]
FOREIGN = [
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Origin": "http://[broken"},
    {"Sec-Fetch-Site": "cross-site", "Origin": EVIL},
    {"Sec-Fetch-Site": "same-site"},
]


def ask(service: Service, method: str, path: str, headers: dict[str, str]) -> requests.Response:
    files = {"file": ("cross.txt", b"x")} if method != "DELETE" else None
    return requests.request(method, service.url + path, headers=headers, files=files, timeout=60, allow_redirects=False)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_page_of_another_site_changes_nothing(
    service: Service, method: str, path: str, headers: dict[str, str]
) -> None:
    assert ask(service, method, path, headers).status_code == 403
    assert requests.get(f"{service.url}/download/cross.txt", timeout=60).status_code == 404


def test_the_refusal_has_the_error_format_of_its_surface(service: Service) -> None:
    answer = ask(service, "PUT", "/vimeo/api/v1.0/file", {"Origin": EVIL})
    assert answer.json()["error"] == "Forbidden"


@pytest.mark.parametrize("site", [None, "same-origin", "none"])
def test_our_own_page_and_programs_are_allowed(service: Service, site: str | None) -> None:
    origin = {"Origin": service.url.upper().replace("HTTP", "http")}
    for headers in ({}, origin) if site is None else ({"Sec-Fetch-Site": site},):
        assert ask(service, "POST", "/v1/streams", headers).status_code == 201


def test_a_page_of_another_site_may_link_to_a_file(service: Service) -> None:
    key = ask(service, "POST", "/v1/streams", {}).json()["id"]
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}
    assert requests.get(f"{service.url}/v1/streams/{key}", headers=headers, timeout=60).status_code == 200


@pytest.mark.parametrize("path", ["/upload", "/download", "/ping", "/docs", "/healthz"])
def test_no_cookie_is_set(service: Service, path: str) -> None:
    assert "Set-Cookie" not in requests.get(service.url + path, timeout=60).headers
