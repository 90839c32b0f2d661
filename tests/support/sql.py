"""Shortcuts for queries."""

from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]


def value(connection: Connection, expression: str, *parameters: Any) -> Any:
    """Return the value of an SQL expression."""
    row = connection.execute(f"SELECT {expression}".encode(), parameters).fetchone()
    assert row is not None
    return row[0]
