"""Results as JSON, one file per benchmark, so that each can be run by itself and the report has all of them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Record:
    """What one turn measured."""

    who: str
    at: int
    round: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Result:
    """A benchmark's records, where they come from, and who could not take part."""

    machine: str
    records: list[Record]
    absent: dict[str, str]
    notes: dict[str, str]  # what the numbers of a contestant include
    setups: dict[str, str]  # how servers were run


def write(folder: Path, name: str, result: Result) -> None:
    """Keep a benchmark's result in place of an older one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n")


def read(folder: Path, name: str) -> Result | None:
    """Return a benchmark's result, if there is one."""
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    kept = json.loads(path.read_text())
    return Result(**(kept | {"records": [Record(**record) for record in kept["records"]]}))
