"""JSON as RFC 8259 defines it, without what Python's parser accepts beyond that."""

import json
from typing import Any


class MalformedJsonError(ValueError):
    """A document that RFC 8259 forbids or leaves open, but Python accepts; the message is like "contains NaN"."""


def loads(text: str) -> Any:
    """Parse a document. Raises RecursionError or ValueError, which is MalformedJsonError if Python would accept it."""
    return json.loads(text, object_pairs_hook=_reject_duplicate_keys, parse_constant=_reject_constant)


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJsonError("has an object with a duplicate member")
    return members


def _reject_constant(name: str) -> None:
    raise MalformedJsonError(f"contains {name}, which is not JSON")
