"""One function for each file of sql/queries that a command runs, as in snapshots.queries."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from snapshots.statements import count, execute, stream


class Contradiction(NamedTuple):
    """A line of an import that cannot be stored."""

    line: int
    status: str
    """contradicts_stored, contradicts_batch, contradicts_superseded, still_current, other_owner or erased."""


def create_import(connection: Connection[Any]) -> None:
    """Create the staging table of an import; it is dropped when the transaction ends."""
    execute(connection, "create_import")


def mark_import_repetitions(connection: Connection[Any], *, users: list[str] | None) -> None:
    """Mark lines that repeat superseded snapshots.

    `users`, here and below: those of the import; None if there are too many to list. Call it before
    `mark_import_contradictions`, and again once the accounts are held.
    """
    execute(connection, "mark_import_repetitions", users=users)


def mark_import_contradictions(connection: Connection[Any]) -> None:
    """Mark lines that contradict one another. Call it before anything is stored."""
    execute(connection, "mark_import_contradictions")


def insert_imported_accounts(connection: Connection[Any]) -> None:
    """Register the new accounts of the import. Call it after `mark_import_contradictions`."""
    execute(connection, "insert_imported_accounts")


def hold_imported_accounts(connection: Connection[Any]) -> int:
    """Hold the registered accounts of the import until the transaction ends, and return their number."""
    return count(execute(connection, "hold_imported_accounts"))


def create_imported_snapshots(connection: Connection[Any]) -> int:
    """Create the table of the snapshots to store; return their number. Call it after `insert_imported_accounts`."""
    return execute(connection, "create_imported_snapshots").rowcount


def insert_imported_snapshots(connection: Connection[Any], *, first_place: int, last_place: int) -> int:
    """Store the import's snapshots at these places; return the number of new ones. Call it in order of place."""
    return execute(connection, "insert_imported_snapshots", first_place=first_place, last_place=last_place).rowcount


def insert_imported_superseded_snapshots(connection: Connection[Any], *, users: list[str] | None) -> int:
    """Store the import's new superseded snapshots and return their number. Call it after `insert_imported_accounts`."""
    return execute(connection, "insert_imported_superseded_snapshots", users=users).rowcount


def list_superseded_import_contradictions(
    connection: Connection[Any], *, users: list[str] | None
) -> Iterator[Contradiction]:
    """Stream the contradictions of superseded snapshots in line order, within a transaction."""
    for row in stream(connection, "list_superseded_import_contradictions", users=users):
        yield Contradiction(*row)


def list_import_contradictions(connection: Connection[Any], *, users: list[str] | None) -> Iterator[Contradiction]:
    """Stream the contradictions of current snapshots in line order, within a transaction."""
    for row in stream(connection, "list_import_contradictions", users=users):
        yield Contradiction(*row)


def list_snapshots_to_export(
    connection: Connection[Any],
    *,
    user_id: str,
    account_id: str | None,
    start_date: datetime | None,
    end_date: datetime | None,
    source: str | None,
    with_superseded: bool,
) -> Iterator[tuple[str | None, ...]]:
    """Stream a user's snapshots as rows of text, in the order of snapshots.rows.ALL_COLUMNS, within a transaction."""
    return stream(
        connection,
        "list_snapshots_to_export",
        user_id=user_id,
        account_id=account_id,
        start_date=start_date,
        end_date=end_date,
        source=source,
        with_superseded=with_superseded,
    )


def list_accounts(connection: Connection[Any], *, user_id: str) -> list[str]:
    """Return the ids of a user's accounts."""
    return [str(row[0]) for row in execute(connection, "list_accounts", user_id=user_id)]


def get_owner(connection: Connection[Any], *, account_id: str) -> str | None:
    """Return the id of the account's owner; None if there is no such account."""
    row = execute(connection, "get_owner", account_id=account_id).fetchone()
    return row and str(row[0])


def lock_accounts(connection: Connection[Any], *, account_ids: list[str]) -> list[str]:
    """Lock accounts until the transaction ends, and return the ids of those that exist."""
    return [str(row[0]) for row in execute(connection, "lock_accounts", account_ids=account_ids)]


def delete_snapshots(connection: Connection[Any], *, user_id: str, account_ids: list[str]) -> int:
    """Delete all snapshots of these accounts, and return their number."""
    return count(execute(connection, "delete_snapshots", user_id=user_id, account_ids=account_ids))


def delete_accounts(connection: Connection[Any], *, user_id: str, account_ids: list[str]) -> int:
    """Delete these accounts, and return their number."""
    return execute(connection, "delete_accounts", user_id=user_id, account_ids=account_ids).rowcount


def delete_superseded_snapshots(connection: Connection[Any], *, user_id: str, account_ids: list[str]) -> int:
    """Delete all superseded snapshots of these accounts, and return their number."""
    return count(execute(connection, "delete_superseded_snapshots", user_id=user_id, account_ids=account_ids))
