"""The wheel: `pip install .` runs anywhere, without the checkout and without what only production needs."""

import ast
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import requests

from tests.services import ROOT, START_SECONDS, await_, free_port
from vimeo_api.version import VERSION

pytestmark = pytest.mark.slow

OURS = {"vimeo_api", "celeryconfig"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the command `vimeo-api` of a venv with the wheel and all that is installed here except psycopg."""
    folder = tmp_path_factory.mktemp("package")
    build = ["wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True)
    venv.create(folder / "venv", symlinks=True)
    (packages,) = (folder / "venv/lib").glob("python*/site-packages")
    (packages / "shared.pth").write_text(
        f'import sys; sys.modules["psycopg"] = None\n{sysconfig.get_path("purelib")}\n'
    )
    (wheel,) = folder.glob("vimeo_api-*.whl")
    python = folder / "venv/bin/python"
    into = ["--python", str(python), "install", "-q", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", *into, str(wheel)], check=True)
    return folder / "venv/bin/vimeo-api"


@pytest.fixture
def served(installed: Path, tmp_path: Path) -> Iterator[str]:
    """Return the address of the installed service, started in an empty folder."""
    port = free_port()
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    output = tmp_path / "out"
    folder = tmp_path / "empty"
    folder.mkdir()
    with output.open("w") as out:
        process = subprocess.Popen([installed, "runserver", "--port", str(port)], cwd=folder, env=environ, stdout=out)
        try:
            await_(lambda: process.poll() is not None or " is ready on " in output.read_text(), START_SECONDS)
            assert process.poll() is None
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def test_it_serves_from_an_empty_folder(served: str) -> None:
    link = requests.put(f"{served}/vimeo/api/v1.0/file", files={"file": b"bytes"}, timeout=60).json()
    assert requests.get(link["url"], timeout=60).content == b"bytes"
    assert "/static/named.css" in requests.get(f"{served}/upload", timeout=60).text
    assert requests.get(f"{served}/static/named.css", timeout=60).ok
    # The worker runs too: it counts the files every few seconds.
    await_(lambda: "vimeo_api_files" in requests.get(f"{served}/metrics", timeout=60).text)


def test_every_import_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[\[<>=]", words)[0] for words in project["dependencies"]}
    owners = packages_distributions()
    for path in (ROOT / "vimeo_api").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for top in {name.partition(".")[0] for name in names} - OURS - sys.stdlib_module_names - {"_typeshed"}:
                owner = {re.sub(r"[-_.]+", "-", one).lower() for one in owners[top]}
                assert owner & declared, f"{path.name} imports {top} of {owner}"


def test_each_way_to_start_it_tells_the_version(installed: Path) -> None:
    for command in ([installed], [sys.executable, "manage.py"], [sys.executable, "-m", "vimeo_api"]):
        said = subprocess.run([*command, "--version"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert said.endswith(f", version {VERSION}\n")
