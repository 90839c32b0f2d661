"""`flask snapshots import` and `export`, `flask users erase` and `flask accounts erase`.

Exit codes: 0 success, 1 faults in the data, 2 usage error, 3 system fault (such as a database that cannot be reached
or a file that cannot be opened), 130 interrupted.
"""

import contextlib
import csv
import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import IO, Any, NoReturn

import click
import marshmallow as ma
import psycopg
from flask import Flask, current_app
from flask.cli import AppGroup

from schemas.fields import SOURCES, Instant, Uuid
from schemas.hints import printable
from snapshots import command_queries, erasing, files, importing, progress, rows
from snapshots.importing import FaultsError, Outcome, RowFault

DATA_FAULT = 1
SYSTEM_FAULT = 3
# Maximum number of faults printed for a file; --errors receives all of them.
MAX_SHOWN_FAULTS = 20
# A cluster appends the number of a shard to the names of tables and constraints.
_SHARD_NUMBER = re.compile(r'_\d{6,}(?=")')

snapshots = AppGroup("snapshots", help="Import and export snapshots.")
users = AppGroup("users", help="Manage users' data.")
accounts = AppGroup("accounts", help="Manage accounts' data.")


def init_app(app: Flask, database_url: str) -> None:
    """Add the commands. Each opens its own connection, without the timeouts of requests."""
    app.extensions["cli_database_url"] = database_url
    app.cli.add_command(snapshots)
    app.cli.add_command(users)
    app.cli.add_command(accounts)


class _FieldType(click.ParamType[Any]):
    """Type of a command-line option that is validated like a field of the API."""

    def __init__(self, name: str, field: ma.fields.Field[Any]) -> None:
        self.name = name
        self._field = field

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._field.deserialize(value)
        except ma.ValidationError as error:
            self.fail(" ".join(map(str, error.messages)), param, ctx)


_UUID = _FieldType("uuid", Uuid())
_INSTANT = _FieldType("instant", Instant())


@snapshots.command("import")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Report the outcome and store nothing. Captures of the same accounts wait meanwhile.",
)
@click.option("--skip-faults", is_flag=True, help="Store the valid rows of a file that has faults.")
@click.option("--errors", "errors_path", type=click.Path(), help="Write every fault to this file, as CSV.")
def import_(paths: tuple[str, ...], dry_run: bool, skip_faults: bool, errors_path: str | None) -> None:
    """Store the snapshots of CSV or NDJSON files, gzipped or not; - is standard input.

    Each file is stored as a whole or, if it has a fault, not at all. Snapshots that are stored already count as
    duplicates, so a file may be imported again.
    """
    if paths.count("-") > 1 or errors_path in paths:
        raise click.UsageError("A file is named twice.")
    with _exit_codes("Nothing more was stored."), contextlib.ExitStack() as stack:
        report = _Faults(stack.enter_context(_open_for_writing(errors_path)) if errors_path else None)
        connection = stack.enter_context(_connection())
        if dry_run:
            # One transaction for all files, so that each is also compared with those before it.
            stack.enter_context(connection.transaction(force_rollback=True))
        has_faults = False
        for path in paths:
            with files.open_input(path) as file:
                has_faults |= not _import(connection, file, report, dry_run=dry_run, skip_faults=skip_faults)
    sys.exit(DATA_FAULT if has_faults else 0)


def _open_for_writing(path: str) -> IO[str]:
    return open(path, "w", encoding="utf-8", errors="backslashreplace", newline="")


def _import(
    connection: psycopg.Connection[Any], file: files.InputFile, report: "_Faults", *, dry_run: bool, skip_faults: bool
) -> bool:
    """Import a file and report its outcome; return whether it had no faults."""
    name = "standard input" if file.name == "-" else file.name
    display = progress.display(file, name)
    report.begin(name, display.say)
    try:
        with display, connection.transaction():
            outcome = importing.store(
                connection, display.rows(), report.add, display.begin_step, skip_faults=skip_faults
            )
    except FaultsError as error:
        report.end()
        _say(f"{name}: {_summary(error.outcome)}. None of it was stored.")
        return False
    except rows.FileError as error:
        report.end()
        report.write(RowFault(error.line, "", str(error)))
        _say(f"{name}, line {error.line}: {error} None of it was stored.")
        return False
    report.end()
    consequence = " It was a dry run: nothing was stored." if dry_run else ""
    _say(f"{name}: {_summary(outcome)}.{consequence} {display.rate:,.0f} rows per second.")
    return outcome.faulty == 0


def _summary(outcome: Outcome) -> str:
    return (
        f"{outcome.rows:,} rows, {outcome.created:,} new, {outcome.duplicates:,} duplicates,"
        f" {outcome.faulty:,} with faults"
    )


class _Faults:
    """Reporter of a file's faults: the first ones to standard error, all of them to the --errors file."""

    def __init__(self, errors: IO[str] | None) -> None:
        self._writer = csv.writer(errors) if errors else None
        if self._writer:
            self._writer.writerow(["file", "line", "field", "message"])
        self._name = ""
        self._say: Callable[[str], None] = _say
        self._count = 0

    def begin(self, name: str, say: Callable[[str], None]) -> None:
        """Start on another file, whose first faults go to `say`."""
        self._name, self._say, self._count = name, say, 0

    def add(self, fault: RowFault) -> None:
        self._count += 1
        if fault.field and fault.field not in rows.ALL_COLUMNS:
            # The name comes from the file: it must not control a terminal, or be a formula in a spreadsheet.
            fault = fault._replace(field=printable(fault.field))
        self.write(fault)
        if self._count <= MAX_SHOWN_FAULTS:
            field = f", {fault.field}" if fault.field else ""
            self._say(f"{self._name}, line {fault.line}{field}: {fault.message}")

    def write(self, fault: RowFault) -> None:
        """Write to the --errors file only."""
        if self._writer:
            self._writer.writerow([self._name, *fault])

    def end(self) -> None:
        if self._count > MAX_SHOWN_FAULTS:
            rest = "" if self._writer else "; --errors FILE lists all"
            _say(f"... and {self._count - MAX_SHOWN_FAULTS:,} more faults{rest}")


@snapshots.command("export")
@click.option("--user", "user_id", type=_UUID, required=True, help="Export this user's snapshots.")
@click.option("--account", "account_id", type=_UUID, help="Only this account.")
@click.option("--start", "start_date", type=_INSTANT, help="From this instant, inclusive.")
@click.option("--end", "end_date", type=_INSTANT, help="Up to this instant, inclusive.")
@click.option("--source", type=click.Choice(SOURCES), help="Only this source.")
@click.option(
    "--superseded",
    "with_superseded",
    is_flag=True,
    help="Include superseded snapshots, and the id and creation time of all.",
)
@click.option("--format", "form", type=click.Choice(["csv", "ndjson"]), default="csv", show_default=True)
def export(
    *,
    user_id: str,
    account_id: str | None,
    start_date: datetime | None,
    end_date: datetime | None,
    source: str | None,
    with_superseded: bool,
    form: str,
) -> None:
    """Write a user's snapshots to standard output, in a format that import accepts."""
    if start_date and end_date and start_date >= end_date:
        raise click.BadParameter("Must be before --end.", param_hint="'--start'")
    with _exit_codes("The export is not complete."), _connection() as connection, connection.transaction():
        snapshots = command_queries.list_snapshots_to_export(
            connection,
            user_id=user_id,
            account_id=account_id,
            start_date=start_date,
            end_date=end_date,
            source=source,
            with_superseded=with_superseded,
        )
        columns = rows.ALL_COLUMNS if with_superseded else rows.COLUMNS
        number = files.write(snapshots, columns, sys.stdout, form)
        sys.stdout.flush()
    _say(f"{number:,} snapshots")


@users.command("erase")
@click.argument("user_id", metavar="ID", type=_UUID)
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
def erase_user(user_id: str, yes: bool) -> None:
    """Permanently remove a user's accounts and snapshots. Run it as the owner role, which may delete."""
    if not yes:
        click.confirm(f"Permanently remove every account and snapshot of {user_id}?", abort=True, err=True)
    _erase(erasing.erase_user, user_id)


@accounts.command("erase")
@click.argument("account_id", metavar="ID", type=_UUID)
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
def erase_account(account_id: str, yes: bool) -> None:
    """Permanently remove an account and its snapshots. Run it as the owner role, which may delete."""
    if not yes:
        click.confirm(f"Permanently remove account {account_id} and its snapshots?", abort=True, err=True)
    _erase(erasing.erase_account, account_id)


def _erase(erase_from: Callable[[psycopg.Connection[Any], str], tuple[int, int]], id_: str) -> None:
    with _exit_codes("Nothing was removed."), _connection() as connection, connection.transaction():
        accounts_removed, snapshots_removed = erase_from(connection, id_)
    click.echo(f"Removed {accounts_removed:,} accounts and {snapshots_removed:,} snapshots.")


def _connection() -> psycopg.Connection[Any]:
    return psycopg.connect(current_app.extensions["cli_database_url"], autocommit=True, connect_timeout=10)


@contextlib.contextmanager
def _exit_codes(consequence: str) -> Iterator[None]:
    """Turn system faults and interruptions into a line that states the consequence, and an exit code."""
    try:
        yield
    except BrokenPipeError:
        # The reader has closed our output. Keep the interpreter's final flush from failing too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(SYSTEM_FAULT)
    except KeyboardInterrupt:
        _say(f"Interrupted. {consequence}")
        sys.exit(130)
    except psycopg.Error as error:
        _fail(f"Database error: {_first_line(error)}. {consequence}")
    except OSError as error:
        _fail(f"{error.filename or 'Input'}: {error.strerror}. {consequence}")


def _first_line(error: psycopg.Error) -> str:
    line = str(error).strip().partition("\n")[0] or type(error).__name__
    return _SHARD_NUMBER.sub("", line) if isinstance(error, psycopg.IntegrityError) else line


def _fail(message: str) -> NoReturn:
    _say(message)
    sys.exit(SYSTEM_FAULT)


def _say(message: str) -> None:
    click.echo(message, err=True)
