"""Poisoned Host headers: links contain the host, so a cache that ignored it would give one client's links to others."""

import json
import secrets

import pytest
import requests

from tests.attacks.wire import ask
from tests.services import Service

pytestmark = pytest.mark.usefixtures("unharmed")

EVIL = "evil.example"
ODD = ["a b", "a/b", 'a"b', "<x>", "a@b", "a\\b", "x:99999", "[::1", "[zz]:1", "", "..", "x..y", "a,b", "é"]
ODD += ["a%0d", "a?b", "a#b", "a\tb", ":80", "x:0", "x:abc", "x:80:80", "x:8_0", "-a", "a." + "b" * 64]


@pytest.mark.parametrize("host", ODD)
def test_an_invalid_host_is_refused(service: Service, host: str) -> None:
    assert ask(service, "/download", host=host).status == 400


@pytest.mark.parametrize(
    ("host", "root"), [("x:00080 ", "x"), ("a_b.example:", "a_b.example"), ("A.Example.:0081", "a.example:81")]
)
def test_links_normalize_the_host(service: Service, host: str, root: str) -> None:
    upload(service)
    assert f'"http://{root}/download/'.encode() in ask(service, "/download", host=host).body


@pytest.mark.parametrize("host", ["[::1]:80", "127.0.0.1:1"])
def test_a_valid_host_is_accepted(service: Service, host: str) -> None:
    assert ask(service, "/download", host=host).status == 200


def test_a_request_without_or_with_two_hosts_is_refused(service: Service) -> None:
    assert ask(service, "/ping", host=None).status == 400
    assert ask(service, "/ping", "Host: b.example").status == 400
    assert ask(service, "/ping", host=None, version="HTTP/1.0").status == 200


def test_without_a_host_links_use_the_address_of_the_server(service: Service) -> None:
    upload(service)
    answer = ask(service, "/download", host=None, version="HTTP/1.0")
    assert f'"{service.url}/download/'.encode() in answer.body


def test_the_refusal_of_a_host_is_not_cached_for_others(service: Service) -> None:
    for target in ("/ping", "/download", f"/v1/streams/{secrets.token_hex(4)}"):
        wanted = ask(service, target).status
        for _ in range(5):
            assert ask(service, target, host="a@b").status in {400, wanted}
        assert ask(service, target).status == wanted


@pytest.mark.parametrize(
    "fields",
    [
        ("X-Forwarded-Host: evil.example",),
        ("X-Forwarded-Proto: gopher", "X-Forwarded-Server: evil.example"),
        ("Forwarded: host=evil.example;proto=gopher",),
        ("X-Original-URL: /evil.example", "X-Rewrite-URL: /evil.example"),
        ("X-Host: evil.example", "X-HTTP-Host-Override: evil.example"),
        ("X-Real-IP: evil.example", "X-HTTP-Method-Override: DELETE"),
    ],
)
def test_forwarded_headers_of_a_client_change_nothing(service: Service, fields: tuple[str, ...]) -> None:
    name = upload(service)
    for _ in range(4):
        answer = ask(service, "/download", *fields)
        assert answer.status == 200
        assert name.encode() in answer.body
        assert EVIL.encode() not in answer.body
        assert b"gopher" not in answer.body


@pytest.mark.parametrize(
    "field",
    [
        "X-Forwarded-Proto: https",
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Ssl: on",
        "X-Forwarded-Scheme: gopher",
        "Https: on",
        "Proxy: x",
    ],
)
def test_no_client_header_changes_the_scheme_of_links(service: Service, field: str) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nabc\r\n--b--\r\n'
    kind = "Content-Type: multipart/form-data; boundary=b"
    answer = ask(service, "/vimeo/api/v1.0/file", kind, field, method="PUT", body=part)
    assert json.loads(answer.body)["url"].startswith("http://attacked.example/vimeo/")
    upload(service)
    assert b'"http://attacked.example/download/' in ask(service, "/download", field).body


def test_links_with_another_host_are_not_cached_for_others(service: Service) -> None:
    upload(service)
    for target in ("/download", "/upload", "/docs", "/openapi.json", "/ping"):
        for _ in range(4):  # often enough for any cache to take it up
            ask(service, target, host=EVIL)
            ask(service, f"http://{EVIL}{target}")
        answer = ask(service, target)
        assert answer.status == 200
        assert EVIL not in answer.head + answer.body.decode()


def test_redirects_stay_on_the_same_host(service: Service) -> None:
    for target in (
        "//evil.example/%2e%2e",
        "/\\evil.example",
        "//evil.example",
        "/%2f%2fevil.example/",
        "/@evil.example",
    ):
        answer = ask(service, target)
        location = answer.header("Location")
        assert answer.status in {302, 400, 404}, target
        assert location is None or location == "/upload", target


@pytest.mark.parametrize("target", ["evil.example:80", "*", "http://[x/", "http://", "evil.example/ping", "?x"])
def test_other_forms_of_request_targets_are_refused(service: Service, target: str) -> None:
    assert 400 <= ask(service, target).status < 500


def test_responses_to_one_method_are_not_cached_for_another(service: Service) -> None:
    unknown = [f"/vimeo/api/v1.0/file/{secrets.token_hex(16)}", f"/v1/streams/{secrets.token_hex(16)}"]
    for target in (*unknown, "/?file_hash=00", "/download/nobody.txt", "/downloadFile?file_id=1:x"):
        for _ in range(4):
            assert ask(service, target, method="HEAD").body == b""
        answer = ask(service, target)
        assert answer.status == 404
        assert answer.body.strip()
        for method in ("PATCH", "OPTIONS", "BREW"):
            ask(service, target, method=method)
        assert ask(service, target).status == 404


def test_responses_to_one_query_are_not_cached_for_another(service: Service) -> None:
    name = upload(service)
    for query in ("?x=1", "?file_hash=1", "?password=1", "#x", "?"):
        for _ in range(3):
            assert ask(service, f"/download/nobody-{name}{query}").status == 404
    for _ in range(3):
        assert ask(service, f"/download/{name}").body == b"content"


def upload(service: Service) -> str:
    name = f"{secrets.token_hex(8)}.txt"
    answer = requests.post(f"{service.url}/upload/{name}", data=b"content", timeout=60)
    assert answer.status_code == 201
    return name
