"""The commands of the service, as an operator types them: `flask --app commands ...`."""

import contextlib
import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from flask import Flask

from snapshots import cli
from snapshots.rows import COLUMNS
from tests.support import ROOT, snapshot
from tests.support.running import clean_environ

DATA_FAULT, USAGE, SYSTEM_FAULT = 1, 2, 3


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Flasks = Callable[..., Done]
Stored = Callable[[], list[tuple[Any, ...]]]


def environ(database_url: str) -> dict[str, str]:
    """Return an environment with every setting that a command needs, and none of those for serving."""
    return {**clean_environ(), "DATABASE_URL": database_url}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flask", "--app", "commands", *arguments]


@contextlib.contextmanager
def started(
    database_url: str, *arguments: str, stderr: int = subprocess.PIPE, stdin: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command; kill it afterwards if it still runs."""
    with subprocess.Popen(
        command(*arguments), cwd=ROOT, env=environ(database_url), stdin=stdin, stderr=stderr
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def in_process(database_url: str) -> Flasks:
    """Return a function that runs a command in this process, ten times as fast as in a process of its own."""
    app = Flask("commands")
    cli.init_app(app, database_url)
    runner = app.test_cli_runner()

    def run(*arguments: str, stdin: str | None = None) -> Done:
        result = runner.invoke(args=arguments, input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    return run


def in_a_shell(database_url: str) -> Flasks:
    """Return a function that runs a command in a process of its own."""

    def run(*arguments: str, **changed: str) -> Done:
        done = subprocess.run(
            command(*arguments),
            cwd=ROOT,
            env={**environ(database_url), **changed},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


def as_csv(*items: dict[str, Any], columns: tuple[str, ...] = COLUMNS) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(items)
    return text.getvalue()


def as_ndjson(*items: dict[str, Any]) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


def series(user_id: str, account_id: str, length: int = 3) -> list[dict[str, Any]]:
    return [
        snapshot(user_id, account_id, f"{100 + n}.50", captured_at=f"2025-01-{n + 1:02}T00:00:00Z")
        for n in range(length)
    ]
