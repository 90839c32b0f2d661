"""Erasure of a user's data, or of an account's."""

from typing import Any

from psycopg import Connection

from snapshots import command_queries


def erase_user(connection: Connection[Any], user_id: str) -> tuple[int, int]:
    """Erase a user's data within the caller's transaction; return the numbers of accounts and of snapshots erased.

    Superseded snapshots are counted too. An account that a concurrent capture registers counts as captured after the
    erasure, and stays.
    """
    account_ids = command_queries.list_accounts(connection, user_id=user_id)
    return _erase(connection, user_id, account_ids)


def erase_account(connection: Connection[Any], account_id: str) -> tuple[int, int]:
    """Erase one account in the same way; return zeros if there is no such account."""
    user_id = command_queries.get_owner(connection, account_id=account_id)
    return _erase(connection, user_id, [account_id]) if user_id else (0, 0)


def _erase(connection: Connection[Any], user_id: str, account_ids: list[str]) -> tuple[int, int]:
    account_ids = command_queries.lock_accounts(connection, account_ids=account_ids)
    snapshots = command_queries.delete_snapshots(connection, user_id=user_id, account_ids=account_ids)
    snapshots += command_queries.delete_superseded_snapshots(connection, user_id=user_id, account_ids=account_ids)
    accounts = command_queries.delete_accounts(connection, user_id=user_id, account_ids=account_ids)
    return accounts, snapshots
