"""Runs a file of sql/queries by itself, in psql, with the example parameters of its head.

python -m tools.sql run|explain NAME [PARAMETER=VALUE ...]
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from config import ConfigError
from snapshots.queries import DIRECTORY
from tools import local
from tools.migrate import MigrationError, migrate
from tools.postgres import PostgresError, client


class Parameter(NamedTuple):
    name: str
    type: str
    example: str | None
    """None for NULL."""


class Column(NamedTuple):
    name: str
    type: str


class Query(NamedTuple):
    """A file of sql/queries, as its head describes it."""

    name: str
    parameters: list[Parameter]
    columns: list[Column]
    statement: str


def read(path: Path) -> Query:
    """The query of a file. Raises ValueError when its head is not as CONTRIBUTING.md says."""
    text = path.read_text()
    head = re.match(
        r"(?P<answers>(?:-- .+\n)+)--\n"
        r"(?:-- Parameters:\n(?P<parameters>(?:--   .+\n)+))?"
        r"(?:-- Columns:\n(?P<columns>(?:--   .+\n)+))?\n",
        text,
    )
    if head is None:
        raise ValueError(f"{path.name} has no head")
    return Query(
        path.stem,
        [
            Parameter(cells[0], cells[1], None if cells[2] == "NULL" else cells[2])
            for cells in _table(head["parameters"])
        ],
        [Column(cells[0], cells[1]) for cells in _table(head["columns"])],
        text[head.end() :],
    )


def _table(lines: str | None) -> list[list[str]]:
    return [re.split(r"\s{2,}", line[2:].strip()) for line in (lines or "").splitlines()]


def as_psql(query: Query, given: dict[str, str], explain: bool) -> tuple[str, list[str]]:
    """The statement for psql and the arguments that set its variables."""
    values = {p.name: p.example for p in query.parameters} | given
    variables = []
    statement = query.statement.replace("%%", "%")
    for name, value in values.items():
        literal = "NULL" if value in (None, "NULL") else f":'{name}'"
        statement = statement.replace(f"%({name})s", literal)
        variables += ["--set", f"{name}={value}"]
    return ("EXPLAIN (ANALYZE, BUFFERS, VERBOSE)\n" if explain else "") + statement, variables


def main(arguments: list[str]) -> None:
    names = sorted(path.stem for path in DIRECTORY.glob("*.sql"))
    if len(arguments) < 2 or arguments[0] not in ("run", "explain") or arguments[1] not in names:
        sys.exit(f"Say which query: make sql Q={names[0]}. There are {', '.join(names)}.")
    query = read(DIRECTORY / f"{arguments[1]}.sql")
    known = [parameter.name for parameter in query.parameters]
    given = dict(argument.partition("=")[::2] for argument in arguments[2:])
    if not given.keys() <= set(known) or any("=" not in argument for argument in arguments[2:]):
        sys.exit(f'Say parameters as SET="name=value"; {query.name} has {", ".join(known)}.')
    statement, variables = as_psql(query, given, explain=arguments[0] == "explain")
    # Rolled back, so that trying a query changes nothing.
    script = f"BEGIN;\n{statement}\nROLLBACK;\n"
    try:
        with local.database() as url:
            migrate(url)
            options = ["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", *variables]
            command, environment = client("psql", url, *options)
            sys.exit(subprocess.run(command, input=script, text=True, check=False, env=environment).returncode)
    except (ConfigError, PostgresError, MigrationError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
