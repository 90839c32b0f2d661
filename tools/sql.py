"""Run one file of sql/queries with the example parameters of its head, and roll back.

python -m tools.sql run|explain NAME [PARAMETER=VALUE ...]
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from config import ConfigError, read_variable
from snapshots.statements import DIRECTORY
from tools import demo, local
from tools.migrate import MigrationError, migrate
from tools.postgres import PostgresError


class Parameter(NamedTuple):
    name: str
    type: str
    example: str | None
    """None for NULL."""


class Column(NamedTuple):
    name: str
    type: str


class Query(NamedTuple):
    """A file of sql/queries, as described by its head."""

    name: str
    after: str | None
    """The query that must run before it in the same transaction."""
    parameters: list[Parameter]
    columns: list[Column]
    statement: str

    @property
    def example(self) -> dict[str, str | None]:
        """The example parameters."""
        return {parameter.name: parameter.example for parameter in self.parameters}


def read(path: Path) -> Query:
    """Read a query from a file. Raises ValueError if its head is not in the form that CONTRIBUTING.md describes."""
    text = path.read_text()
    head = re.match(
        r"(?P<summary>(?:-- .+\n)+)--\n"
        r"(?:-- After: (?P<after>\w+)\n)?"
        r"(?:-- Parameters:\n(?P<parameters>(?:--   .+\n)+))?"
        r"(?:-- Columns:\n(?P<columns>(?:--   .+\n)+))?\n",
        text,
    )
    if head is None:
        raise ValueError(f"{path.name} does not begin with a head")
    return Query(
        path.stem,
        head["after"],
        [
            Parameter(cells[0], cells[1], None if cells[2] == "NULL" else cells[2])
            for cells in _table(head["parameters"])
        ],
        [Column(cells[0], cells[1]) for cells in _table(head["columns"])],
        text[head.end() :],
    )


def _table(lines: str | None) -> list[list[str]]:
    return [re.split(r"\s{2,}", line[2:].strip()) for line in (lines or "").splitlines()]


def prepare(connection: psycopg.Connection[Any], query: Query) -> None:
    """Run the query that must run before this one, if there is one."""
    if query.after:
        before = read(DIRECTORY / f"{query.after}.sql")
        prepare(connection, before)
        connection.execute(before.statement.encode(), before.example)


def run(connection: psycopg.Connection[Any], query: Query, parameters: dict[str, str | None]) -> str:
    """Run the query; return its rows as an indented JSON array, with the JSON text of a `body` column parsed."""
    cursor = connection.execute(query.statement.encode(), parameters)
    if cursor.description is None:
        return f"{cursor.rowcount} rows" if cursor.rowcount >= 0 else "done"
    names = [column.name for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    for row in rows:
        if "body" in row:
            row["body"] = json.loads(row["body"])
    return json.dumps(rows, indent=2, default=str)


def explain(connection: psycopg.Connection[Any], query: Query, parameters: dict[str, str | None]) -> str:
    """Run the query; return its plan."""
    statement = f"EXPLAIN (ANALYZE, BUFFERS, VERBOSE)\n{query.statement}"
    return "\n".join(line for (line,) in connection.execute(statement.encode(), parameters))


def main(arguments: list[str]) -> None:
    names = sorted(path.stem for path in DIRECTORY.glob("*.sql"))
    if len(arguments) < 2 or arguments[0] not in ("run", "explain") or arguments[1] not in names:
        sys.exit(f'Usage: make sql Q=name [SET="parameter=value ..."]; the queries are {", ".join(names)}.')
    query = read(DIRECTORY / f"{arguments[1]}.sql")
    settings = dict(argument.partition("=")[::2] for argument in arguments[2:])
    if not settings.keys() <= query.example.keys() or any("=" not in argument for argument in arguments[2:]):
        sys.exit(f'Usage: SET="parameter=value ..."; the parameters of {query.name}: {", ".join(query.example)}.')
    parameters = query.example | {name: None if value == "NULL" else value for name, value in settings.items()}
    try:
        with local.database() as url:
            migrate(url)
            with psycopg.connect(url) as connection:
                if not read_variable(os.environ, "DATABASE_URL"):
                    # The examples use the demo portfolio, which only `make run` leaves in the database.
                    demo.load(connection)
                prepare(connection, query)
                print((run if arguments[0] == "run" else explain)(connection, query, parameters))
                connection.rollback()
    except (ConfigError, PostgresError, MigrationError, psycopg.Error) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
