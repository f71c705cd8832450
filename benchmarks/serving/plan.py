"""How much is measured: everything, or less if quick."""

from dataclasses import dataclass

KIB, MIB, GIB = 1024, 1024**2, 1024**3
SMALL = 4096  # bytes of the small file, everywhere


@dataclass(frozen=True)
class Plan:
    """The sizes of one run."""

    name: str  # of the results
    rounds: int  # of small requests
    seconds: int  # of each turn with small requests
    large: int  # bytes of the large file
    large_rounds: int
    connections: tuple[int, ...]  # whose throughput is compared
    rows: tuple[int, ...]  # whose latency is compared
    siege_seconds: int


FULL = Plan(
    name="serving",
    rounds=5,
    seconds=4,
    large=GIB,
    large_rounds=5,
    connections=(1, 10, 100, 1000),
    rows=(10_000, 100_000, 1_000_000),
    siege_seconds=300,
)
QUICK = Plan(
    name="quick-serving",
    rounds=1,
    seconds=1,
    large=128 * MIB,
    large_rounds=1,
    connections=(1, 100),
    rows=(10_000, 100_000),
    siege_seconds=10,
)
