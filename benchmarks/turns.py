"""Contestants take turns, so that whatever else the machine does affects all alike."""

import random
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Contestant = Callable[[], float]  # does the work once and returns the seconds it took


@dataclass(frozen=True)
class Outcome:
    """How a comparison ended, round by round."""

    seconds: tuple[float, ...]  # of the measure
    rounds: Mapping[str, tuple[float, ...]]  # how many times as fast as the measure each contestant was

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as fast as the measure each contestant is: the median over the rounds."""
        return {name: statistics.median(ratios) for name, ratios in self.rounds.items()}


def compare(contestants: Mapping[str, Contestant], measure: Contestant, *, rounds: int, every: int) -> Outcome:
    """Let all take turns in every round, in a new order each time, and the measure before every `every` turns.

    A ratio compares with the measure's median of the same round.
    """
    ratios: dict[str, list[float]] = {name: [] for name in contestants}
    medians = []
    for _ in range(rounds):
        measured, taken = [], {}
        for place, name in enumerate(random.sample(list(contestants), len(contestants))):
            if place % every == 0:
                measured.append(measure())
            taken[name] = contestants[name]()
        medians.append(statistics.median(measured))
        for name, seconds in taken.items():
            ratios[name].append(medians[-1] / seconds)
    return Outcome(tuple(medians), {name: tuple(of_rounds) for name, of_rounds in ratios.items()})
