"""Kill, fill disks, cut the power, audit: `make chaos KILLS=200`."""

import argparse
import math
import secrets
import sys
from collections.abc import Iterator

from tests.chaos import runs
from tests.chaos.disk import NoDisk
from tests.chaos.runs import Outcome

LAYOUTS = {"one": [False], "two": [True], "both": [False, True]}
PROFILES = {"embedded": ["embedded"], "production": ["production"], "both": ["embedded", "production"]}


def main() -> int:
    """Run as the command line asks; return 1 if anything was lost, leaked or handed out twice."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="in all, shared among the layouts")
    parser.add_argument("--cuts", type=int, default=4, help="of the power, shared among the profiles; needs root")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="decides what is done, though not when it hits")
    parser.add_argument("--filesystems", choices=LAYOUTS, default="both", help="of spool and store, under kills")
    parser.add_argument("--fleet", action="store_true", help="of several hosts, instead of one; needs root")
    parser.add_argument("--profile", choices=PROFILES, default="both", help="whose power is cut")
    broken = False
    for outcome in _outcomes(parser.parse_args()):
        print(outcome.figures(), flush=True)
        broken = broken or bool(outcome.broken)
    return int(broken)


def _outcomes(words: argparse.Namespace) -> Iterator[Outcome]:
    if words.fleet:
        yield runs.kill_fleet(words.seed, words.kills, say=_say)
        return
    layouts, profiles = LAYOUTS[words.filesystems], PROFILES[words.profile]
    for apart in layouts if words.kills else []:
        yield runs.kill(f"{words.seed}-{int(apart)}", math.ceil(words.kills / len(layouts)), apart=apart, say=_say)
    try:
        for profile in profiles if words.cuts else []:
            yield runs.cut(f"{words.seed}-{profile}", math.ceil(words.cuts / len(profiles)), profile)
    except NoDisk as error:
        print(error, flush=True)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
