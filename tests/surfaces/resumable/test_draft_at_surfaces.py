"""The IETF's Resumable Uploads at the surfaces' own paths: each MUST of the document, by its section."""

import hashlib
from collections.abc import Callable

import pytest

from tests.surfaces.resumable.draft_client import DATA, Client, client

__all__ = ["client"]


def surfaces_take_uploads_in_parts(client: Client) -> bool:
    answers = {
        "streams": ("POST", "/v1/streams", 201, '"status":"created"'),
        "store": ("POST", "/", 200, hashlib.sha256(DATA).hexdigest()),
        "named": ("POST", "/upload/in-parts.pdf", 201, "in-parts.pdf uploaded"),
        "transfer": ("POST", "/uploadFile", 200, '"file_id":"'),
        "vimeo": ("PUT", "/vimeo/api/v1.0/file", 201, "File Uploaded Successfully"),
    }
    for surface, (method, path, status, said) in answers.items():
        for first in (b"", DATA[:10]):
            begun = client.at(method, path, first, done=False, Content_Disposition='inline; filename="a.pdf"')
            url = begun.headers["Location"]
            offset = len(first)
            if (begun.status_code, f"/uploads/{surface}/" in url) != (201, True):
                return False
            if (begun.headers["Upload-Offset"], begun.headers["Upload-Complete"]) != (str(offset), "?0"):
                return False
            client.append(url, offset, DATA[offset:], done=True, cut=500)
            last = client.append(url, offset + 500, DATA[offset + 500 :], done=True)
            if (last.status_code, said in last.text, last.headers["Upload-Complete"]) != (status, True, "?1"):
                return False
            if surface == "named":
                break  # the name is taken now
    return True


def queues_take_uploads_in_parts(client: Client) -> bool:
    url = client.at("POST", "/v1/queues/parts/streams", DATA[:10], done=False).headers["Location"]
    key = (client.append(url, 10, DATA[10:], done=True).json or {})["id"]
    return key in client.ask("/v1/queues/parts/streams", "GET").text


def in_one_request_nothing_changes(client: Client) -> bool:
    spoken = client.at("POST", "/v1/streams", DATA, done=True)
    other = client.at("POST", "/v1/streams", DATA, done=True, Upload_Draft_Interop_Version="99")
    told = [(one.status_code, one.headers.get("Upload-Complete"), "Location" in one.headers) for one in (spoken, other)]
    return told == [(201, "?1", False), (201, None, False)]


def refusals_are_those_of_the_surface(client: Client) -> bool:
    vimeo = "/vimeo/api/v1.0/file"
    form = client.at("PUT", vimeo, b"--x", done=False, Content_Type="multipart/form-data; boundary=x")
    wanted = client.at("POST", "/uploadFile", b"{}", done=False, Content_Type="application/json")
    name = client.at("POST", "/upload/a.exe", b"", done=False)
    version = client.at("POST", "/v1/streams", b"", done=False, Upload_Draft_Interop_Version="3")
    large = client.at("PUT", vimeo, b"", done=False, Upload_Length=str(2**21))
    statuses = [answer.status_code for answer in (form, wanted, name, version, large)]
    assert form.json
    assert form.headers["Upload-Complete"] == "?0"
    return (statuses, form.json["error"]) == ([415, 415, 400, 400, 413], "Unsupported Media Type") and (
        "max-size" in large.headers["Upload-Limit"]
    )


def targets_tell_limits(client: Client) -> bool:
    paths = (
        "/v1/streams",
        "/v1/queues/q/streams",
        "/",
        "/upload/a.pdf",
        "/uploadFile",
        "/vimeo/api/v1.0/file",
        "/docs",
    )
    limits = [client.ask(path, "OPTIONS").headers.get("Upload-Limit") for path in paths]
    return limits == [*["min-size=0"] * 5, "max-size=1048576", None]


MUSTS: dict[str, Callable[[Client], bool]] = {
    "4.2.2 any request that uploads can begin it": surfaces_take_uploads_in_parts,
    "4.2.2 also one to a queue": queues_take_uploads_in_parts,
    "4.2.2 and may be refused": refusals_are_those_of_the_surface,
    "4.1.4 OPTIONS has Upload-Limit there, too": targets_tell_limits,
    "11.1.1 without 104, ?1 is an upload like any other": in_one_request_nothing_changes,
}


@pytest.mark.parametrize("must", MUSTS)
def test_it_conforms_to_the_draft_there_too(client: Client, must: str) -> None:
    assert MUSTS[must](client)
