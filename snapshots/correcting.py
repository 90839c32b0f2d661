"""Storage of a batch of corrections: all or nothing, and idempotent (rules 31 and 32)."""

import json
from typing import Any

from psycopg import Connection

from snapshots import queries
from snapshots.queries import CorrectionMatch

_CONTRADICTIONS = {"contradicts_stored", "contradicts_batch", "not_stored"}


class ContradictionError(Exception):
    """Corrections that contradict what is stored, or one another; nothing is stored."""

    def __init__(self, matches: dict[int, CorrectionMatch]) -> None:
        super().__init__(f"{len(matches)} corrections of the batch contradict what is stored, or one another")
        self.matches = matches
        """The corrections at fault, by their places in the batch."""


def store(connection: Connection[Any], items: list[dict[str, Any]], subject: str) -> list[CorrectionMatch]:
    """Store a batch that `schemas.corrections.CorrectionBatch` has loaded; return the outcome of each, in their order.

    Takes two statements, whatever the batch's size, or one if all corrections are new. Raises ContradictionError and
    psycopg.Error. After either, or if the outcome is lost, the same batch may be stored again. Two corrections of a
    snapshot are the same if their replacements have the same values; the first one's reason is kept.
    """
    batch = json.dumps([_flatten(item) for item in items], default=str)
    users = list({item["user_id"] for item in items})
    with connection.transaction():
        moved = queries.supersede_snapshots(connection, items=batch, subject=_storable(subject))
        if len(moved) == len(items):
            return [_new(item, replaced_by) for item, (_, replaced_by) in zip(items, moved, strict=True)]
        if moved:
            return _match(connection, batch, users, [ordinality for ordinality, _ in moved])
    # Nothing was moved, so match outside the transaction: within it, a cluster would let no other role read a table
    # from which the function's owner has deleted.
    return _match(connection, batch, users, [])


def _match(connection: Connection[Any], batch: str, users: list[str], places: list[int]) -> list[CorrectionMatch]:
    matches = queries.match_corrections(connection, items=batch, users=users, moved=places)
    contradictions = {n: match for n, match in enumerate(matches) if match.status in _CONTRADICTIONS}
    if contradictions:
        raise ContradictionError(contradictions)
    return matches


def _flatten(item: dict[str, Any]) -> dict[str, Any]:
    """Return the item and the values of its replacement as one row; a withdrawal has no values."""
    return {name: value for name, value in item.items() if name != "replacement"} | (item["replacement"] or {})


def _new(item: dict[str, Any], replaced_by: str | None) -> CorrectionMatch:
    status = "corrected" if replaced_by else "withdrawn"
    return CorrectionMatch(status, item["id"], replaced_by, replaced_by)


def _storable(subject: str) -> str:
    """Return the subject without the characters that PostgreSQL cannot store."""
    return subject.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
