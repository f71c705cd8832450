"""Kill, cut the power, audit: `make chaos KILLS=200`."""

import argparse
import secrets
import sys

from tests.chaos import runs


def main() -> int:
    """Run as the command line asks; return 1 if anything was lost or leaked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="kills in all, half of them on each layout of the disk")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="decides what is done, though not when it hits")
    words = parser.parse_args()
    outcomes = []
    for apart in (False, True):
        outcome = runs.kill(f"{words.seed}-{int(apart)}", words.kills // 2, apart=apart, say=lambda line: print(line, flush=True))
        print(outcome.figures(), flush=True)
        outcomes.append(outcome)
    return int(any(outcome.broken for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
