"""The figures that the benchmarks compute from measurements; `make bench` itself takes too long for a test."""

import pytest

from bench import tables, turns
from bench.wrk import Load


def test_each_round_begins_with_a_different_turn() -> None:
    taken: list[str] = []

    turns.alternate({name: lambda name=name: taken.append(name) for name in "abc"}, 4)  # type: ignore[misc]

    assert "".join(taken) == "abc" + "bca" + "cab" + "abc"


def test_the_results_of_turns_are_listed_by_name_in_the_order_of_the_rounds() -> None:
    count = iter(range(6))

    assert turns.alternate({"a": lambda: next(count), "b": lambda: next(count)}, 3) == {"a": [0, 3, 4], "b": [1, 2, 5]}


def test_a_ratio_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_medians() -> None:
    """In each round but the last, the service is half as fast; the load of the machine varies between rounds."""
    assert turns.paired_ratio([10, 100, 50], [20, 200, 25]) == (0.5, 0.5, 2.0)


def test_a_ratio_needs_the_same_number_of_rounds_on_both_sides() -> None:
    with pytest.raises(ValueError, match="shorter"):
        turns.paired_ratio([1, 2], [1])


def test_throughput_counts_successes_only() -> None:
    ones, others = [Load(100, 50, 1, 8)], [Load(100, 100, 1, 4)]

    assert turns.Comparison.of(ones, others).as_json() == {"throughput": [0.5, 0.5, 0.5], "p99": [2.0, 2.0, 2.0]}


def row(connections: int, throughput: float, p99: float) -> dict[str, object]:
    figures = {"per_second": 1234.5, "p50_ms": 2.0, "p99_ms": 3.0}
    return {
        "scenario": "latest, 8 accounts",
        "connections": connections,
        "figures": {"ours": figures, "tuned": figures, "pgbench": figures},
        "ratios": {"ours to tuned": {"throughput": [throughput, 0.5, 2.0], "p99": [p99, 0.25, 1.5]}},
    }


@pytest.mark.parametrize(
    ("connections", "throughput", "p99", "cells"),
    [
        (8, 1.1, 1.0, "1.10 (0.50-2.00) | 1.00 (0.25-1.50)"),
        (8, 1.09, 1.01, "**1.09** (0.50-2.00) | **1.01** (0.25-1.50)"),
        (1, 0.9, 1.3, "0.90 (0.50-2.00) | 1.30 (0.25-1.50)"),
    ],
    ids=["both aims met", "both missed", "no aim at one connection"],
)
def test_a_ratio_that_misses_its_aim_is_bold(connections: int, throughput: float, p99: float, cells: str) -> None:
    _, ratios = tables.TABLES["compare"]([row(connections, throughput, p99)])

    assert f"| latest, 8 accounts | {connections} | {cells} |" in ratios


def test_a_peer_that_is_too_slow_for_a_turn_shows_the_time_of_one_request() -> None:
    rates, _ = tables.TABLES["compare"]([row(8, 1, 1) | {"seconds_of_one_request": {"orm": 9.24}}])

    assert "| 1,234 (2.0, 3.0) | one takes 9.2 s | 1,234 (2.0, 3.0) |" in rates
