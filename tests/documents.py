"""README.md and the pages of docs/: their sections, and how a test runs the code blocks in them."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.services import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
REPORT = "quarterly numbers\n"
_PATTERN = re.compile(r"^#+ (?P<heading>[^\n]+)$|^```(?P<language>\w*)\n(?P<block>.*?)^```$", re.MULTILINE | re.DOTALL)

# Right after a download, the next one gets 423: the end is recorded a moment after the client has it.
_PATIENT_CURL = """
curl() {
    command curl "$@"
    [ "$1 $2" != "-o once.xls" ] || until [ "$(command curl -so /dev/null -w '%{http_code}' "$3")" != 423 ]; do :; done
}
"""
_PATIENT_GET = """
import requests

def _patiently(url, *, _get=requests.get, **options):
    while (response := _get(url, **options)).status_code == 423:
        pass
    return response

requests.get = _patiently
"""


def sections() -> dict[str, str]:
    """Return the shell and Python blocks of each section that has any, as one script, by `document#heading`."""
    scripts: dict[str, str] = {}
    for page in PAGES:
        heading = ""
        for match in _PATTERN.finditer(page.read_text()):
            name = f"{page.relative_to(ROOT)}#{heading}"
            if match["heading"]:
                heading = match["heading"]
            elif match["language"] == "sh":
                scripts[name] = scripts.get(name, "") + match["block"]
            elif match["language"] == "python":
                program = f"PYTHONPATH={ROOT} {sys.executable} - <<'END'\n{_PATIENT_GET}{match['block']}END\n"
                scripts[name] = scripts.get(name, "") + program
    return scripts


def run(script: str, url: str, folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """Run a script in a folder against the service at `url`; return what it prints.

    Files get unique names, because tests share the service.
    """
    (folder / "report.xls").write_text(REPORT)
    script = script.replace("http://localhost:8080", url).replace("my_", f"{folder.name}_")
    script = script.replace("file=@report.xls http", f"'file=@report.xls;filename={folder.name}.xls' http")
    script = script.replace(".venv/bin/python manage.py", f"{sys.executable} {ROOT}/manage.py")
    command = ["bash", "-e", "-c", _PATIENT_CURL + script]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
