"""The README's blocks, run as they stand but for the address."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.services import ROOT, Service, used_up

WALK = (ROOT / "README.md").read_text().split("## A walk")[1].split("\n## ")[0]
REPORT = "quarterly numbers\n"
# Who is quicker than this meets 423: how a download ended is noted a moment after its client has it.
PATIENTLY = """
curl() {
    command curl "$@"
    [ "$1 $2" != "-o once.xls" ] || until [ "$(command curl -so /dev/null -w '%{http_code}' "$3")" != 423 ]; do :; done
}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", WALK, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "report.xls").write_text(REPORT)
    return tmp_path


def run(service: Service, folder: Path, block: str) -> str:
    script = block.replace("http://localhost:8080", service.url).replace("my_report", f"my_report_{folder.name}")
    script = script.replace("file=@report.xls http", f"'file=@report.xls;filename={folder.name}.xls' http")
    done = subprocess.run(
        ["bash", "-e", "-c", PATIENTLY + script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("number", "said", "saved"),
    [
        (0, ['"File Uploaded Successfully"', '{"error":"Unauthorized"}', '{"error":"Gone"}'], ["once.xls"]),
        (1, ["some data", '"status":"deleted"', '"streams":[{"id"', '"receipt":'], []),
        (2, [], ["by_hash.xls"]),
        (3, [" uploaded", '"filename":'], []),
        (4, [":gAAAA"], ["sealed.xls", "again.xls"]),
    ],
)
def test_each_block_works_as_it_stands(
    service: Service, folder: Path, number: int, said: list[str], saved: list[str]
) -> None:
    output = run(service, folder, blocks("sh")[number])
    for words in said:
        assert words in output
    for name in saved:
        assert (folder / name).read_text() == REPORT


def test_the_python_example_works_as_it_stands(service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    get = requests.get

    def patiently(url: str, **options: Any) -> requests.Response:
        answer = get(url, **options)
        assert "X-Download-Grant" not in answer.headers or used_up(url, **options)
        return answer

    monkeypatch.chdir(folder)
    monkeypatch.setattr(requests, "get", patiently)
    (example,) = blocks("python")
    exec(example.replace("http://localhost:8080", service.url), {})
