"""Import of a file of snapshots: validated row by row, staged with COPY, and stored within one transaction."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import marshmallow as ma
from psycopg import Connection

from schemas.capture import AMOUNTS
from schemas.hints import describe
from schemas.importing import ImportItem
from snapshots import command_queries
from snapshots.batch import CONTRADICTIONS
from snapshots.rows import ALL_COLUMNS, Row

_COPY = f"COPY import (line, amounts, {', '.join(ALL_COLUMNS)}) FROM STDIN"
_MESSAGES = CONTRADICTIONS | {
    "contradicts_batch": "Other lines have this account, time and source with different values.",
    "contradicts_superseded": "This superseded snapshot is stored, or on another line, with different values.",
    "still_current": "This snapshot is still current in the database: correct it through the API.",
    "erased": "The account was erased meanwhile; import the file again.",
}
# When each step begins, as a share of the time that follows the reading; measured with 200,000 rows.
_PREPARING, _STORING, _CONTRADICTIONS = 0.05, 0.35, 0.9
# With more users than this, nearly every shard of a cluster has some, and statements go to all of them.
MAX_ROUTED_USERS = 1000
# Snapshots are stored in slices: the fewest rows of a slice, and the most slices.
MIN_SLICE_ROWS, MAX_SLICES = 10_000, 20

_item = ImportItem()


class RowFault(NamedTuple):
    line: int
    field: str
    """Empty if the fault concerns the whole row."""
    message: str


class Outcome(NamedTuple):
    rows: int
    created: int
    duplicates: int
    faulty: int
    """Rows with faults."""


class _Staged(NamedTuple):
    read: int
    rows: int
    superseded: int
    """Number of the rows that are superseded snapshots."""
    users: list[str] | None
    """The users of the rows; None if there are more than MAX_ROUTED_USERS."""


class FaultsError(Exception):
    """The file has faults, so none of it was stored."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"{outcome.faulty} rows with faults")
        self.outcome = outcome


def store(
    connection: Connection[Any],
    rows: Iterable[Row],
    on_fault: Callable[[RowFault], None],
    on_step: Callable[[str, float], None],
    *,
    skip_faults: bool,
) -> Outcome:
    """Store the rows of a file within the caller's transaction; return the outcome.

    Calls `on_fault` for each fault, and `on_step` before each step that follows the reading, with the share of these
    steps that is done (0 to 1). Raises FaultsError if there are faults and `skip_faults` is not set,
    snapshots.rows.FileError and psycopg.Error; then the caller must roll back.
    """
    # Without this a cluster would read on several connections at once, and could then not register accounts in this
    # transaction. Elsewhere the setting has no effect.
    connection.execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
    command_queries.create_import(connection)
    staged = _stage(connection, rows, on_fault)
    users = staged.users
    on_step("comparing with stored snapshots", 0)
    connection.execute("ANALYZE import")
    command_queries.mark_import_repetitions(connection, users=users)
    command_queries.mark_import_contradictions(connection)
    # Hold the registered accounts first, in the order that all transactions use, then register the new ones, and
    # then hold those that other transactions registered meanwhile.
    command_queries.hold_imported_accounts(connection)
    command_queries.insert_imported_accounts(connection)
    command_queries.hold_imported_accounts(connection)
    # Again, now that the accounts are held and nothing more can be superseded.
    command_queries.mark_import_repetitions(connection, users=users)
    # Store rows even if faults will roll them back: that shows contradictions, so that one run reports every fault.
    on_step("preparing new snapshots", _PREPARING)
    created = 0
    # Only the owner role may insert these; the serving role can import a file that has none.
    if staged.superseded:
        created += command_queries.insert_imported_superseded_snapshots(connection, users=users)
    created += _store_snapshots(connection, on_step)
    on_step("looking for contradictions", _CONTRADICTIONS)
    contradictory = 0
    contradictions = [command_queries.list_import_contradictions(connection, users=users)]
    if staged.superseded:
        contradictions.append(command_queries.list_superseded_import_contradictions(connection, users=users))
    for line, status in itertools.chain.from_iterable(contradictions):
        contradictory += 1
        on_fault(RowFault(line, "", _MESSAGES[status]))
    duplicates = staged.rows - created - contradictory
    outcome = Outcome(staged.read, created, duplicates, staged.read - staged.rows + contradictory)
    if outcome.faulty and not skip_faults:
        raise FaultsError(outcome)
    # The caller may store another file in the same transaction.
    connection.execute("DROP TABLE import, imported_snapshots")
    return outcome


def _store_snapshots(connection: Connection[Any], on_step: Callable[[str, float], None]) -> int:
    """Store the current snapshots, in slices so that progress can be shown; return the number of new ones."""
    total = command_queries.create_imported_snapshots(connection)
    created = 0
    size = max(MIN_SLICE_ROWS, math.ceil(total / MAX_SLICES))
    for start in range(0, total, size):
        share = _STORING + (_CONTRADICTIONS - _STORING) * start / total
        on_step(f"{start:,} of {total:,} snapshots stored", share)
        created += command_queries.insert_imported_snapshots(connection, first_place=start + 1, last_place=start + size)
    return created


def _stage(connection: Connection[Any], rows: Iterable[Row], on_fault: Callable[[RowFault], None]) -> _Staged:
    """Stage the valid rows."""
    read = staged = superseded = 0
    users: set[str] = set()
    with connection.cursor() as cursor, cursor.copy(_COPY.encode()) as copy:
        for row in rows:
            read += 1
            if row.item is None:
                on_fault(RowFault(row.line, "", row.fault))
                continue
            try:
                item = _item.load(row.item)
            except ma.ValidationError as error:
                for fault in _faults(row.line, row.item, error):
                    on_fault(fault)
                continue
            staged += 1
            superseded += item["superseded_at"] is not None
            if len(users) <= MAX_ROUTED_USERS:
                users.add(item["user_id"])
            amounts = [item[name] for name in AMOUNTS]
            copy.write_row((row.line, amounts, *(item[name] for name in ALL_COLUMNS)))
    return _Staged(read, staged, superseded, list(users) if len(users) <= MAX_ROUTED_USERS else None)


def _faults(line: int, item: dict[str, Any], error: ma.ValidationError) -> Iterator[RowFault]:
    """Yield the faults of a row, each with the value that was found."""
    for name, messages in sorted(error.messages_dict.items()):
        field, value = _item.fields.get(name), item.get(name)
        found = "" if field is None or value is None else f" {describe(field, value)}"
        for message in messages:
            yield RowFault(line, name, f"{message}{found}")
