"""The command line that the benchmarks share, and where their results go."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
RESULTS.mkdir(exist_ok=True)


def arguments(about: str | None) -> argparse.Namespace:
    """Return `quick`, whether to measure little, and `folder`, where to work."""
    return parser(about).parse_args()


def parser(about: str | None) -> argparse.ArgumentParser:
    """Return a parser of these arguments, to which more can be added."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="measure less of everything")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where to work")
    return parser


def keep(name: str, lines: Sequence[str]) -> None:
    """Write the results, and show them."""
    text = "\n".join(lines) + "\n"
    (RESULTS / f"{name}.md").write_text(text)
    print(text)
