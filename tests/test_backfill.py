"""Snapshots in and out of files, by the commands that an operator types: `flask --app wsgi ...`."""

import contextlib
import csv
import gzip
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg
import pytest
from flask import Flask

from snapshots import cli
from snapshots.files import COLUMNS
from tests.support import SECRET, USER, Caller, captured, snapshot, until, user_token
from tools import demo

ROOT = Path(__file__).parent.parent
DATA_FAULT, USAGE, SYSTEM_FAULT = 1, 2, 3


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Flasks = Callable[..., Done]


@pytest.fixture
def environ(database_url: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": database_url, "JWT_SECRET_KEY": SECRET, "LOG_LEVEL": "ERROR"}


@pytest.fixture
def flask(app: Flask) -> Flasks:
    """Runs a command in this process, which takes a tenth of the time that one of its own does."""
    runner = app.test_cli_runner()

    def run(*arguments: str, given: str | None = None) -> Done:
        result = runner.invoke(args=arguments, input=given)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def shell(environ: dict[str, str]) -> Flasks:
    """Runs a command as an operator does."""

    def run(*arguments: str, **changed: str) -> Done:
        done = subprocess.run(
            command(*arguments),
            cwd=ROOT,
            env={**environ, **changed},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]


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


@pytest.fixture
def stored(database_url: str, user_id: str) -> Callable[[], list[tuple[Any, ...]]]:
    """The user's snapshots."""

    def read() -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(
                "SELECT account_id::text, captured_at, source, balance::text FROM balance_snapshots"
                " WHERE user_id = %s ORDER BY 1, 2",
                [user_id],
            ).fetchall()

    return read


def flipped(text: str) -> bytes:
    """Packed, and damaged in the middle."""
    packed = bytearray(gzip.compress(text.encode()))
    packed[len(packed) // 2] ^= 0xFF
    return bytes(packed)


Stored = Callable[[], list[tuple[Any, ...]]]


# Import


@pytest.mark.parametrize(
    "form", ["csv", "csv with a BOM", "csv.gz", "ndjson", "ndjson.gz", "a pipe of csv", "a pipe of ndjson"]
)
def test_a_file_is_stored_and_again_it_is_all_duplicates(
    flask: Flasks, tmp_path: Path, stored: Stored, user_id: str, account_id: str, form: str
) -> None:
    items = series(user_id, account_id)
    text = as_ndjson(*items) if "ndjson" in form else as_csv(*items)
    path = tmp_path / f"balances.{form.split(maxsplit=1)[0]}"
    content = text.encode("utf-8-sig" if "BOM" in form else "utf-8")
    path.write_bytes(gzip.compress(content) if form.endswith("gz") else content)
    arguments, given = (["-"], text) if "pipe" in form else ([str(path)], None)

    first = flask("snapshots", "import", *arguments, given=given)
    second = flask("snapshots", "import", *arguments, given=given)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "3 rows, 3 new, 0 duplicates, 0 faults" in first.stderr
    assert "3 rows, 0 new, 3 duplicates, 0 faults" in second.stderr
    assert [row[3] for row in stored()] == ["100.50", "101.50", "102.50"]


def test_an_import_of_what_was_captured_is_a_duplicate_and_reads_the_same(
    flask: Flasks, tmp_path: Path, sync_job: Caller, user: Caller, user_id: str, account_id: str
) -> None:
    captured(sync_job, snapshot(user_id, account_id, "1.5"))
    before = user.recent(account_id).json
    path = tmp_path / "same.csv"
    path.write_text(as_csv(snapshot(user_id, account_id, "1.500")))

    done = flask("snapshots", "import", str(path))

    assert "1 rows, 0 new, 1 duplicates" in done.stderr
    assert user.recent(account_id).json == before


def test_amounts_are_stored_at_their_currencys_scale(
    flask: Flasks, tmp_path: Path, stored: Stored, user_id: str
) -> None:
    amounts = [("JPY", "1500"), ("USD", "10.1250"), ("KWD", "1"), ("USD", "-0.5"), ("USD", "0")]
    items = [
        snapshot(user_id, f"{n}0000000-0000-4000-8000-{uuid4().hex[:12]}", balance, currency=currency)
        for n, (currency, balance) in enumerate(amounts, 1)
    ]
    path = tmp_path / "amounts.ndjson"
    path.write_text(as_ndjson(*items))

    assert flask("snapshots", "import", str(path)).returncode == 0

    assert [row[3] for row in stored()] == ["1500", "10.125", "1.000", "-0.50", "0.00"]


def test_optional_columns_may_be_missing_or_empty_and_columns_come_in_any_order(
    flask: Flasks, tmp_path: Path, stored: Stored, user_id: str, account_id: str
) -> None:
    columns = ("captured_at", "source", "currency", "cash_value", "balance", "account_id", "user_id")
    path = tmp_path / "few.csv"
    path.write_text(as_csv(snapshot(user_id, account_id, cash_value=""), columns=columns))

    assert flask("snapshots", "import", str(path)).returncode == 0
    assert len(stored()) == 1


def test_a_cell_may_hold_line_breaks_and_faults_still_know_their_line(
    flask: Flasks, tmp_path: Path, user_id: str, account_id: str
) -> None:
    good, bad = series(user_id, account_id, 2)
    path = tmp_path / "lines.csv"
    path.write_text(as_csv({**good, "currency": "US\nD"}, {**bad, "currency": "usd"}))

    done = flask("snapshots", "import", str(path))

    assert f"{path}, line 2, currency:" in done.stderr
    assert f"{path}, line 4, currency:" in done.stderr


def test_every_fault_of_every_row_is_told_and_nothing_is_stored(
    flask: Flasks, tmp_path: Path, stored: Stored, user_id: str, account_id: str
) -> None:
    items = series(user_id, account_id, 40)[:30]
    for item in items[2:]:
        item["balance"] = "1e3"
    items[5]["currency"] = "XXX"
    path, errors = tmp_path / "faults.ndjson", tmp_path / "errors.csv"
    path.write_text(as_ndjson(*items) + "[]\n" + as_ndjson({**items[0], "extra": 1}))

    done = flask("snapshots", "import", str(path), "--errors", str(errors))

    assert done.returncode == DATA_FAULT
    assert "Nothing of it was stored" in done.stderr
    assert "... and 11 more faults" in done.stderr
    told = list(csv.DictReader(io.StringIO(errors.read_text())))
    assert len(told) == 31
    assert {row["line"] for row in told if row["field"] == "balance"} == {str(n) for n in range(3, 31)}
    assert [row["line"] for row in told if row["field"] == "currency"] == ["6"]
    assert [(row["line"], row["field"]) for row in told[-2:]] == [("31", ""), ("32", "extra")]
    assert stored() == []


def test_faults_can_be_skipped(
    flask: Flasks,
    tmp_path: Path,
    stored: Stored,
    sync_job: Caller,
    database_url: str,
    user_id: str,
    account_id: str,
) -> None:
    first, second, third = series(user_id, account_id)
    captured(sync_job, first)
    others = snapshot(user_id, str(uuid4()), captured_at="2025-03-01")
    path = tmp_path / "some.csv"
    path.write_text(
        as_csv({**first, "balance": "7"}, second, {**third, "source": "magic"}, others, {**others, "balance": "8"})
    )

    done = flask("snapshots", "import", str(path), "--skip-faults")

    assert done.returncode == DATA_FAULT
    assert "5 rows, 1 new, 0 duplicates, 4 faults" in done.stderr
    assert sorted(row[3] for row in stored()) == ["100.50", "101.50"]
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT FROM accounts WHERE id = %s", [others["account_id"]]).fetchall()
    assert found == [], "an account belongs to whom it was captured for, and nothing was"


def test_contradictions_are_refused_and_listed_by_line(
    flask: Flasks, tmp_path: Path, stored: Stored, sync_job: Caller, user_id: str, account_id: str
) -> None:
    first, second, third = series(user_id, account_id)
    strangers = snapshot(str(uuid4()), str(uuid4()))
    captured(sync_job, first, strangers)
    path = tmp_path / "contradictory.csv"
    path.write_text(
        as_csv(
            {**first, "balance": "7"},
            second,
            {**second, "cash_value": "1"},
            third,
            third,
            {**strangers, "user_id": user_id},
        )
    )

    done = flask("snapshots", "import", str(path))

    assert done.returncode == DATA_FAULT
    said = {line.partition(", line ")[2] for line in done.stderr.splitlines() if ", line " in line}
    assert said == {
        "2: A snapshot of this account, time and source is stored with other values.",
        "3: Other lines have this account, time and source with other values.",
        "4: Other lines have this account, time and source with other values.",
        "7: The account belongs to another user.",
    }
    assert [row[3] for row in stored()] == ["100.50"]


def test_a_dry_run_says_what_would_happen_and_stores_nothing(
    flask: Flasks, tmp_path: Path, stored: Stored, sync_job: Caller, user_id: str, account_id: str
) -> None:
    items = series(user_id, account_id)
    captured(sync_job, items[0])
    path = tmp_path / "dry.csv"
    path.write_text(as_csv(*items))

    done = flask("snapshots", "import", str(path), "--dry-run")

    assert done.returncode == 0
    assert "3 rows, 2 new, 1 duplicates, 0 faults. It was a dry run: nothing was stored." in done.stderr
    assert len(stored()) == 1


def test_one_file_with_faults_does_not_keep_another_out(
    flask: Flasks, tmp_path: Path, stored: Stored, user_id: str, account_id: str
) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(as_csv(*series(user_id, account_id)))
    bad.write_text(as_csv({**snapshot(user_id, account_id), "balance": ""}))

    assert flask("snapshots", "import", str(bad), str(good)).returncode == DATA_FAULT
    assert len(stored()) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "lacks user_id", id="empty"),
        pytest.param(b"user_id,balance\n", "lacks account_id, currency, source, captured_at", id="columns missing"),
        pytest.param(as_csv(columns=(*COLUMNS, "note")).encode(), "has 'note', which no snapshot has", id="unknown"),
        pytest.param(as_csv(columns=(*COLUMNS, "balance")).encode(), "names a column twice", id="twice"),
        pytest.param(as_csv().encode() + b"a,b\n", "line 2: Has 2 cells, and the header 9", id="cells missing"),
        pytest.param(as_csv().encode() + b'"a\n', "unexpected end of data", id="an open quote"),
        pytest.param(as_csv().encode() + b"\xff\n", "not UTF-8", id="not UTF-8"),
        pytest.param(as_csv().encode("utf-16"), "not UTF-8", id="UTF-16"),
    ],
)
def test_a_file_that_is_none_is_told_in_a_line(flask: Flasks, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "none.csv"
    path.write_bytes(content)

    done = flask("snapshots", "import", str(path))

    assert done.returncode == DATA_FAULT
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("broken.ndjson", b"{\n", "line 1: Is not JSON"),
        ("twice.ndjson", b'{"balance": "1", "balance": "2"}\n', "names a member twice"),
        ("flipped.csv.gz", flipped(as_csv(*series(USER, USER, 28))), "line"),
        ("cut.csv.gz", gzip.compress(as_csv(*series(str(uuid4()), str(uuid4()), 28)).encode())[:-60], "ended before"),
        ("plain.csv.gz", as_csv().encode(), "gzip"),
    ],
)
def test_a_file_that_breaks_off_or_is_of_another_kind_is_told(
    flask: Flasks, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)

    done = flask("snapshots", "import", str(tmp_path / name))

    assert done.returncode == DATA_FAULT
    assert said in done.stderr


def test_faults_of_the_system_have_a_code_of_their_own(shell: Flasks, tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text(as_csv())
    nowhere = "postgresql://u:pass-phrase@127.0.0.1:1/none"

    missing = shell("snapshots", "import", str(tmp_path / "missing.csv"))
    cut_off = shell("snapshots", "import", str(path), DATABASE_URL=nowhere)

    assert (missing.returncode, cut_off.returncode) == (SYSTEM_FAULT, SYSTEM_FAULT)
    assert "No such file" in missing.stderr
    assert "The database:" in cut_off.stderr
    assert "pass-phrase" not in cut_off.stderr
    assert "Traceback" not in missing.stderr + cut_off.stderr
    assert shell("snapshots", "import").returncode == USAGE


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_import_that_is_ended_midway_stores_nothing_and_can_be_run_again(
    flask: Flasks,
    environ: dict[str, str],
    tmp_path: Path,
    stored: Stored,
    database_url: str,
    user_id: str,
    account_id: str,
    how: signal.Signals,
) -> None:
    """Ended while it merges: a lock of ours holds it there."""
    path = tmp_path / "long.csv"
    path.write_text(as_csv(*series(user_id, account_id, 28)))
    with psycopg.connect(database_url) as other:
        other.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, user_id])
        running = subprocess.Popen(command("snapshots", "import", str(path)), cwd=ROOT, env=environ, stderr=-1)
        until(lambda: _waits(other, "INSERT INTO accounts"), 20)
        running.send_signal(how)
        _, said = running.communicate(timeout=20)
        other.rollback()

    assert running.returncode == (-9 if how == signal.SIGKILL else 130)
    assert how == signal.SIGKILL or b"Nothing more was stored" in said
    until(lambda: stored() == [], 5)
    assert flask("snapshots", "import", str(path)).returncode == 0
    assert len(stored()) == 28


def _waits(connection: psycopg.Connection[Any], statement: str) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
        " AND datname = current_database()",
        [f"%{statement}%"],
    ).fetchone()
    connection.execute("SELECT pg_stat_clear_snapshot()")
    return row is not None and row[0] > 0


def test_without_a_terminal_progress_is_lines(
    flask: Flasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_id: str, account_id: str
) -> None:
    monkeypatch.setattr(cli, "ROWS_A_LINE", 10)
    path = tmp_path / "many.csv"
    path.write_text(as_csv(*[{**snapshot(user_id, account_id), "currency": "?"}] * 25))

    done = flask("snapshots", "import", str(path))

    assert f"{path}: 10 rows read\n" in done.stderr
    assert f"{path}: 20 rows read\n" in done.stderr
    assert "\r" not in done.stderr
    assert "... and 5 more faults; --errors FILE lists all" in done.stderr


def test_on_a_terminal_progress_is_a_bar_with_the_rate(
    environ: dict[str, str], tmp_path: Path, user_id: str, account_id: str
) -> None:
    path = tmp_path / "many.csv"
    row = as_csv(snapshot(user_id, account_id)).splitlines()[1]
    path.write_text(as_csv() + f"{row}\n" * 5000)
    ours, theirs = pty.openpty()

    running = subprocess.Popen(command("snapshots", "import", str(path)), cwd=ROOT, env=environ, stderr=theirs)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # what a terminal says when nobody is left
        while part := os.read(ours, 65536):
            said += part
    os.close(ours)

    assert running.wait(30) == 0
    assert re.search(rb"many.csv: 4,000 rows, [\d,]+/s  \[#+-*\]  +\d+%", said), said
    assert b"5,000 rows, 1 new, 4,999 duplicates, 0 faults" in said


# Export


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_what_is_exported_is_imported_back_unchanged(
    shell: Flasks,
    migrated_database_url: str,
    empty_and_migrated: str,
    tmp_path: Path,
    form: str,
) -> None:
    with psycopg.connect(migrated_database_url) as connection:
        demo.load(connection)
    exported = shell("snapshots", "export", "--user", demo.USER, "--format", form, DATABASE_URL=migrated_database_url)
    path = tmp_path / f"demo.{form}"
    path.write_text(exported.stdout)

    imported = shell("snapshots", "import", str(path), DATABASE_URL=empty_and_migrated)
    again = shell("snapshots", "export", "--user", demo.USER, "--format", form, DATABASE_URL=empty_and_migrated)

    assert imported.returncode == 0, imported.stderr
    assert len(exported.stdout.splitlines()) == 1836 + (form == "csv")
    assert again.stdout == exported.stdout


@pytest.fixture
def empty_and_migrated() -> Iterator[str]:
    from tests.conftest import _TEMPLATE, _database  # noqa: PLC0415

    with _database(os.environ[_TEMPLATE]) as url:
        yield url


def test_an_export_holds_what_is_asked_for(flask: Flasks, sync_job: Caller, user_id: str, account_id: str) -> None:
    items = series(user_id, account_id, 5)
    items[2]["source"] = "manual_sync"
    captured(sync_job, *items, snapshot(user_id, str(uuid4())), snapshot(str(uuid4()), str(uuid4())))

    def exported(*options: str) -> list[str]:
        done = flask("snapshots", "export", "--user", user_id.upper(), *options, "--format", "ndjson")
        assert done.returncode == 0, done.stderr
        return [json.loads(line)["captured_at"][8:10] for line in done.stdout.splitlines()]

    assert len(exported()) == 6
    assert exported("--account", account_id) == ["01", "02", "03", "04", "05"]
    span = ["--account", account_id, "--start", "2025-01-02", "--end", "2025-01-04"]
    assert exported(*span) == ["02", "03", "04"]
    assert exported(*span, "--source", "manual_sync") == ["03"]
    assert flask("snapshots", "export", "--user", "nobody").returncode == USAGE
    assert flask("snapshots", "export", "--user", str(uuid4())).stdout.strip() == ",".join(COLUMNS)


# Erase


def test_erasing_a_user_leaves_nothing_of_them_and_everything_of_others(
    flask: Flasks, sync_job: Caller, user: Caller, app: Flask, stored: Stored, user_id: str, account_id: str
) -> None:
    other_user = str(uuid4())
    captured(sync_job, *series(user_id, account_id), snapshot(user_id, str(uuid4())))
    captured(sync_job, snapshot(other_user, str(uuid4())))

    done = flask("users", "erase", user_id, "--yes")

    assert (done.returncode, done.stdout) == (0, "Removed 2 accounts and 4 snapshots.\n")
    assert stored() == []
    assert user.recent(account_id).status_code == 404
    assert Caller(app, user_token(other_user)).latest().json["total_count"] == 1


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 3), ("", 1, 3)])
def test_erasing_is_asked_for_first(
    flask: Flasks, sync_job: Caller, stored: Stored, user_id: str, account_id: str, answer: str, code: int, left: int
) -> None:
    captured(sync_job, *series(user_id, account_id))

    assert flask("users", "erase", user_id, given=answer).returncode == code
    assert len(stored()) == left


def test_a_capture_while_its_user_is_erased_waits_and_is_then_to_be_repeated(
    database_url: str, sync_job: Caller, user_id: str, account_id: str
) -> None:
    item = snapshot(user_id, account_id)
    captured(sync_job, item)
    answers = []
    with psycopg.connect(database_url) as erasing:
        erasing.execute("SELECT FROM accounts WHERE user_id = %s FOR UPDATE", [user_id])
        erasing.execute("DELETE FROM balance_snapshots WHERE user_id = %s", [user_id])
        erasing.execute("DELETE FROM accounts WHERE user_id = %s", [user_id])
        capture = threading.Thread(target=lambda: answers.append(sync_job.capture(item)))
        capture.start()
        time.sleep(0.3)
        erasing.commit()
        capture.join()

    assert answers[0].status_code in (201, 503), answers[0].text
    assert sync_job.capture(item).status_code == (200 if answers[0].status_code == 201 else 201)
