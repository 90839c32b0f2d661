"""Storage of a batch of corrections: all or nothing, and idempotent (rules 31 and 32)."""

import json
from typing import Any

from psycopg import Connection, Rollback

from snapshots import queries
from snapshots.queries import CorrectionMatch

_NEW = {"corrected", "withdrawn"}
_CONTRADICTIONS = {"contradicts_stored", "contradicts_batch", "not_stored"}


class ContradictionError(Exception):
    """Corrections that contradict stored snapshots, or one another; nothing is stored."""

    def __init__(self, matches: dict[int, CorrectionMatch]) -> None:
        super().__init__(f"{len(matches)} corrections of the batch contradict stored snapshots, or one another")
        self.matches = matches
        """The corrections at fault, by their indexes in the batch."""


def store(connection: Connection[Any], items: list[dict[str, Any]], subject: str) -> list[CorrectionMatch]:
    """Store a batch that `schemas.corrections.CorrectionBatch` has loaded; return the outcome of each, in order.

    Takes one statement if all corrections are new, two if none is, else three, whatever the batch's size, and two more
    whenever another transaction has meanwhile corrected a snapshot of the batch. Raises ContradictionError and
    psycopg.Error. After either, or if the outcome is lost, the same batch may be stored again. Two corrections of a
    snapshot are the same if their replacements have the same values; the first one's reason is kept.
    """
    batch = [_flatten(item) for item in items]
    users = list({item["user_id"] for item in items})
    # Usually all of them are new.
    matches = [_new(item) for item in items]
    # A superseded snapshot never becomes current again, so each round has fewer new corrections.
    while new := [item for item, match in zip(batch, matches, strict=True) if match.status in _NEW]:
        replacements = _supersede(connection, new, subject)
        if replacements is not None:
            return [
                match._replace(replaced_by=replacements.get(_snapshot(item), match.replaced_by))
                for item, match in zip(batch, matches, strict=True)
            ]
        matches = queries.match_corrections(connection, items=_json(batch), users=users)
        contradictions = {n: match for n, match in enumerate(matches) if match.status in _CONTRADICTIONS}
        if contradictions:
            raise ContradictionError(contradictions)
    return matches


def _supersede(
    connection: Connection[Any], corrections: list[dict[str, Any]], subject: str
) -> dict[tuple[Any, ...], str | None] | None:
    """Supersede these snapshots, all or none; return the id of each replacement, or None if one is not current."""
    with connection.transaction():
        moved = queries.supersede_snapshots(connection, items=_json(corrections), subject=_storable(subject))
        are_all_moved = len(moved) == len(corrections)
        if not are_all_moved:
            raise Rollback
    replacements = {_snapshot(corrections[each.ordinality - 1]): each.replaced_by for each in moved}
    return replacements if are_all_moved else None


def _snapshot(correction: dict[str, Any]) -> tuple[Any, ...]:
    """Return the id and the key of the snapshot: an import may have stored an id under several keys."""
    return tuple(correction[name] for name in ("id", "user_id", "account_id", "source", "captured_at"))


def _flatten(item: dict[str, Any]) -> dict[str, Any]:
    """Return the item and the values of its replacement as one row; a withdrawal has no values."""
    return {name: value for name, value in item.items() if name != "replacement"} | (item["replacement"] or {})


def _new(item: dict[str, Any]) -> CorrectionMatch:
    return CorrectionMatch("corrected" if item["replacement"] else "withdrawn", item["id"], None, None)


def _json(corrections: list[dict[str, Any]]) -> str:
    return json.dumps(corrections, default=str)


def _storable(subject: str) -> str:
    """Return the subject without the characters that PostgreSQL cannot store."""
    return subject.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
