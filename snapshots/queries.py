"""One function per file of sql/queries: run the query on a connection and return its result.

Ids are UUIDs as text, times are aware datetimes, a source is its name or None for all sources. The header of a file
describes its result. All functions raise psycopg.Error.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from psycopg import Connection, Cursor

DIRECTORY = Path(__file__).parent.parent / "sql" / "queries"


class History(NamedTuple):
    """A read of one account."""

    is_owner: bool
    body: str
    """The response in JSON; it has no snapshots if the account is another user's or the range too long."""
    is_too_long: bool = False


class Page(NamedTuple):
    """A page of an account's list."""

    is_owner: bool
    body: str
    """The response in JSON; it has no snapshots if the account is another user's."""
    last_captured_at: datetime | None
    last_id: str | None
    """The last snapshot of the page; None on the last page."""


class Contradiction(NamedTuple):
    """A line of an import that cannot be stored."""

    line: int
    status: str
    """contradicts_stored, contradicts_batch, other_owner or erased."""


class Match(NamedTuple):
    """The outcome of one item of a captured batch."""

    status: str
    """created, duplicate, contradicts_stored, contradicts_batch, other_owner or erased."""
    id: str | None
    account_id: str
    captured_at: str
    source: str


def get_latest_snapshots(connection: Connection[Any], *, user_id: str, as_of: datetime | None) -> str:
    """Return the response in JSON."""
    row = _execute(connection, "get_latest_snapshots", user_id=user_id, as_of=as_of).fetchone()
    assert row is not None
    return str(row[0])


def get_balance_history(
    connection: Connection[Any],
    *,
    user_id: str,
    account_id: str,
    start_date: datetime,
    end_date: datetime,
    source: str | None,
    maximum: int,
) -> History | None:
    """Return None if there is no such account."""
    row = _execute(
        connection,
        "get_balance_history",
        user_id=user_id,
        account_id=account_id,
        start_date=start_date,
        end_date=end_date,
        source=source,
        maximum=maximum,
    ).fetchone()
    return row and History(*row)


def get_balance_history_by_interval(
    connection: Connection[Any],
    *,
    user_id: str,
    account_id: str,
    bounds: list[datetime],
    end_date: datetime,
    source: str | None,
) -> History | None:
    """Return None if there is no such account. `bounds` are those of snapshots.buckets."""
    row = _execute(
        connection,
        "get_balance_history_by_interval",
        user_id=user_id,
        account_id=account_id,
        bounds=bounds,
        end_date=end_date,
        source=source,
    ).fetchone()
    return row and History(*row)


def get_portfolio_history(
    connection: Connection[Any],
    *,
    user_id: str,
    bounds: list[datetime],
    end_date: datetime,
    interval: str,
    time_zone: str,
) -> str:
    """Return the response in JSON. `bounds` are those of snapshots.buckets."""
    row = _execute(
        connection,
        "get_portfolio_history",
        user_id=user_id,
        bounds=bounds,
        end_date=end_date,
        interval=interval,
        time_zone=time_zone,
    ).fetchone()
    assert row is not None
    return str(row[0])


def list_recent_snapshots(
    connection: Connection[Any],
    *,
    user_id: str,
    account_id: str,
    limit: int,
    source: str | None,
    before_captured_at: datetime | None,
    before_id: str | None,
) -> Page | None:
    """Return None if there is no such account."""
    row = _execute(
        connection,
        "list_recent_snapshots",
        user_id=user_id,
        account_id=account_id,
        limit=limit,
        source=source,
        before_captured_at=before_captured_at,
        before_id=before_id,
    ).fetchone()
    return row and Page(row[0], row[1], row[2] and datetime.fromisoformat(row[2]), row[3])


def insert_accounts(connection: Connection[Any], *, items: str) -> None:
    """`items`: the batch, a JSON array."""
    _execute(connection, "insert_accounts", items=items)


def insert_snapshots(connection: Connection[Any], *, items: str) -> list[Match]:
    """`items`: the batch, a JSON array. What is new, in no order."""
    return [Match("created", *row) for row in _execute(connection, "insert_snapshots", items=items)]


def match_snapshots(connection: Connection[Any], *, items: str, created: list[str]) -> list[Match]:
    """Return one match for each item, in their order.

    `items`: the batch, a JSON array; `created`: the ids that `insert_snapshots` returned.
    """
    rows = _execute(connection, "match_snapshots", items=items, created=created)
    return [Match(*row) for row in rows]


def create_import(connection: Connection[Any]) -> None:
    """Within a transaction: the table is dropped at its end."""
    _execute(connection, "create_import")


def mark_import_contradictions(connection: Connection[Any]) -> None:
    """Before anything of the import is stored."""
    _execute(connection, "mark_import_contradictions")


def insert_imported_accounts(connection: Connection[Any]) -> None:
    """After `mark_import_contradictions`."""
    _execute(connection, "insert_imported_accounts")


def insert_imported_snapshots(connection: Connection[Any]) -> int:
    """How many snapshots are new."""
    return _count(_execute(connection, "insert_imported_snapshots"))


def list_import_contradictions(connection: Connection[Any]) -> Iterator[Contradiction]:
    """By line. Read from the server as they are taken, within a transaction."""
    for row in _stream(connection, "list_import_contradictions"):
        yield Contradiction(*row)


def list_snapshots_to_export(
    connection: Connection[Any],
    *,
    user_id: str,
    account_id: str | None,
    start_date: datetime | None,
    end_date: datetime | None,
    source: str | None,
) -> Iterator[tuple[str | None, ...]]:
    """Rows of text. Read from the server as they are taken, within a transaction."""
    return _stream(
        connection,
        "list_snapshots_to_export",
        user_id=user_id,
        account_id=account_id,
        start_date=start_date,
        end_date=end_date,
        source=source,
    )


def lock_accounts(connection: Connection[Any], *, user_id: str) -> list[str]:
    """Lock a user's accounts until the transaction ends, and return their ids."""
    return [str(row[0]) for row in _execute(connection, "lock_accounts", user_id=user_id)]


def delete_snapshots(connection: Connection[Any], *, user_id: str, account_ids: list[str]) -> int:
    """Delete all snapshots of these accounts, and return their number."""
    return _count(_execute(connection, "delete_snapshots", user_id=user_id, account_ids=account_ids))


def delete_accounts(connection: Connection[Any], *, user_id: str, account_ids: list[str]) -> int:
    """Delete these accounts, and return their number."""
    return _execute(connection, "delete_accounts", user_id=user_id, account_ids=account_ids).rowcount


def _count(cursor: Cursor[Any]) -> int:
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def _stream(connection: Connection[Any], name: str, **parameters: Any) -> Iterator[Any]:
    with connection.cursor(name=name) as cursor:
        cursor.itersize = 5000
        cursor.execute(_statement(name), parameters)
        yield from cursor


def _execute(connection: Connection[Any], name: str, **parameters: Any) -> Cursor[Any]:
    return connection.execute(_statement(name), parameters)


@cache
def _statement(name: str) -> bytes:
    """The file's statement under its name, without comments and indentation: psycopg parses a text anew for every use
    unless it has at most 4096 characters."""
    lines = (DIRECTORY / f"{name}.sql").read_text().splitlines()
    code = [line.strip() for line in lines if line and not line.strip().startswith("--")]
    return "\n".join([f"-- {name}", *code]).encode()
