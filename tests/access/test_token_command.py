"""`manage.py token` beside the running service, and what the documents say about it."""

import os
import re
from pathlib import Path
from secrets import token_hex

import pytest

from tests import documents
from tests.access.guarded import MIB, Guarded, call


def test_a_token_is_made_listed_and_revoked(guarded: Guarded) -> None:
    name, url = f"robot {token_hex(4)}", f"{guarded.url}/v1/streams"
    made = guarded.manage("token", "create", name, "--scope", "streams:*", "--quota", "1M", "--expires-in", "90d")
    assert re.fullmatch(r"va_[A-Za-z0-9_-]{43}\n", made.stdout)
    token = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert call("POST", url, data=b"abc", headers=token).status_code == 201

    listed = guarded.manage("token", "list").stdout
    assert re.search(rf"^{name}\tvalid\tstreams:\*\t3 bytes of {MIB}\texpires [0-9: -]+ UTC$", listed, re.MULTILINE)
    assert made.stdout.strip() not in listed

    assert guarded.manage("token", "revoke", name).returncode == 0
    assert call("POST", url, data=b"abc", headers=token).status_code == 401
    assert f"{name}\trevoked" in guarded.manage("token", "list").stdout
    again = guarded.manage("token", "create", name, "--scope", "*:*")
    assert (again.returncode, "names are never used again" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["create", "x", "--scope", "streams:fly"], "'streams:fly' is no scope"),
        (["create", "x", "--scope", "nowhere:write"], "'nowhere:write' is no scope"),
        (["create", "x"], "Missing option '--scope'"),
        (["create", "x", "--scope", "*:*", "--expires-in", "soon"], "is no length of time"),
        (["create", "", "--scope", "*:*"], "1 to 64 printable characters"),
        (["revoke", "nobody's"], "no token"),
    ],
)
def test_a_mistake_is_a_sentence(guarded: Guarded, words: list[str], sentence: str) -> None:
    done = guarded.manage("token", *words)
    assert (done.returncode != 0, done.stdout, "Traceback" in done.stderr) == (True, "", False)
    assert sentence in done.stderr


@pytest.mark.parametrize(("document", "name"), [("README.md", "reports"), ("docs/tokens.md", "nightly")])
def test_the_documents_work_as_they_stand(guarded: Guarded, tmp_path: Path, document: str, name: str) -> None:
    unique = f"{name}-{token_hex(4)}"
    script = documents.sections()[f"{document}#API tokens"].replace(name, unique)
    environ = {**guarded.environ(), "PATH": os.environ["PATH"]}
    said = documents.run(script, guarded.url, tmp_path, environ)
    for words in (f"{unique}.xls uploaded", '{"error":"This needs an API token', "quarterly"):
        assert words in said
    if "token list" in script:
        assert f'"filename":"{unique}.xls"' in said
        assert f"{unique}\tvalid" in said
