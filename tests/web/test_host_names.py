"""What the host of a request is, which hosts are ours, and what proxies in front of us may say. In both profiles."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.inprocess import PROFILES, made
from vimeo_api import config
from vimeo_api.web import hosts


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("example.org:", "example.org"),
        ("example.org:80", "example.org"),
        ("example.org:00080", "example.org"),
        ("example.org.:08080", "example.org:8080"),
        ("a_b.lan", "a_b.lan"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("[::1]", "[::1]"),
        ("[0:0::0:1]:80", "[::1]"),
        ("[2001:DB8::1]:443", "[2001:db8::1]:443"),
        *[
            (text, None)
            for text in ("", ":80", "x:0", "x:00", "x:65536", "x:000080", "x:8_0", "x:+1", "x:80:80", "x y")
        ],
        *[
            (text, None)
            for text in ("..", ".", "x..y", ".x", "-x", "x@y", "x/y", "é", "[::1", "::1", "[zz]", "[::1%1]")
        ],
    ],
)
def test_a_host_is_normalized_or_invalid(text: str, host: str | None) -> None:
    assert hosts.written(text, "http") == host


def test_the_port_of_a_scheme_is_left_out() -> None:
    assert hosts.written("x:443", "https") == hosts.of_origin("https://X") == "x"
    assert hosts.of_origin("https://x:80") == "x:80"
    assert hosts.of_origin("null") is None


@pytest.fixture(scope="module", params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def default(profile: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The app with the default of the embedded profile."""
    with made(profile, tmp_path_factory.mktemp("hosts") / "data", BIND="box.lan") as app:
        yield app


@pytest.fixture(scope="module")
def named(profile: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The app that answers to names alone."""
    names = "Files.example.org, .example.net,a_b.lan,10.1.2.3"
    with made(profile, tmp_path_factory.mktemp("hosts") / "data", HOSTS=names) as app:
        yield app


def ask(app: Flask, host: str, method: str = "GET", path: str = "/download", **more: Any) -> TestResponse:
    return app.test_client().open(path, method=method, headers={"Host": host, **more.pop("headers", {})}, **more)


OWN = ["localhost", "LOCALHOST.:8080", "x.localhost:1", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"]


@pytest.mark.parametrize("host", [*OWN, "10.0.0.7", "[2001:db8::1]:8080", "box.lan"])
def test_by_default_the_embedded_service_answers_to_addresses_and_its_own_names(default: Flask, host: str) -> None:
    assert ask(default, host).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "box.lan.evil"])
def test_a_name_that_was_rebound_to_our_address_gets_nothing(default: Flask, host: str) -> None:
    own = {"headers": {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}}
    for method, path in (("GET", "/download"), ("GET", "/"), ("GET", "/nothing"), ("GET", "/static/named.css")):
        assert ask(default, host, method, path).status_code == 421
    for method, path in (("POST", "/v1/streams"), ("POST", "/uploadFile"), ("DELETE", "/?file_hash=0")):
        refused = ask(default, host, method, path, json={"file": "http://127.0.0.1:1/secret"}, **own)
        assert (refused.status_code, refused.headers["Cache-Control"]) == (421, "no-store")
    body = ask(default, host, "PUT", "/vimeo/api/v1.0/file", data=b"x").get_json()
    assert (body["error"], "HOSTS" in body["message"]) == ("Misdirected Request", True)


@pytest.mark.parametrize("host", [*OWN, "files.example.org:8080", "a.b.example.net", "A_B.lan", "10.1.2.3"])
def test_a_setting_names_the_hosts(named: Flask, host: str) -> None:
    assert ask(named, host).status_code == 200


@pytest.mark.parametrize("host", ["10.0.0.7", "example.org", "example.net", "x.files.example.org", "[2001:db8::1]"])
def test_any_other_host_is_refused(named: Flask, host: str) -> None:
    assert ask(named, host).status_code == 421


def test_in_production_any_host_is_ours_by_default() -> None:
    assert config.Production.model_fields["hosts"].default == "*"


@pytest.mark.parametrize("hosts_set", ["a b", "http://x", "x:80", "x/y", "*.example.org"])
def test_an_invalid_host_name_stops_the_start(tmp_path: Path, hosts_set: str) -> None:
    with pytest.raises(config.ConfigError, match=r"^HOSTS: "):
        config.load({"DATA_DIR": str(tmp_path), "HOSTS": hosts_set})


@pytest.fixture(scope="module")
def any_host(profile: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with made(profile, tmp_path_factory.mktemp("hosts") / "data", HOSTS="*") as app:
        yield app


def link(app: Flask, host: str, **headers: str) -> str:
    """Return what comes before the path in a link."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    made = ask(app, host, "PUT", "/vimeo/api/v1.0/file", data={"file": (io.BytesIO(b"x"), "a.txt")}, headers=named)
    return str(made.get_json()["url"]).partition("/vimeo/")[0]


@pytest.mark.parametrize(
    ("host", "root"),
    [
        ("a_b.lan", "http://a_b.lan"),
        ("A.Example.:00080", "http://a.example"),
        ("example.org:", "http://example.org"),
        ("[::1]:0081", "http://[::1]:81"),
    ],
)
def test_a_link_has_the_host_that_was_asked(any_host: Flask, host: str, root: str) -> None:
    assert link(any_host, host) == root


@pytest.mark.parametrize(
    ("host", "origin"), [("a_b.lan", "http://a_b.lan"), ("x.:080", "http://X"), ("[::1]", "http://[0::1]")]
)
def test_a_page_of_the_host_is_our_own(any_host: Flask, host: str, origin: str) -> None:
    assert ask(any_host, host, "POST", "/v1/streams", headers={"Origin": origin}).status_code == 201


@pytest.mark.parametrize(
    "origin", ["null", "", "http://", "http://a_b.lan:81", "https://a_b.lan:80", "http://b.lan", "a_b.lan"]
)
@pytest.mark.parametrize("host", ["a_b.lan", "a_b.lan:80"])
def test_a_page_without_an_origin_is_not_our_own(any_host: Flask, host: str, origin: str) -> None:
    assert ask(any_host, host, "POST", "/v1/streams", headers={"Origin": origin}).status_code == 403


def test_the_form_of_the_page_may_say_where_it_comes_from(any_host: Flask) -> None:
    # With `no-referrer` it would send `Origin: null`.
    page = ask(any_host, "example.org", "GET", "/upload")
    assert page.headers["Referrer-Policy"] == "same-origin"


FORGED = {
    "X_Forwarded_Proto": "https",
    "X_Forwarded_Ssl": "on",
    "X_Forwarded_Host": "evil.example",
    "X_Forwarded_Port": "81",
    "X_Forwarded_Prefix": "/evil",
}


def test_without_trusted_proxies_forwarded_headers_are_ignored(any_host: Flask) -> None:
    assert link(any_host, "example.org", **FORGED) == "http://example.org"


@pytest.fixture(scope="module", params=[1, 2])
def proxied(request: pytest.FixtureRequest, profile: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The app behind one or two proxies that are all trusted."""
    trusted = {"TRUSTED_PROXIES": str(request.param), "TRUSTED_HEADERS": "for,proto,host,port,prefix", "HOSTS": "*"}
    with made(profile, tmp_path_factory.mktemp("hosts") / "data", **trusted) as app:
        yield app


@pytest.fixture
def doubled(proxied: Flask) -> bool:
    return bool(proxied.config["SETTINGS"].trusted_proxies == 2)


def test_the_first_trusted_proxy_knows_the_scheme(proxied: Flask, *, doubled: bool) -> None:
    inner = ", http" if doubled else ""
    assert link(proxied, "example.org", X_Forwarded_Proto=f"https{inner}") == "https://example.org"
    assert link(proxied, "example.org", X_Forwarded_Proto=f"gopher, https{inner}") == "https://example.org"
    assert link(proxied, "example.org", X_Forwarded_Proto=f"https, http{inner}") == "http://example.org"
    assert link(proxied, "example.org", X_Forwarded_Proto="gopher") == "http://example.org"


def test_a_header_that_the_inner_proxy_passes_on_has_one_value(proxied: Flask) -> None:
    assert link(proxied, "example.org", X_Forwarded_Proto="https") == "https://example.org"


def test_the_port_and_the_path_of_a_proxy_are_in_links(proxied: Flask) -> None:
    said = {"X_Forwarded_Proto": "https", "X_Forwarded_Port": "8443", "X_Forwarded_Prefix": "/files/"}
    assert link(proxied, "example.org", **said) == "https://example.org:8443/files"
    assert link(proxied, "[::1]:80", **said, X_Forwarded_Host="") == "https://[::1]:8443/files"
    assert link(proxied, "inner:80", X_Forwarded_Host="Example.org:81") == "http://example.org:81"
    headers = {"X-Forwarded-Prefix": "/files"}
    assert ask(proxied, "x", "GET", "/", headers=headers).headers["Location"] == "/files/upload"
    page = ask(proxied, "x", "GET", "/upload", headers=headers).text
    assert 'href="/' in page
    assert page.count('="/') == page.count('="/files/')
    assert ask(proxied, "x", "GET", "/openapi.json", headers=headers).get_json()["servers"] == [{"url": "/files"}]


@pytest.mark.parametrize("prefix", ["//evil.example", "/\\evil.example", "http://evil.example", "/..", "/a b", "evil"])
def test_a_path_that_leads_elsewhere_is_ignored(proxied: Flask, prefix: str) -> None:
    assert ask(proxied, "x", "GET", "/", headers={"X-Forwarded-Prefix": prefix}).headers["Location"] == "/upload"


def test_a_header_that_is_not_listed_is_ignored(profile: str, tmp_path: Path) -> None:
    with made(profile, tmp_path / "data", HOSTS="*", TRUSTED_PROXIES="1") as app:
        assert link(app, "example.org", **FORGED) == "https://example.org"


def test_a_forwarded_host_is_checked_as_any_other(profile: str, tmp_path: Path) -> None:
    with made(profile, tmp_path / "data", HOSTS="x", TRUSTED_PROXIES="1", TRUSTED_HEADERS="host") as app:
        assert ask(app, "x", headers={"X-Forwarded-Host": "evil.example"}).status_code == 421
        assert ask(app, "y", headers={"X-Forwarded-Host": "x"}).status_code == 200
