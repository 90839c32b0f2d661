"""Snapshots of files, stored by `flask snapshots import`."""

import contextlib
import csv
import gzip
import io
import os
import pty
import re
import signal
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from snapshots import cli
from snapshots.files import COLUMNS, MAX_ROW_LENGTH
from tests.support import USER, Caller, captured, snapshot, until
from tests.support.command_line import (
    DATA_FAULT,
    SYSTEM_FAULT,
    USAGE,
    Flasks,
    Stored,
    as_csv,
    as_ndjson,
    series,
    started,
)


def flipped(text: str) -> bytes:
    """Packed, and damaged in the middle."""
    packed = bytearray(gzip.compress(text.encode()))
    packed[len(packed) // 2] ^= 0xFF
    return bytes(packed)


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
    assert "3 rows, 3 new, 0 duplicates, 0 with faults" in first.stderr
    assert "3 rows, 0 new, 3 duplicates, 0 with faults" in second.stderr
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
    assert "5 rows, 1 new, 0 duplicates, 4 with faults" in done.stderr
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
    assert "3 rows, 2 new, 1 duplicates, 0 with faults. It was a dry run: nothing was stored." in done.stderr
    assert len(stored()) == 1


def test_a_dry_run_compares_files_with_one_another_as_storing_them_would(
    flask: Flasks, tmp_path: Path, stored: Stored, user_id: str, account_id: str
) -> None:
    items = series(user_id, account_id)
    contents = {"first": items[:2], "faulty": [items[2], {**items[2], "balance": ""}], "second": items[1:]}
    contents["contradictory"] = [{**items[2], "balance": "7"}]
    paths = [tmp_path / f"{name}.csv" for name in contents]
    for path, found in zip(paths, contents.values(), strict=True):
        path.write_text(as_csv(*found))

    dry, real = (flask("snapshots", "import", *map(str, paths), *options) for options in (["--dry-run"], []))

    for done in dry, real:
        assert "first.csv: 2 rows, 2 new, 0 duplicates, 0 with faults." in done.stderr
        assert "faulty.csv: 2 rows, 1 new, 0 duplicates, 1 with faults." in done.stderr
        assert "second.csv: 2 rows, 1 new, 1 duplicates, 0 with faults." in done.stderr
        assert "contradictory.csv: 1 rows, 0 new, 0 duplicates, 1 with faults." in done.stderr
    assert len(stored()) == 3


def test_a_dry_run_of_several_files_stores_nothing(
    flask: Flasks, tmp_path: Path, stored: Stored, user_id: str, account_id: str
) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text(as_csv(*series(user_id, account_id)))
    second.write_text(as_csv(*series(user_id, str(uuid4()))))

    assert flask("snapshots", "import", str(first), str(second), "--dry-run").returncode == 0
    assert stored() == []


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
        pytest.param(
            as_csv().encode() + b"a,b\n", f"line 2: Has 2 cells, and the header {len(COLUMNS)}", id="cells missing"
        ),
        pytest.param(as_csv().encode() + b'"a\n', "unexpected end of data", id="an open quote"),
        pytest.param(as_csv().encode() + b"\xff\n", "not UTF-8", id="not UTF-8"),
        pytest.param(as_csv().encode("utf-16"), "not UTF-8", id="UTF-16"),
    ],
)
def test_a_file_that_is_none_is_told_in_a_line(flask: Flasks, tmp_path: Path, content: bytes, said: str) -> None:
    path, errors = tmp_path / "none.csv", tmp_path / "errors.csv"
    path.write_bytes(content)

    done = flask("snapshots", "import", str(path), "--errors", str(errors))

    assert done.returncode == DATA_FAULT
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    [told] = csv.DictReader(io.StringIO(errors.read_text()))
    assert said in f"line {told['line']}: {told['message']}"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("broken.ndjson", b"{\n", "line 1: Is not JSON"),
        (
            "endless.ndjson",
            b'{"balance": "' + b"1" * MAX_ROW_LENGTH,
            "line 1: The row is longer than 100,000",
        ),
        ("endless.csv", as_csv().encode() + b"1" * (MAX_ROW_LENGTH + 1), "line 2: The row is longer than"),
        ("unquoted.csv", as_csv().encode() + b'"' + b'\n","' * MAX_ROW_LENGTH, "The row is longer than"),
        ("twice.ndjson", b'{"balance": "1", "balance": "2"}\n', "names a member twice"),
        ("flipped.csv.gz", flipped(as_csv(*series(USER, USER, 28))), "line"),
        ("cut.csv.gz", gzip.compress(as_csv(*series(str(uuid4()), str(uuid4()), 28)).encode())[:-60], "ended before"),
        ("plain.csv.gz", as_csv().encode(), "line 1: Not a gzipped file"),
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
    tmp_path: Path,
    stored: Stored,
    database_url: str,
    user_id: str,
    account_id: str,
    how: signal.Signals,
) -> None:
    """Ended while it merges: a lock of ours holds it there."""
    path = tmp_path / "long.csv"
    items = series(user_id, account_id, 28)
    path.write_text(as_csv(*items))
    with psycopg.connect(database_url) as other:
        other.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, user_id])
        with started(database_url, "snapshots", "import", str(path)) as running:
            until(lambda: _waits(other, "INSERT INTO accounts"), 20)
            running.send_signal(how)
            _, said = running.communicate(timeout=20)
        other.rollback()

    assert running.returncode == (-9 if how == signal.SIGKILL else 130)
    assert how == signal.SIGKILL or b"Nothing more was stored" in said
    until(lambda: stored() == [], 5)
    assert flask("snapshots", "import", str(path)).returncode == 0
    assert stored() == as_stored(items)


def test_an_import_that_is_killed_while_it_reads_stores_nothing_and_can_be_run_again(
    flask: Flasks, tmp_path: Path, stored: Stored, database_url: str, user_id: str, account_id: str
) -> None:
    items = series(user_id, account_id, 28)
    content = as_csv(*items)
    with (
        psycopg.connect(database_url, autocommit=True) as other,
        started(database_url, "snapshots", "import", "-", stdin=subprocess.PIPE) as running,
    ):
        assert running.stdin
        # More than is read ahead, and not the end.
        running.stdin.write(content.encode() + content.partition("\n")[2].encode() * 100)
        running.stdin.flush()
        copies = "SELECT FROM pg_stat_activity WHERE query LIKE 'COPY import%' AND datname = current_database()"
        until(lambda: other.execute(copies).rowcount == 1, 20)
        running.kill()
        running.communicate(timeout=20)
        until(lambda: other.execute(copies + " AND state = 'active'").rowcount == 0, 20)

    assert running.returncode == -signal.SIGKILL
    assert stored() == []
    (tmp_path / "again.csv").write_text(content)
    assert flask("snapshots", "import", str(tmp_path / "again.csv")).returncode == 0
    assert stored() == as_stored(items)


def as_stored(items: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (item["account_id"], datetime.fromisoformat(item["captured_at"]), item["source"], item["balance"])
        for item in items
    ]


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
    monkeypatch.setattr(cli, "ROWS_PER_LINE", 10)
    path = tmp_path / "many.csv"
    path.write_text(as_csv(*[{**snapshot(user_id, account_id), "currency": "?"}] * 25))

    done = flask("snapshots", "import", str(path))

    assert f"{path}: 10 rows read\n" in done.stderr
    assert f"{path}: 20 rows read\n" in done.stderr
    assert "\r" not in done.stderr
    assert "... and 5 more faults; --errors FILE lists all" in done.stderr


def test_on_a_terminal_progress_is_a_bar_with_the_rate_and_the_time_left(
    database_url: str, tmp_path: Path, user_id: str, account_id: str
) -> None:
    path = tmp_path / "many.csv"
    row = as_csv(snapshot(user_id, account_id)).splitlines()[1]
    path.write_text(as_csv() + f"{row}\n" * 150_000)
    ours, theirs = pty.openpty()

    said = b""
    with started(database_url, "snapshots", "import", str(path), stderr=theirs) as running:
        os.close(theirs)
        with contextlib.suppress(OSError):  # what a terminal says when nobody is left
            while part := os.read(ours, 65536):
                said += part
        os.close(ours)
        status = running.wait(30)

    assert status == 0
    assert re.search(rb"many.csv: [\d,]+ rows, [\d,]+/s  \[#+-*\]  +\d+%  00:00:\d\d", said), said[-2000:]
    assert b"150,000 rows, 1 new, 149,999 duplicates, 0 with faults" in said
