"""Which other sites' pages may send requests: real requests to both profiles."""

import requests

from tests.access.guarded import FORM, MIB, ORIGIN, Guarded, call
from tests.services import Service


def test_pages_of_allowed_origins_may_read(guarded: Guarded, anything: dict[str, str]) -> None:
    url = f"{guarded.url}/v1/streams"
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


def test_pages_of_allowed_origins_may_read_what_refuses_them_before_the_body(guarded: Guarded) -> None:
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "3"}
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example", None)):
        page = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}  # so that only the missing token is wrong
        chunked = call("POST", f"{guarded.url}/v1/streams", data=iter([b"x"]), headers=page)
        begun = call("POST", f"{guarded.url}/uploads/streams", headers=page | tus)
        for answer in (chunked, begun):
            assert (answer.status_code, answer.headers.get("Access-Control-Allow-Origin")) == (401, allowed)
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="vimeo_api"'
        assert "This needs an API token" in begun.json()["error"]


def test_a_page_of_an_allowed_origin_may_read_the_errors_of_nginx(guarded: Guarded, anything: dict[str, str]) -> None:
    key = call("POST", f"{guarded.url}/v1/streams", data=b"abc", headers=anything).json()["id"]
    for status, asked in [(412, {"If-Match": '"x"'}), (416, {"Range": "bytes=9-"})] * 2:
        answer = call("GET", f"{guarded.url}/v1/streams/{key}", headers={"Origin": ORIGIN, **asked})
        assert (answer.status_code, answer.headers.get("Access-Control-Allow-Origin")) == (status, ORIGIN)


def test_a_page_of_an_allowed_origin_may_read_that_its_file_is_too_large(
    guarded: Guarded, anything: dict[str, str]
) -> None:
    form = {"Sec-Fetch-Site": "same-origin", "Content-Type": "multipart/form-data; boundary=b", **anything}
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example", None)):
        answer = call("PUT", guarded.service.vimeo, headers={"Origin": origin, **form}, data=bytes(18 * MIB))
        assert (answer.status_code, answer.headers.get("Access-Control-Allow-Origin")) == (413, allowed)
    assert answer.headers.get("Vary") in {None, "Origin"}


def test_other_sites_may_not_read_by_default(service: Service) -> None:
    answer = call("GET", f"{service.url}/ping", headers={"Origin": ORIGIN})
    assert not {"Access-Control-Allow-Origin", "Vary"} & set(answer.headers)


def test_only_pages_of_allowed_origins_may_change_files(guarded: Guarded) -> None:
    url = f"{guarded.url}/v1/streams"
    token = guarded.token("pages", "streams:write", "streams:take")
    page = {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}
    assert call("POST", url, data=b"x", headers=page).status_code == 401  # let through to the question for a token
    assert call("POST", url, data=b"x", headers=page | token).status_code == 201
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert call("POST", url, data=b"x", headers=evil).status_code == 403
    # No browser sends a token for a page whose preflight was not answered so.
    preflight = call("OPTIONS", url, headers=evil | {"Access-Control-Request-Headers": "authorization"})
    assert not [name for name in preflight.headers if name.startswith("Access-Control-")]
    assert call("POST", url, data=b"x", headers=evil | token).status_code == 201
    assert call("POST", f"{guarded.url}/downloadFile", json={"file_id": "1:x"}, headers=page).status_code == 404
    assert call("POST", f"{guarded.url}/downloadFile", json={"file_id": "1:x"}, headers=evil).status_code == 403
