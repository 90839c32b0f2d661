"""Import of a file of snapshots: validated row by row, staged with COPY, stored as a set, all or nothing."""

import itertools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import marshmallow as ma
from psycopg import Connection

from schemas.importing import ImportItem
from snapshots import command_queries
from snapshots.batch import CONTRADICTIONS
from snapshots.files import ALL_COLUMNS, Row

_COPY = f"COPY import (line, {', '.join(ALL_COLUMNS)}) FROM STDIN"
_MESSAGES = CONTRADICTIONS | {
    "contradicts_batch": "Other lines have this account, time and source with other values.",
    "contradicts_superseded": "This superseded snapshot is stored, or on another line, with other values.",
    "stands": "This snapshot stands in the database: correct it over the API.",
    "erased": "The account was erased meanwhile; import the file again.",
}
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


class FaultsError(Exception):
    """The file has faults, so nothing of it was stored."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"{outcome.faulty} rows with faults")
        self.outcome = outcome


def store(
    connection: Connection[Any],
    rows: Iterable[Row],
    on_fault: Callable[[RowFault], None],
    on_stage: Callable[[str], None],
    *,
    skip_faults: bool,
) -> Outcome:
    """Store the rows of a file within the caller's transaction; return the outcome.

    Calls `on_fault` for each fault and `on_stage` for each step. Raises FaultsError if there are faults and
    `skip_faults` is not set, snapshots.files.FileError and psycopg.Error; then the caller must roll back.
    """
    command_queries.create_import(connection)
    read, staged, superseded = _stage(connection, rows, on_fault)
    if staged < read and not skip_faults:
        # Find contradictions too, so that one run reports every fault.
        on_stage("Comparing with stored snapshots")
    else:
        on_stage("Storing")
    connection.execute("ANALYZE import")
    command_queries.mark_import_repetitions(connection)
    command_queries.mark_import_contradictions(connection)
    command_queries.insert_imported_accounts(connection)
    # Again, because from here on the accounts are held: nothing more is superseded.
    command_queries.mark_import_repetitions(connection)
    created = contradictory = 0
    # Only the owner may insert these, so a file without any is left to the role that serves.
    if superseded:
        created += command_queries.insert_imported_superseded_snapshots(connection)
    created += command_queries.insert_imported_snapshots(connection)
    contradictions = [command_queries.list_import_contradictions(connection)]
    if superseded:
        contradictions.append(command_queries.list_superseded_import_contradictions(connection))
    for line, status in itertools.chain.from_iterable(contradictions):
        contradictory += 1
        on_fault(RowFault(line, "", _MESSAGES[status]))
    outcome = Outcome(read, created, staged - created - contradictory, read - staged + contradictory)
    if outcome.faulty and not skip_faults:
        raise FaultsError(outcome)
    # The caller may store another file in the same transaction.
    connection.execute("DROP TABLE import")
    return outcome


def _stage(
    connection: Connection[Any], rows: Iterable[Row], on_fault: Callable[[RowFault], None]
) -> tuple[int, int, int]:
    """Stage the valid rows; return the number of rows read, of rows staged, and of superseded snapshots among these."""
    read = staged = superseded = 0
    with connection.cursor() as cursor, cursor.copy(_COPY.encode()) as copy:
        for row in rows:
            read += 1
            if row.fault:
                on_fault(RowFault(row.line, "", row.fault))
                continue
            try:
                item = _item.load(row.item)
            except ma.ValidationError as error:
                for field, messages in sorted(error.messages_dict.items()):
                    name = "" if field == ma.exceptions.SCHEMA else field
                    for message in messages if isinstance(messages, list) else [str(messages)]:
                        on_fault(RowFault(row.line, name, message))
                continue
            staged += 1
            superseded += item["superseded_at"] is not None
            copy.write_row((row.line, *(item[name] for name in ALL_COLUMNS)))
    return read, staged, superseded
