"""Functions that read, run and stream the statements of sql/queries."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from psycopg import Connection, Cursor

DIRECTORY = Path(__file__).parent.parent / "sql" / "queries"


def execute(connection: Connection[Any], name: str, **parameters: Any) -> Cursor[Any]:
    """Run a statement and return its cursor."""
    return connection.execute(statement(name), parameters)


def count(cursor: Cursor[Any]) -> int:
    """Return the number that is the only column of the only row."""
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def array(ids: list[str]) -> str:
    """Return ids as the text of a PostgreSQL array, which is faster than having psycopg quote each id."""
    return f"{{{','.join(ids)}}}"


def stream(connection: Connection[Any], name: str, **parameters: Any) -> Iterator[Any]:
    """Yield the rows within a transaction, fetched from the server as they are consumed."""
    with connection.cursor(name=name) as cursor:
        cursor.itersize = 5000
        cursor.execute(statement(name), parameters)
        yield from cursor


@cache
def statement(name: str) -> bytes:
    """Return a file's statement, headed by its name, without comments and indentation.

    That keeps it within 4096 characters: psycopg parses a longer statement again on every use.
    """
    lines = (DIRECTORY / f"{name}.sql").read_text().splitlines()
    code = [line.strip() for line in lines if line and not line.strip().startswith("--")]
    return "\n".join([f"-- {name}", *code]).encode()
