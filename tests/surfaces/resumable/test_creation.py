"""How uploads begin: lengths, metadata, first bytes, and what is refused."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.surfaces.resumable.tus import DATA, TUS, begin, described, patch, served, stream_of
from vimeo_api.web.resumable import tus


def test_it_takes_the_first_bytes_with_the_creation(app: Flask, client: FlaskClient) -> None:
    headers = {**TUS, "Upload-Length": str(len(DATA)), "Content-Type": tus.MEDIA_TYPE}
    begun = client.post("/uploads/streams", data=DATA[:1000], headers=headers)
    assert (begun.status_code, begun.headers["Upload-Offset"]) == (201, "1000")
    whole = client.post("/uploads/streams", data=DATA, headers=headers)
    assert (whole.status_code, whole.headers["Upload-Offset"]) == (201, str(len(DATA)))
    assert served(app, f"/v1/streams/{stream_of(whole)}") == DATA
    empty = client.post("/uploads/streams", headers={**TUS, "Upload-Length": "0"})
    assert served(app, f"/v1/streams/{stream_of(empty)}") == b""


def test_it_learns_the_length_later(app: Flask, client: FlaskClient) -> None:
    url = begin(client, length=None, headers={"Upload-Defer-Length": "1"})
    assert client.head(url).headers["Upload-Defer-Length"] == "1"
    assert patch(client, url, 0, DATA[:1000]).status_code == 204
    patch(client, url, 1000, DATA[1000:], cut=10, headers={"Upload-Length": str(len(DATA))})
    assert client.head(url).headers["Upload-Length"] == str(len(DATA))
    assert patch(client, url, 1010, DATA[1010:], headers={"Upload-Length": "5000"}).status_code == 400
    last = patch(client, url, 1010, DATA[1010:])
    assert served(app, f"/v1/streams/{stream_of(last)}") == DATA


def test_a_password_protects_the_file_and_is_not_repeated(app: Flask, client: FlaskClient) -> None:
    url = begin(client, "vimeo", headers=described(filename="secret.txt", password="geheim"))
    assert client.head(url).headers["Upload-Metadata"] == described(filename="secret.txt")["Upload-Metadata"]
    patch(client, url, 0, DATA)
    link = client.get(url).json["url"]  # type: ignore[index]
    assert client.get(link).status_code == 401
    assert served(app, link, **{"X-File-Password": "geheim"}) == DATA


REFUSED = {
    "another version": ({"Tus-Resumable": "0.2.2", "Upload-Length": "5"}, "streams", 412),
    "no length": ({}, "streams", 400),
    "a length that is none": ({"Upload-Length": "-1"}, "streams", 400),
    "two lengths": ({"Upload-Length": "5", "Upload-Defer-Length": "1"}, "streams", 400),
    "a deferred length that is not 1": ({"Upload-Defer-Length": "2"}, "streams", 400),
    "more than the surface takes": ({"Upload-Length": "2000000", **described(filename="x")}, "vimeo", 413),
    "an extension that is not allowed": ({"Upload-Length": "5", **described(filename="x.exe")}, "named", 400),
    "no name where one is needed": ({"Upload-Length": "5"}, "named", 400),
    "a field that may be a misspelt password": ({"Upload-Length": "5", **described(pasword="x")}, "vimeo", 400),
    "metadata that is not base64": ({"Upload-Length": "5", "Upload-Metadata": "filename ~"}, "streams", 400),
    "metadata twice": ({"Upload-Length": "5", "Upload-Metadata": "a,a"}, "streams", 400),
    "a surface that is none": ({"Upload-Length": "5"}, "docs", 404),
    "an unknown kind of parts": ({"Upload-Length": "5", "Upload-Concat": "whole"}, "streams", 400),
    "parts of nothing": ({"Upload-Concat": "final;"}, "streams", 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses_to_begin(client: FlaskClient, case: str) -> None:
    headers, surface, status = REFUSED[case]
    response = client.post(f"/uploads/{surface}", headers={**TUS, **headers})
    assert response.status_code == status
    assert response.json is not None
    if status == 412:
        assert response.headers["Tus-Version"] == "1.0.0"
