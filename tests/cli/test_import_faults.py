"""Files with faults, and how `flask snapshots import` reports them."""

import csv
import gzip
import io
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from snapshots.rows import COLUMNS, MAX_ROW_LENGTH
from tests.support import USER, Caller, captured, snapshot
from tests.support.command_line import DATA_FAULT, SYSTEM_FAULT, USAGE, Flasks, Stored, as_csv, as_ndjson, series


def flipped(text: str) -> bytes:
    """Return a text compressed and damaged in the middle."""
    packed = bytearray(gzip.compress(text.encode()))
    packed[len(packed) // 2] ^= 0xFF
    return bytes(packed)


def test_a_cell_may_hold_line_breaks_and_faults_still_name_their_line(
    flask: Flasks, tmp_path: Path, user_id: str, account_id: str
) -> None:
    good, bad = series(user_id, account_id, 2)
    path = tmp_path / "lines.csv"
    path.write_text(as_csv({**good, "currency": "US\nD"}, {**bad, "currency": "usd"}))

    done = flask("snapshots", "import", str(path))

    assert f"{path}, line 2, currency:" in done.stderr
    assert f"{path}, line 4, currency:" in done.stderr


def test_every_fault_of_every_row_is_reported_and_nothing_is_stored(
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
    assert "None of it was stored" in done.stderr
    assert "... and 11 more faults" in done.stderr
    reported = list(csv.DictReader(io.StringIO(errors.read_text())))
    assert len(reported) == 31
    assert {row["line"] for row in reported if row["field"] == "balance"} == {str(n) for n in range(3, 31)}
    assert [row["line"] for row in reported if row["field"] == "currency"] == ["6"]
    assert [(row["line"], row["field"]) for row in reported[-2:]] == [("31", ""), ("32", "'extra'")]
    assert stored() == []


@pytest.mark.parametrize("instant", ["2025-06-15 10:00", "2025-06-15T10:00:00 01:00"])
def test_a_fault_in_a_file_gives_no_advice_about_urls(
    flask: Flasks, tmp_path: Path, user_id: str, account_id: str, instant: str
) -> None:
    path = tmp_path / "times.csv"
    path.write_text(as_csv(snapshot(user_id, account_id, captured_at=instant)))

    done = flask("snapshots", "import", str(path))

    assert f"{path}, line 2, captured_at: Must be a date and time in ISO 8601" in done.stderr
    assert "URL" not in done.stderr


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
    assert found == [], "an account is registered only if a snapshot of it is stored"


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
    printed = {line.partition(", line ")[2] for line in done.stderr.splitlines() if ", line " in line}
    assert printed == {
        "2: A snapshot of this account, time and source is stored with different values.",
        "3: Other lines have this account, time and source with different values.",
        "4: Other lines have this account, time and source with different values.",
        "7: The account belongs to another user.",
    }
    assert [row[3] for row in stored()] == ["100.50"]


def test_a_file_with_faults_does_not_prevent_the_import_of_another(
    flask: Flasks, tmp_path: Path, stored: Stored, user_id: str, account_id: str
) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(as_csv(*series(user_id, account_id)))
    bad.write_text(as_csv({**snapshot(user_id, account_id), "balance": ""}))

    assert flask("snapshots", "import", str(bad), str(good)).returncode == DATA_FAULT
    assert len(stored()) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "Expected a header row", id="empty"),
        pytest.param(b"user_id,balance\n", "lacks account_id, currency, source, captured_at", id="columns missing"),
        pytest.param(
            as_csv(columns=(*COLUMNS, "note")).encode(), "has 'note', which a snapshot does not have", id="unknown"
        ),
        pytest.param(as_csv(columns=(*COLUMNS, "balance")).encode(), "names a column twice", id="twice"),
        pytest.param(
            as_csv().encode() + b"a,b\n", f"line 2: Has 2 cells; the header has {len(COLUMNS)}", id="cells missing"
        ),
        pytest.param(as_csv().encode() + b'"a\n', "unexpected end of data", id="an open quote"),
        pytest.param(as_csv().encode() + b"\xff\n", "not UTF-8", id="not UTF-8"),
        pytest.param(as_csv().encode("utf-16"), "is UTF-16", id="UTF-16"),
    ],
)
def test_a_file_without_snapshots_is_reported_in_one_line(
    flask: Flasks, tmp_path: Path, content: bytes, message: str
) -> None:
    path, errors = tmp_path / "none.csv", tmp_path / "errors.csv"
    path.write_bytes(content)

    done = flask("snapshots", "import", str(path), "--errors", str(errors))

    assert done.returncode == DATA_FAULT
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    [reported] = csv.DictReader(io.StringIO(errors.read_text()))
    assert message in f"line {reported['line']}: {reported['message']}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("broken.ndjson", b"{\n", "line 1: Is not valid JSON"),
        (
            "endless.ndjson",
            b'{"balance": "' + b"1" * MAX_ROW_LENGTH,
            "line 1: The row is longer than 100,000",
        ),
        ("endless.csv", as_csv().encode() + b"1" * (MAX_ROW_LENGTH + 1), "line 2: The row is longer than"),
        ("unquoted.csv", as_csv().encode() + b'"' + b'\n","' * MAX_ROW_LENGTH, "The row is longer than"),
        ("twice.ndjson", b'{"balance": "1", "balance": "2"}\n', "has an object with a duplicate member"),
        ("flipped.csv.gz", flipped(as_csv(*series(USER, USER, 28))), "line"),
        ("cut.csv.gz", gzip.compress(as_csv(*series(str(uuid4()), str(uuid4()), 28)).encode())[:-60], "ended before"),
        ("plain.csv.gz", as_csv().encode(), "line 1: Not a gzipped file"),
    ],
)
def test_a_file_that_is_truncated_or_of_another_format_is_reported(
    flask: Flasks, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)

    done = flask("snapshots", "import", str(tmp_path / name))

    assert done.returncode == DATA_FAULT
    assert message in done.stderr


def test_system_faults_have_their_own_exit_code(flask: Flasks, shell: Flasks, tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text(as_csv())
    nowhere = "postgresql://u:pass-phrase@127.0.0.1:1/none"

    missing = flask("snapshots", "import", str(tmp_path / "missing.csv"))
    cut_off = shell("snapshots", "import", str(path), DATABASE_URL=nowhere)

    assert (missing.returncode, cut_off.returncode) == (SYSTEM_FAULT, SYSTEM_FAULT)
    assert "No such file" in missing.stderr
    assert "Database error:" in cut_off.stderr
    assert "pass-phrase" not in cut_off.stderr
    assert "Traceback" not in missing.stderr + cut_off.stderr
    assert flask("snapshots", "import").returncode == USAGE
