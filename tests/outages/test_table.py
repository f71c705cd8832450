"""The table of outages in docs/operations.md: every row has a module that tests it, and every such module has a row."""

import importlib
import re
from pathlib import Path

from tests.services import ROOT

ELSEWHERE = "tests.production.test_objects"  # it has the only stack with an object store
HEADING = "## When a service goes away"


def rows() -> list[str]:
    """Return what the table says that may be gone."""
    section = (ROOT / "docs/operations.md").read_text().split(HEADING)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [re.split(r" \| ", line.removeprefix("| "))[0] for line in lines[1:]]


def test_every_row_of_the_table_has_a_test_and_the_reverse() -> None:
    modules = [f"tests.outages.{path.stem}" for path in Path(__file__).parent.glob("test_*_away.py")]
    shown = [importlib.import_module(name).ROW for name in (*modules, ELSEWHERE)]
    assert sorted(shown) == sorted(rows())
    assert len(set(shown)) == len(shown) > 0
