"""Concurrent corrections, captures and erasures of the same snapshots (rules 31 to 33)."""

import contextlib
import itertools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from config import Settings
from schemas.corrections import CorrectionBatch
from snapshots import batch, correcting, erasing, importing, queries
from snapshots.queries import CorrectionMatch
from snapshots.rows import Row
from tests.api.test_concurrent_capture import (
    SENDERS,
    Connection,
    loaded,
    portfolio,
    run_at_once,
    wait_until_blocked,
)
from tests.support import PATIENCE_SECONDS, Caller, captured, correction, snapshot, usd, user_token
from tests.support.apps import serving
from tests.support.citus import coordinator_url

Outcome = list[CorrectionMatch] | dict[int, str]
PAUSE = b"""
    CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END';
    CREATE TRIGGER pauses BEFORE INSERT ON balance_snapshots FOR EACH STATEMENT
        WHEN (current_setting('application_name') = 'paused') EXECUTE FUNCTION pause();
"""


@pytest.fixture
def connections(database_url: str) -> Iterator[list[Connection]]:
    """A connection for the first caller, and one for each of the others."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(psycopg.connect(database_url, autocommit=True)) for _ in range(1 + SENDERS)]


@pytest.fixture
def items(user_id: str) -> list[dict[str, Any]]:
    return portfolio(user_id)


@pytest.fixture
def ids(connections: list[Connection], items: list[dict[str, Any]]) -> list[str]:
    """The ids of the stored snapshots."""
    return [str(match.id) for match in batch.store(connections[0], loaded(items))]


def correct(connection: Connection, corrections: list[dict[str, Any]]) -> Outcome:
    """Store a batch of corrections; return the outcome of each, or the faults of the batch."""
    try:
        return correcting.store(connection, CorrectionBatch().load({"corrections": corrections})["corrections"], "job")
    except correcting.ContradictionError as error:
        return {n: match.status for n, match in error.matches.items()}


def succeeded(outcome: Outcome) -> list[CorrectionMatch]:
    assert isinstance(outcome, list), outcome
    return outcome


def current(connection: Connection, user_id: str) -> list[tuple[str, str]]:
    """Return the ids and balances of a user's current snapshots."""
    query = "SELECT id::text, balance::text FROM balance_snapshots WHERE user_id = %s ORDER BY account_id, captured_at"
    return connection.execute(query, [user_id]).fetchall()


def superseded(connection: Connection, user_id: str) -> list[tuple[str, str | None]]:
    """Return the ids of a user's superseded snapshots, and of their replacements."""
    query = "SELECT id::text, replaced_by::text FROM superseded_snapshots WHERE user_id = %s ORDER BY superseded_at, id"
    return connection.execute(query, [user_id]).fetchall()


def test_a_batch_of_corrections_delivered_at_once_in_opposite_orders_is_stored_once(
    connections: list[Connection], items: list[dict[str, Any]], ids: list[str], user_id: str
) -> None:
    corrections = [correction(item, ids[n], usd("1.00") if n % 3 else None) for n, item in enumerate(items)]
    orders = [corrections[:: (-1) ** n] for n in range(SENDERS)]

    outcomes = run_at_once([partial(correct, *sender) for sender in zip(connections[1:], orders, strict=True)])

    by_id = [{match.id: (match.status, match.replaced_by) for match in outcome} for outcome in outcomes]
    assert sorted(each[ids[1]][0] for each in by_id) == ["corrected", *["duplicate"] * (SENDERS - 1)]
    assert sorted(each[ids[0]][0] for each in by_id) == [*["duplicate"] * (SENDERS - 1), "withdrawn"]
    replacements = {id_: {each[id_][1] for each in by_id} for id_ in ids}
    assert {len(each) for each in replacements.values()} == {1}
    assert {id_: {replaced_by} for id_, replaced_by in superseded(connections[0], user_id)} == replacements
    assert {id_ for id_, _ in current(connections[0], user_id)} == set().union(*replacements.values()) - {None}


def test_exactly_one_of_twenty_different_corrections_of_a_snapshot_is_stored(
    connections: list[Connection], items: list[dict[str, Any]], ids: list[str], user_id: str
) -> None:
    batches = [[correction(items[0], ids[0], usd(f"{n}.00"))] for n in range(SENDERS)]

    outcomes = run_at_once([partial(correct, *sender) for sender in zip(connections[1:], batches, strict=True)])

    [stored] = [outcome for outcome in outcomes if isinstance(outcome, list)]
    assert [outcome for outcome in outcomes if outcome != stored] == [{0: "contradicts_stored"}] * (SENDERS - 1)
    assert superseded(connections[0], user_id) == [(ids[0], stored[0].replaced_by)]
    assert current(connections[0], user_id)[0] == (stored[0].replaced_by, f"{outcomes.index(stored)}.00")


@pytest.mark.parametrize("replacement", [usd("1.00"), None], ids=["replaced", "withdrawn"])
@pytest.mark.parametrize("corrector", ["commits", "rolls back"])
def test_a_capture_that_is_repeated_during_a_correction_waits_for_it_and_undoes_nothing(
    corrector: str,
    replacement: dict[str, Any] | None,
    connections: list[Connection],
    items: list[dict[str, Any]],
    ids: list[str],
    user_id: str,
) -> None:
    first, *others = connections
    middle = len(items) // 2
    with ThreadPoolExecutor(SENDERS) as threads:
        with first.transaction(force_rollback=corrector == "rolls back"):
            correct(first, [correction(items[middle], ids[middle], replacement)])
            orders = [loaded(items[:: (-1) ** n]) for n in range(SENDERS)]
            pending = [threads.submit(batch.store, sender, order) for sender, order in zip(others, orders, strict=True)]
            wait_until_blocked(first, others)
        outcomes = [sender.result(PATIENCE_SECONDS) for sender in pending]

    assert {match.status for matches in outcomes for match in matches} == {"duplicate"}
    assert {match.id for matches in outcomes for match in matches} == set(ids)
    kept = len(items) - (corrector == "commits" and replacement is None)
    assert len(current(first, user_id)) == kept
    assert len(superseded(first, user_id)) == (corrector == "commits")


@pytest.mark.skipif(bool(coordinator_url()), reason="it pauses a statement by a trigger, which a cluster refuses")
def test_a_correction_waits_for_a_capture_whose_running_statement_would_not_see_it(
    migrated_database_url: str, items: list[dict[str, Any]], user_id: str
) -> None:
    """The capture is held within the statement that stores snapshots, which sees no later commit."""
    with contextlib.ExitStack() as stack:
        first, capturing, withdrawing = [
            stack.enter_context(psycopg.connect(migrated_database_url, autocommit=True)) for _ in range(3)
        ]
        threads = stack.enter_context(ThreadPoolExecutor(2))
        [id_, *_] = [str(match.id) for match in batch.store(first, loaded(items))]
        first.execute(PAUSE)
        capturing.execute("SET application_name = 'paused'")
        first.execute("SELECT pg_advisory_lock(1)")
        try:
            capture = threads.submit(batch.store, capturing, loaded(items))
            wait_until_blocked(first, [capturing])
            withdrawal = threads.submit(correct, withdrawing, [correction(items[0], id_, None)])
            wait_until_blocked(first, [withdrawing])
        finally:
            first.execute("SELECT pg_advisory_unlock(1)")

        assert {match.status for match in capture.result(PATIENCE_SECONDS)} == {"duplicate"}
        assert [match.status for match in succeeded(withdrawal.result(PATIENCE_SECONDS))] == ["withdrawn"]
        assert id_ not in dict(current(first, user_id))


def test_a_capture_whose_account_others_register_and_correct_meanwhile_does_not_deadlock(
    connections: list[Connection], user_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The capture holds the second account; the correction has locked the first and waits for the second."""
    observer, capturing, registering, another, *_ = connections
    new, known = (snapshot(user_id, account_id) for account_id in sorted(str(uuid4()) for _ in range(2)))
    [of_known] = batch.store(capturing, loaded([known]))
    pending = []

    def register_after_others(*args: Any, **kwargs: Any) -> int:
        monkeypatch.undo()
        [of_new] = batch.store(registering, loaded([new]))
        corrections = [correction(new, str(of_new.id), usd("1.00")), correction(known, str(of_known.id), None)]
        pending.append(threads.submit(correct, another, corrections))
        wait_until_blocked(observer, [another])
        return queries.insert_accounts(*args, **kwargs)

    monkeypatch.setattr(queries, "insert_accounts", register_after_others)
    with ThreadPoolExecutor(1) as threads:
        matches = batch.store(capturing, loaded([new, known]))
        [corrections] = [succeeded(each.result(PATIENCE_SECONDS)) for each in pending]

    assert [match.status for match in matches] == ["duplicate", "duplicate"]
    assert [match.status for match in corrections] == ["corrected", "withdrawn"]


def test_an_import_that_begins_during_a_withdrawal_waits_for_it_and_undoes_nothing(
    connections: list[Connection], items: list[dict[str, Any]], ids: list[str], user_id: str
) -> None:
    first, second, *_ = connections

    def fail(fault: importing.RowFault) -> None:
        pytest.fail(fault.message)

    def import_again() -> importing.Outcome:
        rows = (Row(line, item) for line, item in enumerate(items, 1))
        with second.transaction():
            return importing.store(second, rows, fail, lambda _step, _share: None, skip_faults=False)

    with ThreadPoolExecutor(1) as threads:
        with first.transaction():
            correct(first, [correction(items[0], ids[0], None)])
            pending = threads.submit(import_again)
            wait_until_blocked(first, [second])
        outcome = pending.result(PATIENCE_SECONDS)

    assert (outcome.created, outcome.duplicates) == (0, len(items))
    assert ids[0] not in dict(current(first, user_id))


def test_a_correction_that_waited_for_an_erasure_finds_nothing(
    connections: list[Connection], items: list[dict[str, Any]], ids: list[str], user_id: str
) -> None:
    first, second, *_ = connections
    with ThreadPoolExecutor(1) as threads:
        with first.transaction():
            erasing.erase_user(first, user_id)
            pending = threads.submit(correct, second, [correction(items[0], ids[0], usd("1.00"))])
            wait_until_blocked(first, [second])
        outcome = pending.result(PATIENCE_SECONDS)

    assert outcome == {0: "not_stored"}
    assert (current(first, user_id), superseded(first, user_id)) == ([], [])


def test_an_erasure_that_waited_for_a_correction_erases_both_snapshots(
    connections: list[Connection], items: list[dict[str, Any]], ids: list[str], user_id: str
) -> None:
    first, second, *_ = connections
    with ThreadPoolExecutor(1) as threads:
        with first.transaction():
            correct(first, [correction(items[0], ids[0], usd("1.00"))])

            def erase() -> tuple[int, int]:
                with second.transaction():
                    return erasing.erase_user(second, user_id)

            pending = threads.submit(erase)
            wait_until_blocked(first, [second])
        assert pending.result(PATIENCE_SECONDS) == (5, len(items) + 1)

    assert (current(first, user_id), superseded(first, user_id)) == ([], [])


def test_captures_and_corrections_of_the_same_keys_in_any_order_never_fail_and_lose_nothing(
    settings: Settings, connection: Connection
) -> None:
    """Half of the callers capture the same snapshots repeatedly, and the others correct them."""
    user_id, chance = str(uuid4()), random.Random(11)
    items = [snapshot(user_id, str(uuid4()), captured_at=f"2025-01-0{n}T00:00:00Z") for n in range(1, 9)]
    with serving(replace(settings, web_threads=SENDERS)) as app:
        app.extensions["pool"].resize(SENDERS)
        app.extensions["pool"].wait(PATIENCE_SECONDS)
        sync_job = Caller(app, user_token("sync-job", scope="balance-snapshots:write"))
        ids = [each["id"] for each in captured(sync_job, *items)]
        corrections = [correction(item, ids[n], None if n % 2 else usd("1.00")) for n, item in enumerate(items)]
        orders = [chance.sample(range(len(items)), len(items)) for _ in range(SENDERS)]

        def deliver(order: list[int]) -> list[int]:
            caller = Caller(app, user_token("sync-job", scope="balance-snapshots:write"))
            return [caller.capture(*(items[n] for n in order)).status_code for _ in range(5)]

        def correct_some(order: list[int]) -> list[int]:
            caller = Caller(app, user_token("job", scope="balance-snapshots:correct"))
            halves = [order[:5], order[3:]]
            return [caller.correct(*(corrections[n] for n in half)).status_code for half in halves]

        calls = [partial(call, order) for call, order in zip(itertools.cycle((deliver, correct_some)), orders)]
        statuses = run_at_once(calls)

    assert set(itertools.chain.from_iterable(statuses)) == {200}
    replacements = dict(superseded(connection, user_id))
    assert set(replacements) == set(ids)
    assert [replacements[id_] is None for id_ in ids] == [bool(n % 2) for n in range(len(items))]
    assert sorted(current(connection, user_id)) == sorted(
        (id_, "1.00") for id_ in replacements.values() if id_ is not None
    )
