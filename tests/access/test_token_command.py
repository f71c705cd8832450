"""`manage.py token`, in this process and beside the running service, and what the documents say about it."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from click.testing import Result
from flask import Flask

from tests import documents
from tests.access.guarded import FORM, MIB, Guarded, call
from tests.inprocess import Clock, made
from vimeo_api.service_commands.token import token


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The app that asks for tokens, in this process."""
    with made("embedded", tmp_path / "data", REQUIRE_TOKENS="1") as app:
        yield app


def manage(app: Flask, *words: str) -> Result:
    """Run `manage.py token` in this process."""
    return app.test_cli_runner().invoke(token, words)


def upload(app: Flask, secret: str) -> int:
    headers = {"Authorization": f"Bearer {secret}"}
    return app.test_client().post("/v1/streams", data=b"abc", headers=headers).status_code


def test_a_token_is_made_listed_and_revoked(app: Flask) -> None:
    secret = manage(app, "create", "robot", "--scope", "streams:*", "--quota", "1M", "--expires-in", "90d").stdout
    assert re.fullmatch(r"va_[A-Za-z0-9_-]{43}\n", secret)
    assert upload(app, secret.strip()) == 201

    listed = manage(app, "list").stdout
    assert re.fullmatch(rf"robot\tvalid\tstreams:\*\t4096 bytes of {MIB}\texpires [0-9: -]+ UTC\n", listed)
    assert secret.strip() not in listed

    assert manage(app, "revoke", "robot").exit_code == 0
    assert upload(app, secret.strip()) == 401
    assert "robot\trevoked" in manage(app, "list").stdout
    again = manage(app, "create", "robot", "--scope", "*:*")
    assert (again.exit_code, "There is already a token" in again.stderr) == (1, True)


def test_a_token_is_refused_once_it_expires(app: Flask, clock: Clock) -> None:
    secret = manage(app, "create", "robot", "--scope", "streams:*", "--expires-in", "30m").stdout.strip()
    clock.forward(29 * 60)
    assert upload(app, secret) == 201
    clock.forward(61)
    assert upload(app, secret) == 401
    assert "robot\texpired" in manage(app, "list").stdout


def test_it_shows_what_a_token_has_stored(app: Flask) -> None:
    secret = manage(app, "create", "robot", "--scope", "*:*", "--quota", "1M").stdout.strip()
    headers = {"Authorization": f"Bearer {secret}"}
    upload(app, secret)
    for name in ("a", "b"):
        app.test_client().post(f"/upload/{name}.txt", data=b"x" * 5000, headers=headers)
    assert manage(app, "list", "--usage").stdout.splitlines()[1:] == [
        "  named\t2 files\t10000 bytes",
        "  streams\t1 files\t3 bytes",
    ]
    shown = json.loads(manage(app, "show", "robot", "--json").stdout)
    assert json.loads(manage(app, "list", "--json").stdout) == shown
    assert shown["usage"] == {"named": {"files": 2, "bytes": 10000}, "streams": {"files": 1, "bytes": 3}}
    assert (shown["used"], shown["quota"], shown["state"]) == (10000 + 4096, MIB, "valid")
    assert "named\t2 files, 10000 bytes" in manage(app, "show", "robot").stdout
    assert secret not in manage(app, "show", "robot").stdout


def test_a_renamed_token_keeps_its_secret_and_its_files(app: Flask) -> None:
    secret = manage(app, "create", "robot", "--scope", "streams:*").stdout.strip()
    manage(app, "create", "taken", "--scope", "streams:*")
    assert upload(app, secret) == 201
    assert manage(app, "rename", "robot", "nightly").exit_code == 0
    assert upload(app, secret) == 201
    assert json.loads(manage(app, "show", "nightly", "--json").stdout)["usage"]["streams"]["files"] == 2
    assert manage(app, "rename", "nightly", "taken").stderr == "Error: There is already a token 'taken'.\n"


def test_a_new_quota_counts_from_the_next_upload_on(app: Flask) -> None:
    secret = manage(app, "create", "robot", "--scope", "streams:*").stdout.strip()
    assert upload(app, secret) == 201
    assert manage(app, "quota", "robot", "4K").exit_code == 0
    assert upload(app, secret) == 403
    assert manage(app, "quota", "robot", "none").exit_code == 0
    assert upload(app, secret) == 201


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["create", "x", "--scope", "streams:fly"], "'streams:fly' is not a scope"),
        (["create", "x", "--scope", "nowhere:write"], "'nowhere:write' is not a scope"),
        (["create", "x"], "Missing option '--scope'"),
        (["create", "x", "--scope", "*:*", "--expires-in", "soon"], "is not a duration"),
        (["create", "x", "--scope", "*:*", "--expires-in", "0d"], "must be at least a second"),
        (["create", "x", "--scope", "*:*", "--expires-in", "9999999d"], "is not a duration"),
        (["create", "", "--scope", "*:*"], "1 to 64 printable characters"),
        (["revoke", "nobody's"], "no token"),
        (["show", "nobody's"], "no token"),
        (["show", "\udcff"], "An argument is not UTF-8."),
        (["rename", "nobody's", "x"], "no token"),
        (["quota", "nobody's", "1G"], "no token"),
        (["quota", "x", "much"], "is not a size"),
    ],
)
def test_a_mistake_gets_a_clear_sentence(app: Flask, words: list[str], sentence: str) -> None:
    done = manage(app, *words)
    assert (done.exit_code != 0, done.stdout) == (True, "")
    assert isinstance(done.exception, SystemExit)
    assert sentence in done.stderr


def test_a_token_is_revoked_beside_the_running_service(guarded: Guarded) -> None:
    name = f"robot {token_hex(4)}"
    robot = guarded.token(name, "streams:*")
    assert call("POST", f"{guarded.url}/v1/streams", data=b"abc", headers=robot).status_code == 201
    assert guarded.manage("token", "revoke", name).returncode == 0
    assert call("POST", f"{guarded.url}/v1/streams", data=b"abc", headers=robot).status_code == 401


@pytest.mark.parametrize("guarded", ["production"], indirect=True)  # the other profile: in this process, above
def test_what_a_token_stored_is_shown_and_deleted_beside_the_running_service(guarded: Guarded) -> None:
    name = f"robot {token_hex(4)}"
    robot = guarded.token(name, "*:*", quota=MIB)
    file = f"{token_hex(8)}.txt"
    assert call("POST", f"{guarded.url}/upload/{file}", data=b"x" * 5000, headers=robot).status_code == 201
    link = call("PUT", f"{guarded.url}/vimeo/api/v1.0/file", headers=robot, **FORM).json()["url"]
    shown = json.loads(guarded.manage("token", "show", name, "--json").stdout)
    assert shown["usage"] == {"named": {"files": 1, "bytes": 5000}, "vimeo": {"files": 1, "bytes": 7}}
    listed = guarded.manage("files", "list", "--token", name, "--name", file.upper(), "--newer", "1h", "--json").stdout
    assert [json.loads(line)["name"] for line in listed.splitlines()] == [file]
    assert guarded.manage("files", "expire", "--in", "1h", "--token", name, "--yes").stdout.startswith("2 files will")
    assert guarded.manage("files", "delete", "--token", name, "--yes").stdout == "2 files deleted\n"
    assert call("GET", f"{guarded.url}/download/{file}").status_code == 404
    assert call("GET", link).status_code == 410
    assert json.loads(guarded.manage("token", "show", name, "--json").stdout)["usage"] == {}


@pytest.mark.parametrize(
    ("guarded", "document", "name"),
    [("production", "README.md", "reports"), ("embedded", "docs/tokens.md", "nightly")],
    indirect=["guarded"],
)
def test_the_commands_in_the_documents_work(guarded: Guarded, tmp_path: Path, document: str, name: str) -> None:
    unique = f"{name}-{token_hex(4)}"
    script = documents.sections()[f"{document}#API tokens"].replace(name, unique)
    environ = {**guarded.environ(), "PATH": os.environ["PATH"]}
    said = documents.run(script, guarded.url, tmp_path, environ)
    for words in (f"{unique}.xls uploaded", '{"error":"This needs an API token'):
        assert words in said
    if "token list" in script:
        assert "quarterly" in said
        assert f'"filename":"{unique}.xls"' in said
        assert f"{unique}\tvalid" in said
