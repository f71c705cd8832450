"""Attacks on resumable uploads, in both profiles: whatever is sent, no bytes change and none stay behind."""

import base64
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.front import fronted
from tests.inprocess import PROFILES, Clock, sweep
from tests.surfaces.resumable.tus import (
    DATA,
    TUS,
    begin,
    described,
    left,
    offset_of,
    patch,
    row_of,
    served,
    stream_of,
)
from vimeo_api.core.access import api_tokens
from vimeo_api.core.resumable import expiry, parts, rows
from vimeo_api.web.resumable import draft, tus

EMPTY = 50  # uploads without a byte


def part_of(url: str) -> str:
    return url.rpartition("/")[2]


# Header, value, and the status of a PATCH by tus with it.
ODD = {
    "a negative offset": ("Upload-Offset", "-1", 400),
    "an offset of 2^63": ("Upload-Offset", str(2**63), 400),
    "an offset of forty digits": ("Upload-Offset", "9" * 40, 400),
    "the largest offset that is read": ("Upload-Offset", "9" * 18, 409),
    "two offsets": ("Upload-Offset", "0, 0", 400),
    "no offset": ("Upload-Offset", "", 400),
    "an offset with a sign": ("Upload-Offset", "+0", 400),
    "an offset in hexadecimal": ("Upload-Offset", "0x0", 400),
    "an offset in other digits": ("Upload-Offset", "\u0660", 400),
    "a length of 2^63": ("Upload-Length", str(2**63), 400),
    "another length": ("Upload-Length", "5", 400),
    "two lengths": ("Upload-Length", "300000, 300000", 400),
    "a checksum that is not base64": ("Upload-Checksum", "sha1 !", 400),
    "two checksums": ("Upload-Checksum", "sha1 AAAA, sha1 AAAA", 400),
    "a checksum of nothing": ("Upload-Checksum", "sha1", 460),
    "another version": ("Tus-Resumable", "1.0.0, 1.0.0", 412),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_headers_change_nothing(app: Flask, client: FlaskClient, case: str) -> None:
    name, value, status = ODD[case]
    url = begin(client)
    assert patch(client, url, 0, DATA[:5]).status_code == 204
    answer = patch(client, url, 5, DATA[5:9], headers={name: value})
    assert (answer.status_code, offset_of(client, url)) == (status, 5)
    assert left(app) == set()


@pytest.mark.parametrize("offset", ["-1", "0.0", '"0"', "5, 5", ":NQ==:", "?1", str(2**63)])
def test_odd_offsets_of_the_draft_change_nothing(client: FlaskClient, offset: str) -> None:
    url = client.post("/uploads/streams", data=DATA[:5], headers={"Upload-Complete": "?0"}).headers["Location"]
    sent = {"Content-Type": draft.MEDIA_TYPE, "Upload-Complete": "?1", "Upload-Offset": offset}
    assert client.patch(url, data=DATA[5:], headers=sent).status_code == 400
    assert client.head(url).headers["Upload-Offset"] == "5"


def encoded(value: bytes) -> str:
    return f"filename {base64.b64encode(value).decode()}"


# `Upload-Metadata`, and the name of the file; None where it is refused.
METADATA = {
    "a name of 300 bytes": (encoded(b"a" * 300), "a" * 255),
    "control characters": (encoded(b"a\0b\r\nSet-Cookie: x=y"), "abSet-Cookie: x=y"),
    "a path": (encoded(b"../../etc/passwd"), "passwd"),
    "bytes that are not UTF-8": ("filename /w==", None),
    "no base64": ("filename ~~~~", None),
    "base64 with a space in it": ("filename YW Fh", None),
    "base64 without its end": ("filename YWFhY", None),
    "two names": ("filename YQ==,filename Yg==", None),
    "7,000 keys": (",".join(f"k{number}" for number in range(7000)), "file"),
}


@pytest.mark.parametrize("case", METADATA)
def test_metadata_is_made_harmless_or_refused(client: FlaskClient, case: str) -> None:
    metadata, name = METADATA[case]
    headers = {**TUS, "Upload-Length": "5", "Upload-Metadata": metadata}
    answer = client.post("/uploads/transfer", headers=headers)
    assert answer.status_code == (201 if name else 400)
    if name:
        assert row_of(client, answer.headers["Location"]).name == name


@pytest.mark.parametrize("key", ["%00", "..%2f..", "f" * 31, "F" * 32, "%27%20or%201=1"])
def test_odd_keys_lead_nowhere(client: FlaskClient, key: str) -> None:
    for method in ("HEAD", "PATCH", "DELETE"):
        sent = {**TUS, "Upload-Offset": "0", "Content-Type": tus.MEDIA_TYPE}
        status = client.open(f"/uploads/streams/{key}", method=method, headers=sent).status_code
        assert status == (400 if key == "%00" else 404)


def test_another_token_neither_sees_nor_changes_an_upload(tmp_path: Path) -> None:
    for profile in PROFILES:
        with fronted(profile, tmp_path / profile, REQUIRE_TOKENS="1") as app:
            with app.app_context():
                keys = [api_tokens.create(name, ["streams:write"]) for name in "ab"]
            client, (ours, theirs) = app.test_client(), ({"Authorization": f"Bearer {key}"} for key in keys)
            url = begin(client, length=5, headers={**ours, "Upload-Concat": "partial"})
            assert patch(client, url, 0, b"bytes", headers=ours).status_code == 204
            joined = {**TUS, **theirs, "Upload-Concat": f"final;{url}"}
            statuses = [
                client.head(url, headers=theirs).status_code,
                patch(client, url, 5, b"", headers=theirs).status_code,
                client.post("/uploads/streams", headers=joined).status_code,
                client.delete(url, headers=theirs).status_code,
            ]
            assert statuses == [404] * 4
            assert client.head(url, headers=ours).headers["Upload-Offset"] == "5"


def test_uploads_without_a_byte_count_against_the_quota(tmp_path: Path) -> None:
    for profile in PROFILES:
        with fronted(profile, tmp_path / profile, REQUIRE_TOKENS="1") as app:
            with app.app_context():
                key = api_tokens.create("a", ["streams:write"], quota=EMPTY * api_tokens.LEAST_CHARGE)
            client, ours = app.test_client(), {**TUS, "Upload-Length": "5", "Authorization": f"Bearer {key}"}
            statuses = {client.post("/uploads/streams", headers=ours).status_code for _ in range(EMPTY)}
            assert statuses == {201}
            assert client.post("/uploads/streams", headers=ours).status_code == 403


@pytest.mark.parametrize("method", ["HEAD", "PATCH"])
@pytest.mark.parametrize("loss", ["removed", "cut"])
def test_an_upload_that_has_lost_bytes_ends(app: Flask, client: FlaskClient, loss: str, method: str) -> None:
    url = begin(client)
    patch(client, url, 0, DATA[:1000])
    with app.app_context():
        path = parts.path(part_of(url))
    if loss == "cut":
        path.write_bytes(DATA[:999])
    else:
        path.unlink()
    answer = client.head(url, headers=TUS) if method == "HEAD" else patch(client, url, 1000, DATA[1000:])
    assert (answer.status_code, client.get(url).status_code) == (404, 404)
    assert left(app) == set()


@pytest.mark.parametrize("app", ["production"], indirect=True, scope="module")
def test_an_upload_whose_bytes_are_lost_takes_no_bytes_of_an_interrupted_request(
    app: Flask, client: FlaskClient
) -> None:
    url = begin(client)
    patch(client, url, 0, DATA[:1000])
    with app.app_context():
        parts.path(part_of(url)).unlink()
    patch(client, url, 1000, DATA[1000:], cut=5000)
    assert client.head(url, headers=TUS).status_code == 404
    assert left(app) == set()


@pytest.mark.parametrize("moment", ["before its bytes are written", "before its offset is moved"])
def test_a_request_whose_upload_is_ended_meanwhile_leaves_nothing(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    url = begin(client)
    patch(client, url, 0, DATA[:1000])
    module, step = (parts, "check") if moment == "before its bytes are written" else (rows, "settle")
    real: Any = getattr(module, step)

    def ended_first(*words: Any, **more: Any) -> Any:
        expiry.remove(part_of(url))
        return real(*words, **more)

    monkeypatch.setattr(module, step, ended_first)
    assert patch(client, url, 1000, DATA[1000:]).status_code == 404
    assert client.head(url, headers=TUS).status_code == 404
    assert left(app) == set()


@pytest.mark.parametrize("app", ["production"], indirect=True, scope="module")
def test_bytes_of_an_interrupted_request_are_removed_with_the_upload_that_is_ended_meanwhile(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, settle = begin(client), rows.settle

    def ended_first(*words: Any, **more: Any) -> bool:
        rows.remove(part_of(url))
        return settle(*words, **more)

    monkeypatch.setattr(rows, "settle", ended_first)
    patch(client, url, 0, DATA, cut=1000)
    assert left(app) == set()


def test_an_upload_does_not_expire_under_a_request_that_appends(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    url, settle = begin(client), rows.settle
    clock.forward(86_000)

    def late(*words: Any, **more: Any) -> bool:
        clock.forward(86_000)  # while the body comes in
        sweep(app)
        return settle(*words, **more)

    monkeypatch.setattr(rows, "settle", late)
    last = patch(client, url, 0, DATA)
    assert last.status_code == 204
    assert served(app, f"/v1/streams/{stream_of(last)}") == DATA


def test_a_method_is_overridden_by_post_alone(client: FlaskClient) -> None:
    url = begin(client, headers=described(filename="x"))
    deleting = {**TUS, "X-HTTP-Method-Override": "DELETE"}
    assert client.get(url, headers=deleting).status_code == 204
    assert client.post("/uploads/streams", headers={**deleting, "Upload-Length": "5"}).status_code == 405
    assert offset_of(client, url) == 0
    assert client.post(url, headers=deleting).status_code == 204
    assert client.head(url, headers=TUS).status_code == 404
