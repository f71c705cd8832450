"""DELETE on the surfaces `named` and `transfer`: off without tokens, unless a setting allows it."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.inprocess import PROFILES, made, stored
from vimeo_api.core.access import sealed_ids
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import NewFile

OFF = "Deleting is turned off; the operator of this service can delete files."
WAYS: list[dict[str, Any]] = [
    {"query_string": None},
    {"json": None},
    {"data": None},
    {"data": None, "content_type": "multipart/form-data"},
]


@pytest.fixture(params=PROFILES)
def open_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """An app in which anyone may delete."""
    with made(request.param, tmp_path / "data", NAMED_OPEN_DELETE="1", TRANSFER_OPEN_DELETE="1") as app:
        yield app


def transferred(client: FlaskClient) -> str:
    form = {"file": (io.BytesIO(b"numbers"), "report.xls")}
    return str(client.post("/uploadFile", data=form).get_json()["file_id"])


def test_without_tokens_nobody_deletes_unless_a_setting_allows_it(inprocess: Flask) -> None:
    client = inprocess.test_client()
    client.post("/upload/kept.txt", data=b"abc")
    file_id = transferred(client)
    for url in ("/download/kept.txt", f"/downloadFile?file_id={file_id}"):
        refused = client.delete(url)
        assert (refused.status_code, refused.get_json()) == (403, {"error": OFF})
        assert client.get(url).status_code == 200


def test_a_deleted_file_is_gone_and_its_name_is_free(open_app: Flask) -> None:
    client = open_app.test_client()
    assert client.post("/upload/caf\u00e9.txt", data=b"old").status_code == 201
    deleted = client.delete("/download/cafe\u0301.txt")  # another spelling of the name
    assert (deleted.status_code, deleted.get_json()) == (200, {"status": "caf\u00e9.txt deleted"})
    assert stored(open_app) == set()
    assert client.delete("/download/caf\u00e9.txt").status_code == 404
    assert client.get("/download").get_json() == []
    assert client.post("/upload/caf\u00e9.txt", data=b"new").status_code == 201
    assert client.get("/download/caf\u00e9.txt").status_code == 200


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_sealed_id_comes_in_the_query_as_json_or_in_a_form(open_app: Flask, way: dict[str, Any]) -> None:
    client = open_app.test_client()
    file_id = transferred(client)
    question = {name: value or {"file_id": file_id} for name, value in way.items()}
    deleted = client.delete("/downloadFile", **question)
    assert (deleted.status_code, deleted.get_json()) == (200, {"file_id": file_id, "status": "deleted"})
    assert stored(open_app) == set()
    assert client.delete("/downloadFile", **question).status_code == 404
    assert client.get(f"/downloadFile?file_id={file_id}").status_code == 404


def test_only_the_right_id_deletes(open_app: Flask) -> None:
    client = open_app.test_client()
    file_id = transferred(client)
    for wrong, status in ((None, 400), ("", 400), ("1:x", 404), (file_id[:-9] + "A" * 9, 404)):
        question = {} if wrong is None else {"file_id": wrong}
        assert client.delete("/downloadFile", query_string=question).status_code == status
    assert client.get(f"/downloadFile?file_id={file_id}").status_code == 200


def test_deleting_a_file_that_is_being_fetched_cancels_the_fetch(open_app: Flask) -> None:
    with open_app.app_context():
        catalog.add(NewFile("transfer", "7", blob="b" * 32, name="a.txt", size=0, source_url="http://origin/a.txt"))
        file_id = sealed_ids.seal("7", "a.txt")
    client = open_app.test_client()
    assert client.get(f"/downloadFile?file_id={file_id}").status_code == 425
    assert client.delete(f"/downloadFile?file_id={file_id}").status_code == 200
    for url in (f"/downloadFile?file_id={file_id}", f"/uploadFile/{file_id}"):
        assert client.get(url).status_code == 404
