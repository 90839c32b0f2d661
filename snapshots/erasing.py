"""Erasure of a user's data."""

from typing import Any

from psycopg import Connection

from snapshots import queries


def erase(connection: Connection[Any], user_id: str) -> tuple[int, int]:
    """Erase a user's data within the caller's transaction; return the numbers of accounts and of snapshots erased.

    An account that a concurrent capture registers counts as captured after the erasure, and stays.
    """
    account_ids = queries.lock_accounts(connection, user_id=user_id)
    snapshots = queries.delete_snapshots(connection, user_id=user_id, account_ids=account_ids)
    accounts = queries.delete_accounts(connection, user_id=user_id, account_ids=account_ids)
    return accounts, snapshots
