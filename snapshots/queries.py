"""One function for each file of sql/queries that requests use: it runs the query and returns the result.

Ids are UUIDs as text, times are aware datetimes, a source is its name or None for all sources. The head of a file
describes its result. All functions raise psycopg.Error.
"""

from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from snapshots.statements import array, count, execute


class History(NamedTuple):
    """The result of a read of one account's history."""

    is_owner: bool
    body: str
    """The response in JSON; it has no snapshots if the account is another user's or the range is too long."""
    is_too_long: bool = False


class Page(NamedTuple):
    """A page of an account's list."""

    is_owner: bool
    body: str
    """The response in JSON; it has no snapshots if the account is another user's."""
    last_at: datetime | None
    last_id: str | None
    """The time and the id of the last snapshot of the page; None on the last page."""


class Match(NamedTuple):
    """The outcome of one item of a captured batch."""

    status: str
    """created, duplicate, contradicts_stored, contradicts_batch, other_owner or unregistered."""
    id: str | None
    account_id: str
    captured_at: str
    source: str


class Replacement(NamedTuple):
    """A snapshot that was superseded, and its replacement."""

    ordinality: int
    """The place of its correction in the batch, from 1."""
    replaced_by: str | None


class CorrectionMatch(NamedTuple):
    """The outcome of one correction of a batch."""

    status: str
    """corrected, withdrawn, duplicate, contradicts_stored, contradicts_batch or not_stored."""
    id: str
    replaced_by: str | None
    current_id: str | None
    """Id of the current snapshot under the key; None if there is none."""


def get_latest_snapshots(connection: Connection[Any], *, user_id: str, as_of: datetime | None) -> str:
    """Return the latest snapshot of each of a user's accounts: the response in JSON."""
    row = execute(connection, "get_latest_snapshots", user_id=user_id, as_of=as_of).fetchone()
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
    """Return an account's history; None if there is no such account."""
    row = execute(
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
    """Return an account's history, one snapshot per bucket; None if there is no such account.

    `bounds`: as `snapshots.buckets.bucket_bounds` returns them.
    """
    row = execute(
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
    maximum: int,
) -> str | None:
    """Return the history of a user's portfolio: the response in JSON; None if it has more balances than `maximum`.

    `bounds`: as `snapshots.buckets.bucket_bounds` returns them.
    """
    row = execute(
        connection,
        "get_portfolio_history",
        user_id=user_id,
        bounds=bounds,
        end_date=end_date,
        interval=interval,
        time_zone=time_zone,
        maximum=maximum,
    ).fetchone()
    return row and str(row[0])


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
    """Return a page of an account's snapshots; None if there is no such account."""
    row = execute(
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


def hold_accounts(connection: Connection[Any], *, account_ids: list[str]) -> int:
    """Hold those of the accounts that are registered until the transaction ends, and return their number."""
    return count(execute(connection, "hold_accounts", account_ids=array(account_ids)))


def insert_accounts(connection: Connection[Any], *, owners: str) -> int:
    """Register accounts and return the number of new ones. `owners`: a JSON object of users by account."""
    return execute(connection, "insert_accounts", owners=owners).rowcount


def insert_snapshots(connection: Connection[Any], *, items: str, users: list[str]) -> list[Match]:
    """Store the new snapshots of a batch and return them, in any order.

    `items`: the batch, a JSON array; `users`: those of the items.
    """
    return [Match("created", *row) for row in execute(connection, "insert_snapshots", items=items, users=array(users))]


def match_snapshots(connection: Connection[Any], *, items: str, users: list[str], created: list[str]) -> list[Match]:
    """Return the outcome of each item of a batch, in order.

    `items`: the batch, a JSON array; `users`: those of the items; `created`: the ids that `insert_snapshots` returned.
    """
    rows = execute(connection, "match_snapshots", items=items, users=array(users), created=created)
    return [Match(*row) for row in rows]


def supersede_snapshots(connection: Connection[Any], *, items: str, subject: str) -> list[Replacement]:
    """Supersede the snapshots of a batch of corrections and return their replacements, in the order of the batch.

    `items`: the batch, a JSON array.
    """
    return [Replacement(*row) for row in execute(connection, "supersede_snapshots", items=items, subject=subject)]


def match_corrections(connection: Connection[Any], *, items: str, users: list[str]) -> list[CorrectionMatch]:
    """Return the outcome that each correction of a batch would have now, in order.

    `items`: the batch, a JSON array; `users`: those of the items.
    """
    return [CorrectionMatch(*row) for row in execute(connection, "match_corrections", items=items, users=array(users))]


def list_corrections(
    connection: Connection[Any],
    *,
    user_id: str,
    account_id: str,
    limit: int,
    before_superseded_at: datetime | None,
    before_id: str | None,
) -> Page | None:
    """Return a page of an account's corrections; None if there is no such account."""
    row = execute(
        connection,
        "list_corrections",
        user_id=user_id,
        account_id=account_id,
        limit=limit,
        before_superseded_at=before_superseded_at,
        before_id=before_id,
    ).fetchone()
    return row and Page(row[0], row[1], row[2] and datetime.fromisoformat(row[2]), row[3])
