"""`manage.py files`: the operator finds, expires and deletes files of every surface."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from tests.inprocess import Clock, made, stored, sweep
from vimeo_api.core.access import api_tokens
from vimeo_api.core.database import statements
from vimeo_api.service_commands.files import files

DAY = 24 * 3600


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The app that asks for tokens, in this process."""
    with made("embedded", tmp_path / "data", REQUIRE_TOKENS="1") as app:
        yield app


@pytest.fixture
def links(app: Flask, clock: Clock) -> dict[str, str]:
    """The links of one file on each surface; that of `named` is a day older, and with a token of its own."""
    client = app.test_client()
    robot, other = (token(app, name) for name in ("robot", "other"))
    assert client.post("/upload/Old%20report.txt", data=b"o" * 5000, headers=robot).status_code == 201
    clock.forward(DAY)
    form = {"file": (io.BytesIO(b"once"), "once.xls")}
    once = client.put("/vimeo/api/v1.0/file", data=form, headers=other).get_json()["url"]
    stream = client.post("/v1/streams", data=b"stream", headers=other).get_json()["id"]
    digest = client.post("/", data=b"content", headers=other).text
    sealed = client.post("/uploadFile", data={"file": (io.BytesIO(b"t"), "t.bin")}, headers=other).get_json()["file_id"]
    return {
        "named": "https://files.example/download/Old%20report.txt",
        "vimeo": once,
        "streams": f"http://localhost/v1/streams/{stream}",
        "store": f"http://localhost/?file_hash={digest}",
        "transfer": sealed,
    }


def token(app: Flask, name: str) -> dict[str, str]:
    with app.app_context():
        return {"Authorization": f"Bearer {api_tokens.create(name, ['*:*'])}"}


def manage(app: Flask, *words: str, **more: Any) -> Result:
    return app.test_cli_runner().invoke(files, words, **more)


def listed(app: Flask, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manage(app, "list", "--json", *words).stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "surfaces"),
    [
        ([], "named vimeo streams store transfer"),
        (["--surface", "store"], "store"),
        (["--token", "robot"], "named"),
        (["--name", "old REP"], "named"),
        (["--older", "23h"], "named"),
        (["--newer", "23h", "--token", "other"], "vimeo streams store transfer"),
        (["--larger", "5000"], "named"),
        (["--larger", "5", "--smaller", "7"], "streams store"),
        (["--state", "gone"], ""),
        (["--state", "available", "--surface", "vimeo"], "vimeo"),
    ],
    ids=str,
)
def test_it_lists_the_files_that_a_filter_names(
    app: Flask, links: dict[str, str], words: list[str], surfaces: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "PIECE", 2)
    assert len(links) == len(listed(app))
    assert [entry["surface"] for entry in listed(app, *words)] == surfaces.split()


def test_a_line_of_the_list_names_what_an_operator_needs_and_nothing_that_opens_a_file(
    app: Flask, links: dict[str, str]
) -> None:
    lines = manage(app, "list").stdout.splitlines()
    fields = lines[0].split("\t")
    assert (fields[1:4], fields[5:]) == (["named", "available", "5000"], ["robot", "Old report.txt"])
    shown = manage(app, "show", *(line.split("\t")[0] for line in lines)).stdout + "".join(lines)
    for surface in ("vimeo", "streams", "transfer"):
        assert links[surface].rpartition("/")[2].partition(":")[0] not in shown


@pytest.mark.parametrize("surface", ["named", "vimeo", "streams", "store", "transfer"])
def test_a_file_is_shown_and_deleted_by_its_link(app: Flask, links: dict[str, str], surface: str) -> None:
    (found,) = (json.loads(line) for line in manage(app, "show", "--json", links[surface]).stdout.splitlines())
    assert found["surface"] == surface
    path = app.config["SETTINGS"].store_dir / found["path"]
    assert path in stored(app)
    assert manage(app, "delete", "--yes", links[surface]).stdout == "1 file deleted\n"
    assert path not in stored(app)
    assert found["id"] not in {entry["id"] for entry in listed(app)}


def test_a_deleted_one_time_file_is_gone_and_not_unknown(app: Flask, links: dict[str, str]) -> None:
    client = app.test_client()
    assert client.head(links["vimeo"]).status_code == 200
    manage(app, "delete", "--yes", links["vimeo"])
    assert client.get(links["vimeo"]).status_code == 410
    assert [entry["state"] for entry in listed(app, "--state", "gone")] == ["gone"]


def test_what_a_token_stored_is_deleted_once_the_operator_agrees(app: Flask, links: dict[str, str]) -> None:
    asked = manage(app, "delete", "--token", "other", input="n\n")
    assert asked.exit_code == 1
    assert "Delete 4 files (18 bytes)?" in asked.output
    assert len(listed(app)) == len(links)
    assert "4 files deleted" in manage(app, "delete", "--token", "other", input="y\n").stdout
    assert [entry["surface"] for entry in listed(app)] == ["named"]
    assert len(stored(app)) == 1


def test_what_a_token_stored_expires_when_the_operator_says(app: Flask, links: dict[str, str], clock: Clock) -> None:
    assert "4 files will expire at" in manage(app, "expire", "--in", "2h", "--token", "other", "--yes").stdout
    clock.forward(2 * 3600 - 60)
    assert app.test_client().get(links["store"]).status_code == 200
    clock.forward(61)
    assert app.test_client().get(links["store"]).status_code == 404
    assert {entry["state"] for entry in listed(app, "--token", "other")} == {"expired"}
    sweep(app)
    assert len(stored(app)) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["delete", "--yes"], "Give either ids and links, or filters"),
        (["delete", "--yes", "1", "--token", "robot"], "Give either ids and links, or filters"),
        (["delete", "99"], "There is no file 99."),
        (["show", "http://localhost/nothing"], "There is no file http://localhost/nothing."),
        (["show", "x\ty"], "There is no file"),
        (["show", "http://["], "There is no file http://[."),
        (["list", "--token", "nobody"], "There is no token 'nobody'."),
        (["list", "--older", "soon"], "is not a duration"),
        (["list", "--older", "99999999d"], "is not a duration"),
        (["list", "--token", "\udcff"], "An argument is not UTF-8."),
        (["delete", "--yes", "--name", ""], "would mean all files"),
        (["delete", "--yes", "--name", "\udcff"], "would mean all files"),
        (["expire", "--in", "99999999d", "--surface", "named"], "is not a duration"),
        (["expire", "1"], "Missing option '--in'"),
    ],
    ids=str,
)
def test_a_mistake_gets_a_clear_sentence(app: Flask, words: list[str], sentence: str) -> None:
    done = manage(app, *words)
    assert (done.exit_code != 0, done.stdout) == (True, "")
    assert isinstance(done.exception, SystemExit)
    assert sentence in done.stderr
