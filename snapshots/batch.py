"""Storage of a batch of snapshots: all or nothing, and idempotent (rules 21 to 23 and 33)."""

import json
from typing import Any

from psycopg import Connection, Rollback

from snapshots import queries
from snapshots.queries import Match

# Messages for the statuses of items that cannot be stored.
CONTRADICTIONS = {
    "contradicts_stored": "A snapshot of this account, time and source is stored with different values.",
    "contradicts_batch": "The batch contains snapshots of this account, time and source with different values.",
    "other_owner": "The account belongs to another user.",
}


class ContradictionError(Exception):
    """Items that contradict stored snapshots, one another, or the owner of their account; nothing is stored."""

    def __init__(self, statuses: dict[int, str]) -> None:
        super().__init__(
            f"{len(statuses)} items of the batch contradict stored snapshots, one another, or an account's owner"
        )
        self.statuses = statuses
        """The status of each item at fault, by its index in the batch."""


def store(connection: Connection[Any], items: list[dict[str, Any]]) -> list[Match]:
    """Store a batch that `schemas.capture.CaptureBatch` has loaded; return the outcome of each item, in order.

    Takes two statements in one transaction, whatever the batch's size, one more if an account is new, and one more
    unless all items are new. It starts over if another transaction registers one of the accounts meanwhile. Raises
    ContradictionError and psycopg.Error. After either, or if the outcome is lost, the same batch may be stored again.
    """
    batch = json.dumps(items, default=str)
    # A new account belongs to the user of its first item.
    owners = {item["account_id"]: item["user_id"] for item in reversed(items)}
    users = list({item["user_id"] for item in items})
    while True:
        with connection.transaction():
            held = queries.hold_accounts(connection, account_ids=list(owners))
            if held < len(owners):
                registered = queries.insert_accounts(connection, owners=json.dumps(owners))
                if held + registered < len(owners):
                    # Another transaction registered some of them meanwhile. Start over, because all transactions lock
                    # accounts in one order: holding these after the known ones could deadlock with a correction.
                    raise Rollback
            created = queries.insert_snapshots(connection, items=batch, users=users)
            if len(created) == len(items):
                # If all items are new, there are no contradictions. Ids ascend in the order of the batch.
                return sorted(created, key=lambda match: str(match.id))
            new_ids = [str(match.id) for match in created]
            matches = queries.match_snapshots(connection, items=batch, users=users, created=new_ids)
            faults = {n: match.status for n, match in enumerate(matches) if match.status in CONTRADICTIONS}
            if faults:
                raise ContradictionError(faults)
            if any(match.status == "unregistered" for match in matches):
                # On a cluster, the coordinator sees a new account a moment before the other nodes do. Start over.
                raise Rollback
            return matches
