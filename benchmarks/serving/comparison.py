"""What records show: medians, ratios of ours to others within a round, and whether goals are met."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.serving.benchmark import Goal
from benchmarks.serving.results import Record
from benchmarks.serving.server import OURS

# How the rounds make one number; the median, but for these: what went wrong counts even if it did so once.
WORST: dict[str, Callable[[Iterable[float]], float]] = {"grown": max, "refused": max, "broken": max, "failed": max}

WORDS = {
    "rate": "throughput",
    "p50": "p50",
    "cpu": "server CPU per GiB",
    "cpu_ms": "server CPU per request",
    "grown": "memory grows, MiB",
    "failed": "failed transactions",
    "resent": "KiB to be sent again",
}


@dataclass(frozen=True)
class Verdict:
    """A goal and its result; without a value it could not be measured."""

    goal: Goal
    value: float | None

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.value is not None and self.goal.met(self.value)


def value(records: Sequence[Record], who: str, number: str, at: int | None = None) -> float | None:
    """Return a contestant's number over all rounds, if it was measured."""
    found = [
        record.values[number]
        for record in records
        if record.who == who and (at is None or record.at == at) and number in record.values
    ]
    return float(WORST.get(number, statistics.median)(found)) if found else None


def ratio(
    records: Sequence[Record], number: str, one: tuple[str, int | None], other: tuple[str, int | None]
) -> float | None:
    """Return one's number divided by the other's: the median of the rounds in which both took part."""
    ours, theirs = (_by_round(records, number, *who) for who in (one, other))
    found = [ours[number] / theirs[number] for number in ours.keys() & theirs.keys() if theirs[number]]
    return statistics.median(found) if found else None


def _by_round(records: Sequence[Record], number: str, who: str, at: int | None) -> dict[int, float]:
    return {
        record.round: record.values[number]
        for record in records
        if record.who == who and (at is None or record.at == at) and number in record.values
    }


def judge(goal: Goal, records: Sequence[Record]) -> Verdict:
    """Return the result of a goal."""
    if goal.ends:
        found = places(records)
        return Verdict(goal, ratio(records, goal.number, (goal.of, found[-1]), (goal.of, found[0])) if found else None)
    if goal.to:
        return Verdict(goal, ratio(records, goal.number, (goal.of, None), (goal.to, None)))
    return Verdict(goal, value(records, goal.of, goal.number))


def contestants(records: Sequence[Record]) -> list[str]:
    """Return the contestants, the fastest first."""
    found = list(dict.fromkeys(record.who for record in records))
    return sorted(found, key=lambda who: -(value(records, who, "rate") or 0))


def places(records: Sequence[Record]) -> list[int]:
    """Return the numbers of connections or rows, the smallest first."""
    return sorted({record.at for record in records})


def compared(goal: Goal) -> str:
    """Return in words what a goal compares."""
    words = WORDS[goal.number] + (f" of {goal.of.removeprefix(f'{OURS}, ')}" if goal.of != OURS else "")
    if goal.ends:
        return f"{words}, most rows to fewest"
    return f"{words}, against {goal.to}" if goal.to else words


def bound(goal: Goal) -> str:
    """Return in words what a goal demands."""
    return f"{'≥' if goal.at_least else '≤'} {goal.bound:g}{' ×' if goal.to or goal.ends else ''}"
