"""tus 1.0.0: each MUST of the document for servers, by its section."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.surfaces.resumable.tus import DATA, TUS, begin, patch
from vimeo_api.web.resumable import tus

# Section of the document, and what of every response it wants.
MUSTS: dict[str, Callable[[dict[str, TestResponse]], bool]] = {
    "Headers, Tus-Resumable: in every response but those to OPTIONS": lambda r: (
        r["head"].headers["Tus-Resumable"]
        == r["begun"].headers["Tus-Resumable"]
        == r["patched"].headers["Tus-Resumable"]
        == r["missing"].headers["Tus-Resumable"]
        == r["other method"].headers["Tus-Resumable"]
        == r["no path"].headers["Tus-Resumable"]
        == "1.0.0"
    ),
    "Requests, HEAD: Upload-Offset, also of 0": lambda r: r["head"].headers["Upload-Offset"] == "0",
    "Requests, HEAD: Upload-Length": lambda r: r["head"].headers["Upload-Length"] == "300000",
    "Requests, HEAD: Cache-Control: no-store": lambda r: r["head"].headers["Cache-Control"] == "no-store",
    "Requests, HEAD: no Upload-Offset of what is not there": lambda r: (
        r["missing"].status_code == 404 and "Upload-Offset" not in r["missing"].headers
    ),
    "Requests, PATCH: 204 with the new offset": lambda r: (
        (r["patched"].status_code, r["patched"].headers["Upload-Offset"]) == (204, "10")
    ),
    "Requests, HEAD: Upload-Metadata and Upload-Defer-Length as they were sent": lambda r: (
        (r["deferred"].headers["Upload-Defer-Length"], r["deferred"].headers["Upload-Metadata"])
        == ("1", "filename eA==")
    ),
    "Requests, PATCH: 415 for another media type": lambda r: r["other type"].status_code == 415,
    "Requests, PATCH: 409 for another offset": lambda r: r["other offset"].status_code == 409,
    "Requests, PATCH: nothing after the last byte is 204, anything 409": lambda r: (
        (r["asked again"].status_code, r["asked again"].headers["Upload-Result"], r["beyond the end"].status_code)
        == (204, r["complete"].headers["Upload-Result"], 409)
    ),
    "Requests, PATCH: 404 for what is not there": lambda r: r["patched nowhere"].status_code == 404,
    "Headers, Tus-Resumable: 412 with Tus-Version for another one": lambda r: (
        (r["other version"].status_code, r["other version"].headers["Tus-Version"]) == (412, "1.0.0")
    ),
    "Headers, Tus-Resumable: no request in another version is processed": lambda r: (
        {r["head in 0.2.2"].status_code, r["delete in 0.2.2"].status_code} == {412}
        and r["delete in 0.2.2"].headers["Tus-Version"] == "1.0.0"
        and "Upload-Offset" not in r["head in 0.2.2"].headers
        and r["head"].status_code == 204
    ),
    "Headers, Upload-Offset: not negative": lambda r: r["negative"].status_code == 400,
    "Headers, Tus-Extension: nothing but names between commas": lambda r: (
        re.fullmatch(r"[a-z-]+(,[a-z-]+)*", r["options"].headers["Tus-Extension"]) is not None
    ),
    "Headers, X-HTTP-Method-Override: HEAD by POST": lambda r: (
        (r["looked at"].status_code, r["looked at"].headers["Upload-Offset"]) == (204, "20")
    ),
    "Requests, HEAD: Upload-Offset and Upload-Length of what is complete": lambda r: (
        (r["complete"].headers["Upload-Offset"], r["complete"].headers["Upload-Length"]) == ("10", "10")
    ),
    "Creation: the keys of Upload-Metadata are unique": lambda r: r["twice"].status_code == 400,
    "Creation: the value of a key may be left out": lambda r: (
        (r["valueless"].status_code, r["valueless head"].headers["Upload-Metadata"])
        == (201, "filename eA==,relativePath")
    ),
    "Checksum: 400 for a digest that is not base64, and the offset stays": lambda r: (
        (r["odd checksum"].status_code, r["after that"].headers["Upload-Offset"]) == (400, "20")
    ),
    "Concatenation: a part of which bytes are missing is not joined": lambda r: r["joined early"].status_code == 400,
    "Requests, PATCH: another offset changes nothing": lambda r: r["after that"].headers["Upload-Offset"] == "20",
    "Requests, OPTIONS: Tus-Version": lambda r: r["options"].headers["Tus-Version"] == "1.0.0",
    "Requests, OPTIONS: nothing is offered where no upload can begin": lambda r: (
        r["options of no surface"].status_code == 404 and "Upload-Limit" not in r["options of no surface"].headers
    ),
    "Requests, OPTIONS: whatever Tus-Resumable says": lambda r: r["options"].status_code == 200,
    "Tus-Extension: all but trailers": lambda r: (
        set(r["options"].headers["Tus-Extension"].split(","))
        == {
            "creation",
            "creation-with-upload",
            "creation-defer-length",
            "expiration",
            "checksum",
            "termination",
            "concatenation",
        }
    ),
    "Tus-Max-Size: of the surface": lambda r: r["options"].headers["Tus-Max-Size"] == str(1024**2),
    "Creation: 201 with Location": lambda r: r["begun"].status_code == 201 and "/uploads/vimeo/" in r["begun"].location,
    "Creation: an empty file is complete at once": lambda r: (
        r["empty"].headers["Upload-Offset"] == "0" and "Upload-Result" in r["empty"].headers
    ),
    "Creation: a length that was deferred does not change": lambda r: r["length changed"].status_code == 400,
    "Creation: 413 beyond Tus-Max-Size": lambda r: r["too large"].status_code == 413,
    "Creation: Upload-Defer-Length is 1 or not there": lambda r: r["deferred oddly"].status_code == 400,
    "Creation: no Upload-Defer-Length once the length is known": lambda r: (
        "Upload-Defer-Length" not in r["no longer deferred"].headers
        and r["no longer deferred"].headers["Upload-Length"] == "10"
    ),
    "Creation With Upload: 201 with Upload-Offset": lambda r: (
        (r["with upload"].status_code, r["with upload"].headers["Upload-Offset"]) == (201, "10")
    ),
    "Creation: HEAD repeats Upload-Metadata": lambda r: r["head"].headers["Upload-Metadata"] == "filename eA==",
    "Expiration: Upload-Expires in POST and PATCH": lambda r: all(
        r[one].headers["Upload-Expires"].endswith(" GMT") for one in ("begun", "patched")
    ),
    "Checksum: 460, and the offset stays": lambda r: (
        (r["other checksum"].status_code, r["after that"].headers["Upload-Offset"]) == (460, "20")
    ),
    "Checksum: a first body without its checksum begins no upload": lambda r: (
        r["begun with another checksum"].status_code == 460
        and "Location" not in r["begun with another checksum"].headers
    ),
    "Checksum: 400 for an algorithm that is not offered": lambda r: r["other algorithm"].status_code == 400,
    "Checksum: Tus-Checksum-Algorithm has sha1": lambda r: (
        "sha1" in r["options"].headers["Tus-Checksum-Algorithm"].split(",")
    ),
    "X-HTTP-Method-Override: PATCH by POST": lambda r: r["overridden"].headers["Upload-Offset"] == "20",
    "Termination: 204, then 404": lambda r: (r["ended"].status_code, r["gone"].status_code) == (204, 404),
    "Concatenation: 201, without Upload-Length in the request": lambda r: r["joined"].status_code == 201,
    "Concatenation: HEAD repeats Upload-Concat": lambda r: (
        r["part"].headers["Upload-Concat"] == "partial" and r["whole"].headers["Upload-Concat"].startswith("final;")
    ),
    "Concatenation: HEAD of a part has Upload-Offset": lambda r: r["part"].headers["Upload-Offset"] == "10",
    "Concatenation: HEAD of the whole has Upload-Length and Upload-Offset": lambda r: (
        r["whole"].headers["Upload-Length"] == r["whole"].headers["Upload-Offset"] == "20"
    ),
    "Concatenation: Upload-Metadata is that of the whole": lambda r: (
        r["whole"].headers["Upload-Metadata"] == "filename eQ=="
    ),
    "Concatenation: 403 for PATCH of the whole": lambda r: r["appended"].status_code == 403,
}


@pytest.fixture(scope="module")
def exchange(app: Flask) -> dict[str, TestResponse]:
    client = app.test_client()
    begun = client.post(
        "/uploads/vimeo", headers={**TUS, "Upload-Length": "300000", "Upload-Metadata": "filename eA=="}
    )
    url = begun.headers["Location"]
    sent = {**TUS, "Content-Type": tus.MEDIA_TYPE, "Upload-Offset": "10", "X-HTTP-Method-Override": "PATCH"}
    named = {"Upload-Metadata": "filename eA=="}
    deferred = begin(client, "vimeo", length=None, headers={"Upload-Defer-Length": "1", **named})
    sizes = {"too large": {"Upload-Length": str(2 * 1024**2)}, "deferred oddly": {"Upload-Defer-Length": "2"}}
    first = {"Content-Type": tus.MEDIA_TYPE, "Upload-Length": "300000", **named}
    parts = [begin(client, "vimeo", length=10, headers={"Upload-Concat": "partial", **named}) for _ in range(2)]
    for part in parts:
        patch(client, part, 0, DATA[:10])
    early = begin(client, "vimeo", length=10, headers={"Upload-Concat": "partial", **named})
    concat = {"Upload-Concat": f"final;{' '.join(parts)}", "Upload-Metadata": "filename eQ=="}
    return {
        **{case: client.post("/uploads/vimeo", headers={**TUS, **named, **size}) for case, size in sizes.items()},
        "twice": client.post(
            "/uploads/vimeo", headers={**TUS, "Upload-Length": "5", "Upload-Metadata": "filename eA==,filename eQ=="}
        ),
        "valueless": (
            valueless := client.post(
                "/uploads/vimeo", headers={**TUS, "Upload-Length": "5", "Upload-Metadata": "filename eA==,relativePath"}
            )
        ),
        "valueless head": client.head(valueless.headers["Location"], headers=TUS),
        "joined early": client.post("/uploads/vimeo", headers={**TUS, **named, "Upload-Concat": f"final;{early}"}),
        "with upload": client.post("/uploads/vimeo", data=DATA[:10], headers={**TUS, **first}),
        "deferred": client.head(deferred, headers=TUS),
        "length": patch(client, deferred, 0, DATA[:9], headers={"Upload-Length": "10"}),
        "no longer deferred": client.head(deferred, headers=TUS),
        "length changed": patch(client, deferred, 9, DATA[9:10], headers={"Upload-Length": "11"}),
        "rest": patch(client, deferred, 9, DATA[9:10]),
        "complete": client.head(deferred, headers=TUS),
        "asked again": patch(client, deferred, 10, b""),
        "beyond the end": patch(client, deferred, 10, b"x"),
        "empty": (empty := client.post("/uploads/vimeo", headers={**TUS, **named, "Upload-Length": "0"}))
        and client.head(empty.headers["Location"], headers=TUS),
        "begun with another checksum": client.post(
            "/uploads/vimeo", data=DATA[:10], headers={**TUS, **first, "Upload-Checksum": "sha1 AAAA"}
        ),
        "part": client.head(parts[0], headers=TUS),
        "joined": (joined := client.post("/uploads/vimeo", headers={**TUS, **concat})),
        "whole": client.head(joined.headers["Location"], headers=TUS),
        "appended": patch(client, joined.headers["Location"], 20, b"x"),
        "options of no surface": client.options("/uploads/docs"),
        "options": client.options("/uploads/vimeo", headers={"Tus-Resumable": "9"}),
        "begun": begun,
        "head in 0.2.2": client.head(url, headers={"Tus-Resumable": "0.2.2"}),
        "delete in 0.2.2": client.delete(url, headers={"Tus-Resumable": "0.2.2"}),
        "negative": patch(client, url, -1, DATA[:10]),
        "other method": client.put(url, headers=TUS),
        "no path": client.get("/uploads/vimeo/x/y", headers=TUS),
        "head": client.head(url, headers=TUS),
        "missing": client.head(f"/uploads/vimeo/{'f' * 32}", headers=TUS),
        "patched": patch(client, url, 0, DATA[:10]),
        "overridden": client.post(url, data=DATA[:10], headers=sent),
        "looked at": client.post(url, headers={**TUS, "X-HTTP-Method-Override": "HEAD"}),
        "other type": patch(client, url, 20, DATA[:10], headers={"Content-Type": "text/plain"}),
        "other offset": patch(client, url, 21, DATA[:10]),
        "other version": patch(client, url, 20, DATA[:10], headers={"Tus-Resumable": "0.2.2"}),
        "patched nowhere": patch(client, f"/uploads/vimeo/{'f' * 32}", 0, DATA[:10]),
        "other algorithm": patch(client, url, 20, DATA[:10], headers={"Upload-Checksum": "crc32 AAAA"}),
        "odd checksum": patch(client, url, 20, DATA[:10], headers={"Upload-Checksum": "sha1 !"}),
        "other checksum": patch(client, url, 20, DATA[:10], headers={"Upload-Checksum": "sha1 AAAA"}),
        "after that": client.head(url, headers=TUS),
        "ended": client.delete(url, headers=TUS),
        "gone": client.head(url, headers=TUS),
    }


@pytest.mark.parametrize("must", MUSTS)
def test_it_conforms_to_tus_1_0_0(exchange: dict[str, TestResponse], must: str) -> None:
    assert MUSTS[must](exchange)
