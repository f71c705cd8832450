"""The page at /share as the server sees it, in this process; tests/pages has it in Chromium."""

import io
import re
import zipfile
from pathlib import Path

import pytest
import requests
from flask import Flask

from tests.inprocess import PROFILES, made
from vimeo_api.core.access import api_tokens


def form(size: int = 5, **fields: str) -> dict[str, object]:
    return {"file": (io.BytesIO(bytes(size)), "report.xls"), **fields}


def test_an_empty_field_is_ignored_and_a_bad_one_is_explained_on_a_page(inprocess: Flask) -> None:
    client = inprocess.test_client()
    # Werkzeug's client writes an empty field as no other does.
    empty = {"password": "", "expires_in": "", "downloads": "", "notify": ""}
    sent = requests.Request("POST", "http://localhost", files={"file": ("report.xls", b"x")}, data=empty).prepare()
    new = client.post("/share", data=sent.body, content_type=sent.headers["Content-Type"])
    assert (new.status_code, new.headers["Cache-Control"]) == (201, "no-store")
    assert "Tell it to the recipient" not in new.text
    assert "Tell it to the recipient" in client.post("/share", data=form(password="sesame")).text
    assert "It can be downloaded once" in new.text
    assert "It can be downloaded 3 times" in client.post("/share", data=form(downloads="3")).text
    bad = client.post("/share", data=form(expires_in="soon"))
    assert (bad.status_code, bad.mimetype) == (400, "text/html")
    assert "expires_in must be a number" in bad.text


def test_several_files_become_one_zip(inprocess: Flask) -> None:
    client = inprocess.test_client()

    def several(*contents: bytes) -> dict[str, object]:
        return {"file": [(io.BytesIO(content), f"folder/{len(content)}.txt") for content in contents]}

    for method, path in (("PUT", "/vimeo/api/v1.0/file"), ("POST", "/share")):
        new = client.open(path, method=method, data=several(b"a", b"bb", b"b"))
        assert new.status_code == 201, new.text
        link = new.get_json()["url"] if new.is_json else re.findall(r"http[^\"]*/file/[0-9a-f]{32}", new.text)[0]
        answer = client.get(link)
        assert answer.headers["Content-Type"] == "application/zip"
        assert "files.zip" in answer.headers["Content-Disposition"]
        if place := answer.headers.get("X-Accel-Redirect"):
            content = Path(inprocess.config["SETTINGS"].store_dir, *place.split("/")[3:]).read_bytes()
        else:
            content = answer.data
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.namelist() == ["folder/1.txt", "folder/2.txt", "folder/1 (1).txt"]
            assert archive.read("folder/2.txt") == b"bb"
    one = client.put("/vimeo/api/v1.0/file", data=several(b"abc")).get_json()
    assert "3.txt" in client.get(one["url"]).headers["Content-Disposition"]
    large = client.put("/vimeo/api/v1.0/file", data=several(bytes(9 * 1024**2), bytes(9 * 1024**2)))
    assert large.status_code == 413, "the limit is that of the whole"


def test_only_the_manage_key_of_a_one_time_file_shows_its_link(inprocess: Flask) -> None:
    client = inprocess.test_client()
    new = client.put("/vimeo/api/v1.0/file", data=form()).get_json()
    other = client.post("/upload/shared.txt", data=b"x").headers["X-Manage-Url"]
    keys = {new["manage_url"]: 200, other: 404, "/" + "0" * 32: 404}
    for url, status in keys.items():
        page = client.post("/share/link", data={"manage": url.rpartition("/")[2]})
        assert (page.status_code, new["url"] in page.text) == (status, status == 200)
    assert client.post("/share/link").status_code == 400


@pytest.mark.parametrize("profile", PROFILES)
def test_the_rules_of_vimeo_hold(tmp_path: Path, profile: str) -> None:
    settings = {"REQUIRE_TOKENS": "1", "VIMEO_UPLOAD_LIMIT": "1 per hour", "VIMEO_MAX_BYTES": "10KiB"}
    with made(profile, tmp_path / "data", VIMEO_EXPIRES_SECONDS="2d", **settings) as app:
        with app.app_context():
            tokens = [api_tokens.create(scope[:3], [scope]) for scope in ("vimeo:write", "named:*")]
        ours, theirs = ({"Authorization": f"Bearer {token}"} for token in tokens)
        client = app.test_client()
        page = client.get("/share", headers=ours)
        assert ("10.0 KiB" in page.text, "after a day" in page.text, "after a week" in page.text) == (True, True, False)
        for method in ("GET", "POST"):
            assert client.open("/share", method=method).status_code == 401
            assert client.open("/share", method=method, headers=theirs).status_code == 403
        foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert client.post("/share", data=form(), headers=foreign).status_code == 403
        large = client.post("/share", data=form(20_000), headers=ours)
        assert (large.status_code, "larger than 10.0 KiB" in large.text) == (413, True)
        assert client.post("/share", data=form(), headers=ours).status_code == 429  # the first was counted
