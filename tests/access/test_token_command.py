"""`manage.py token` beside the running service, and the README's section about it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from secrets import token_hex

import pytest

from tests.access.guarded import MIB, Guarded, call
from tests.services import ROOT

SECTION = (ROOT / "README.md").read_text().split("## Who may do what")[1].split("\n## ")[0]


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


def test_the_readme_works_as_it_stands(guarded: Guarded, tmp_path: Path) -> None:
    (tmp_path / "report.xls").write_text("quarterly numbers\n")
    unique = token_hex(4)
    (script,) = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)
    (example,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)

    def here(text: str) -> str:
        text = text.replace("http://localhost:8080", guarded.url).replace("python manage.py", "manage")
        return text.replace("reports", f"reports-{unique}").replace("quarter.xls", f"{unique}.xls")

    manage = f'manage() {{ (cd {ROOT} && {sys.executable} manage.py "$@"); }}\n'
    revoking = "python manage.py token revoke"
    before, after = script.split(revoking)
    program = f"{sys.executable} - <<'END'\n{here(example)}END\n"
    script = f"{manage}{here(before)}export TOKEN\n{program}{here(revoking + after)}"
    environ = {**guarded.environ(), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["bash", "-ec", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for words in (
        f"{unique}.xls uploaded",
        f'"filename":"{unique}.xls"',
        '{"error":"This needs an API token',
        "quarterly",
    ):
        assert words in done.stdout
