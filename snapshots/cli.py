"""`flask snapshots import`, `flask snapshots export` and `flask users erase`.

They end with 0 when all went well, 1 for faults in the data, 2 for a command that makes no sense, 3 for faults of the
system: a database that cannot be reached, a file that cannot be opened.
"""

import contextlib
import csv
import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any, NoReturn

import click
import marshmallow as ma
import psycopg
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

from schemas.fields import SOURCES, Instant, Uuid
from snapshots import erasing, files, importing, queries
from snapshots.importing import FaultsError, Outcome, RowFault

DATA_FAULT = 1
SYSTEM_FAULT = 3
# So many faults are printed; all of them go to --errors.
SHOWN_FAULTS = 20
# Without a terminal, a line for so many rows.
ROWS_A_LINE = 100_000

snapshots = AppGroup("snapshots", help="Take snapshots in and out.")
users = AppGroup("users", help="What is kept of users.")


def init_app(app: Flask, database_url: str) -> None:
    """Adds the commands; they use a connection of their own, without the bounds of requests."""
    app.extensions["cli_database_url"] = database_url
    app.cli.add_command(snapshots)
    app.cli.add_command(users)


class _Checked(click.ParamType[Any]):
    """A value that a field of the API takes."""

    def __init__(self, name: str, field: ma.fields.Field[Any]) -> None:
        self.name = name
        self._field = field

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._field.deserialize(value)
        except ma.ValidationError as error:
            self.fail(" ".join(map(str, error.messages)), param, ctx)


_UUID = _Checked("uuid", Uuid())
_INSTANT = _Checked("instant", Instant())


@snapshots.command("import")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would happen, and store nothing. Captures of the same accounts wait for it.",
)
@click.option("--skip-faults", is_flag=True, help="Store what is right of a file that has faults.")
@click.option("--errors", "errors_path", type=click.Path(), help="Write every fault to this file, as CSV.")
@with_appcontext
def import_(paths: tuple[str, ...], dry_run: bool, skip_faults: bool, errors_path: str | None) -> None:
    """Stores the snapshots of CSV or NDJSON files, .gz or not; - is standard input.

    Each file is stored as a whole or, when it has a fault, not at all. What is stored already counts as a duplicate, so
    a file may be imported again.
    """
    if paths.count("-") > 1 or errors_path in paths:
        raise click.UsageError("A file is named twice.")
    with _ending_well("Nothing more was stored."), contextlib.ExitStack() as at_last:
        report = _Faults(at_last.enter_context(_written(errors_path)) if errors_path else None)
        connection = at_last.enter_context(_connection())
        if dry_run:
            # One transaction for all files, so that each is compared with those before it too.
            at_last.enter_context(connection.transaction(force_rollback=True))
        has_faults = False
        for path in paths:
            with files.opened(path) as source:
                has_faults |= not _import(connection, source, report, dry_run=dry_run, skip_faults=skip_faults)
    sys.exit(DATA_FAULT if has_faults else 0)


def _written(path: str) -> IO[str]:
    return open(path, "w", encoding="utf-8", errors="backslashreplace", newline="")


def _import(
    connection: psycopg.Connection[Any], source: files.Source, report: "_Faults", *, dry_run: bool, skip_faults: bool
) -> bool:
    """Whether the file has no faults."""
    name = "standard input" if source.name == "-" else source.name
    report.begin(name)
    try:
        with connection.transaction():
            outcome = importing.store(connection, _watched(source, name), report.add, _say, skip_faults=skip_faults)
    except FaultsError as error:
        report.end()
        _say(f"{name}: {_sums(error.outcome)}. Nothing of it was stored.")
        return False
    except files.FileError as error:
        report.end()
        report.write(RowFault(error.line, "", str(error)))
        _say(f"{name}, line {error.line}: {error} Nothing of it was stored.")
        return False
    report.end()
    _say(f"{name}: {_sums(outcome)}." + (" It was a dry run: nothing was stored." if dry_run else ""))
    return outcome.faulty == 0


def _sums(outcome: Outcome) -> str:
    return (
        f"{outcome.rows:,} rows, {outcome.created:,} new, {outcome.duplicates:,} duplicates,"
        f" {outcome.faulty:,} with faults"
    )


class _Faults:
    """The faults of a file: the first on the screen, all of them in a file if one was named."""

    def __init__(self, errors: IO[str] | None) -> None:
        self._writer = csv.writer(errors) if errors else None
        if self._writer:
            self._writer.writerow(["file", "line", "field", "message"])
        self._name = ""
        self._count = 0

    def begin(self, name: str) -> None:
        self._name, self._count = name, 0

    def add(self, fault: RowFault) -> None:
        self._count += 1
        self.write(fault)
        if self._count <= SHOWN_FAULTS:
            # A file may name a member as it likes, and a terminal obeys.
            field = fault.field if fault.field in files.COLUMNS else fault.field and ascii(fault.field[:80])
            _say(f"{self._name}, line {fault.line}{field and ', ' + field}: {fault.message}")

    def write(self, fault: RowFault) -> None:
        """To the file alone."""
        if self._writer:
            self._writer.writerow([self._name, *fault])

    def end(self) -> None:
        if self._count > SHOWN_FAULTS:
            rest = "" if self._writer else "; --errors FILE lists all"
            _say(f"... and {self._count - SHOWN_FAULTS:,} more faults{rest}")


def _watched(source: files.Source, name: str) -> Iterator[files.Row]:
    """The rows, while a bar goes on or lines tell how far they are."""
    if source.size is None or not sys.stderr.isatty():
        number = 0
        for number, row in enumerate(source.rows(), 1):
            yield row
            if number % ROWS_A_LINE == 0:
                _say(f"{name}: {number:,} rows read")
        return
    began = time.monotonic()
    with click.progressbar(length=source.size, label=name, file=sys.stderr, show_pos=False) as bar:
        for number, row in enumerate(source.rows(), 1):
            yield row
            if number % 1000 == 0:
                rate = number / (time.monotonic() - began)
                bar.label = f"{name}: {number:,} rows, {rate:,.0f}/s"
                bar.update(source.position - bar.pos)
        bar.update(source.size - bar.pos)


@snapshots.command("export")
@click.option("--user", "user_id", type=_UUID, required=True, help="Whose snapshots.")
@click.option("--account", "account_id", type=_UUID, help="Of this account alone.")
@click.option("--start", "start_date", type=_INSTANT, help="From this instant on.")
@click.option("--end", "end_date", type=_INSTANT, help="Up to this instant.")
@click.option("--source", type=click.Choice(SOURCES), help="Of this source alone.")
@click.option("--format", "form", type=click.Choice(["csv", "ndjson"]), default="csv", show_default=True)
@with_appcontext
def export(
    *,
    user_id: str,
    account_id: str | None,
    start_date: datetime | None,
    end_date: datetime | None,
    source: str | None,
    form: str,
) -> None:
    """Write a user's snapshots to standard output, in a form that import takes back."""
    if start_date and end_date and start_date >= end_date:
        raise click.BadParameter("Must be before --end.", param_hint="'--start'")
    with _ending_well("The export is not complete."), _connection() as connection, connection.transaction():
        snapshots = queries.list_snapshots_to_export(
            connection,
            user_id=user_id,
            account_id=account_id,
            start_date=start_date,
            end_date=end_date,
            source=source,
        )
        number = files.write(snapshots, sys.stdout, form)
        sys.stdout.flush()
    _say(f"{number:,} snapshots")


@users.command("erase")
@click.argument("user_id", metavar="ID", type=_UUID)
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_appcontext
def erase(user_id: str, yes: bool) -> None:
    """Removes a user's accounts and snapshots for ever. Takes a database role that may delete: the owner's."""
    if not yes:
        click.confirm(f"Remove every account and snapshot of {user_id} for ever?", abort=True, err=True)
    with _ending_well("Nothing was removed."), _connection() as connection, connection.transaction():
        accounts, removed = erasing.erase(connection, user_id)
    click.echo(f"Removed {accounts:,} accounts and {removed:,} snapshots.")


def _connection() -> psycopg.Connection[Any]:
    return psycopg.connect(current_app.extensions["cli_database_url"], autocommit=True, connect_timeout=10)


@contextlib.contextmanager
def _ending_well(consequence: str) -> Iterator[None]:
    """Faults of the system as one line and their exit code; an interruption says what became of the work."""
    try:
        yield
    except BrokenPipeError:
        # Who read our output has enough of it; the interpreter's last flush is not to complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(SYSTEM_FAULT)
    except KeyboardInterrupt:
        _say(f"Interrupted. {consequence}")
        sys.exit(130)
    except psycopg.Error as error:
        _fail(f"The database: {str(error).strip().partition(chr(10))[0] or type(error).__name__}. {consequence}")
    except OSError as error:
        _fail(f"{error.filename or 'Input'}: {error.strerror}. {consequence}")


def _fail(message: str) -> NoReturn:
    _say(message)
    sys.exit(SYSTEM_FAULT)


def _say(message: str) -> None:
    click.echo(message, err=True)
