"""Comparisons in turns, so that a change of the machine's load is not mistaken for a difference."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self, TypeVar

from bench.wrk import Load

T = TypeVar("T")

ROUNDS = 5


class Spread(NamedTuple):
    """The median, minimum and maximum of some values."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        return cls(statistics.median(values), min(values), max(values))

    def rounded(self) -> list[float]:
        return [round(value, 3) for value in self]


def alternate(turns: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Take all turns in each round, and return their results by name. Each round begins with a different turn."""
    names = list(turns)
    results: dict[str, list[T]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            results[name].append(turns[name]())
    return results


def paired_ratio(ones: Sequence[float], others: Sequence[float]) -> Spread:
    """Return the ratios of the ones to the others, one ratio for each round."""
    return Spread.of([one / other for one, other in zip(ones, others, strict=True)])


class Figures(NamedTuple):
    """Medians of all rounds of a service."""

    per_second: float
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, loads: Sequence[Load]) -> Self:
        return cls(
            statistics.median(load.successes for load in loads),
            statistics.median(load.p50_ms for load in loads),
            statistics.median(load.p99_ms for load in loads),
        )

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 2) for name, value in self._asdict().items()}


class Comparison(NamedTuple):
    """The ratios of one service to another, of throughput and of p99."""

    throughput: Spread
    p99: Spread

    @classmethod
    def of(cls, ones: Sequence[Load], others: Sequence[Load]) -> Self:
        return cls(
            paired_ratio([load.successes for load in ones], [load.successes for load in others]),
            paired_ratio([load.p99_ms for load in ones], [load.p99_ms for load in others]),
        )

    def as_json(self) -> dict[str, list[float]]:
        """Return each spread as median, minimum and maximum."""
        return {name: spread.rounded() for name, spread in self._asdict().items()}


def row(
    scenario: str, connections: int, loads: Mapping[str, Sequence[Load]], compared: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    """Return a row of results as a JSON object, with the ratios of these pairs of services."""
    return {
        "scenario": scenario,
        "connections": connections,
        "figures": {name: Figures.of(of_service).as_json() for name, of_service in loads.items()},
        "ratios": {f"{one} to {other}": Comparison.of(loads[one], loads[other]).as_json() for one, other in compared},
    }
