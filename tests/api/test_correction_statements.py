"""The statements that a batch takes if all, some or none of its corrections are new (rule 32)."""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

from snapshots import batch, queries
from snapshots.queries import CorrectionMatch
from tests.api.test_concurrent_capture import Connection, loaded, portfolio, round_trips
from tests.api.test_concurrent_corrections import correct, succeeded, superseded
from tests.support import correction, usd


@pytest.fixture
def connections(database_url: str) -> Iterator[tuple[Connection, Connection]]:
    with contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(psycopg.connect(database_url, autocommit=True)) for _ in range(2))
        yield first, second


@pytest.mark.parametrize("size", [2, 1000])
def test_a_batch_takes_three_round_trips_if_all_of_it_is_new_and_at_most_seven_whatever_its_size(
    size: int, connections: tuple[Connection, Connection], user_id: str
) -> None:
    """BEGIN, supersede, COMMIT; if some are not new: ROLLBACK instead, compare, and the same three for the new ones.

    On a cluster the serving role may not compare in a transaction that has superseded snapshots.
    """
    connection, _ = connections
    items = portfolio(user_id, accounts=2, snapshots=size // 2)
    ids = [str(match.id) for match in batch.store(connection, loaded(items))]
    corrections = [correction(item, ids[n], usd("1.00") if n % 2 else None) for n, item in enumerate(items)]
    half = corrections[: size // 2]

    trips = [round_trips(connection, partial(correct, connection, each)) for each in (half, corrections, corrections)]

    assert trips == [3, 7, 4]


@pytest.mark.parametrize(
    ("other_values", "expected", "stored"),
    [(usd("1.00"), ["duplicate", "duplicate", "corrected"], 3), (usd("9.00"), {1: "contradicts_stored"}, 2)],
    ids=["to the same values", "to other values"],
)
def test_a_batch_is_compared_again_if_another_caller_corrects_one_of_its_snapshots_after_the_comparison(
    other_values: dict[str, Any],
    expected: list[str] | dict[int, str],
    stored: int,
    connections: tuple[Connection, Connection],
    user_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = connections
    items = portfolio(user_id, accounts=1, snapshots=3)
    ids = [str(match.id) for match in batch.store(first, loaded(items))]
    corrections = [correction(item, id_, usd("1.00")) for item, id_ in zip(items, ids, strict=True)]
    correct(first, corrections[:1])

    def match_before_another_corrects(*args: Any, **kwargs: Any) -> list[CorrectionMatch]:
        monkeypatch.undo()
        matches = queries.match_corrections(*args, **kwargs)
        succeeded(correct(second, [correction(items[1], ids[1], other_values)]))
        return matches

    monkeypatch.setattr(queries, "match_corrections", match_before_another_corrects)
    outcome = correct(first, corrections)

    assert expected == ([match.status for match in outcome] if isinstance(outcome, list) else outcome)
    assert [id_ for id_, _ in superseded(first, user_id)] == ids[:stored]
