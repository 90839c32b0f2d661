"""Superseded snapshots in files: a full round trip, imports that repeat them, and erasures."""

import csv
import io
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from snapshots.rows import ALL_COLUMNS
from tests.support import Caller, captured, correction, snapshot, usd
from tests.support.command_line import DATA_FAULT, Flasks, Stored, as_csv, as_ndjson


@pytest.fixture
def story(sync_job: Caller, corrector: Caller, user_id: str, account_id: str) -> list[dict[str, Any]]:
    """Four items: corrected and corrected back; withdrawn and captured with other values; withdrawn; left alone."""
    items = [snapshot(user_id, account_id, f"{n}.00", captured_at=f"2025-01-0{n}T00:00:00Z") for n in range(1, 5)]
    ids = [each["id"] for each in captured(sync_job, *items)]
    response = corrector.correct(
        correction(items[0], ids[0], usd("7.00", cash_value="1.00"), 'Said "no",\nreally'),
        correction(items[1], ids[1], None),
        correction(items[2], ids[2], None),
    )
    [back, *_] = [each["replaced_by"] for each in response.json["corrections"]]
    corrector.correct(correction(items[0], back, usd("1.00"), "It was right."))
    captured(sync_job, items[1] | {"balance": "20.00"})
    return items


def everything(user: Caller, account_id: str) -> tuple[Any, Any]:
    """Return everything that can be read of an account."""
    return user.recent(account_id).json, user.corrections(account_id).json


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_an_export_with_superseded_snapshots_is_imported_back_as_it_was(
    flask: Flasks,
    user: Caller,
    story: list[dict[str, Any]],
    tmp_path: Path,
    user_id: str,
    account_id: str,
    form: str,
) -> None:
    export = ["snapshots", "export", "--user", user_id, "--superseded", "--format", form]
    before = everything(user, account_id)
    exported = flask(*export)
    path = tmp_path / f"all.{form}"
    path.write_text(exported.stdout, newline="")
    flask("users", "erase", user_id, "--yes")
    assert user.corrections(account_id).status_code == 404

    imported, again = (flask("snapshots", "import", str(path)) for _ in range(2))

    assert "7 rows, 7 new, 0 duplicates, 0 with faults" in imported.stderr
    assert "7 rows, 0 new, 7 duplicates, 0 with faults" in again.stderr
    assert everything(user, account_id) == before
    assert flask(*export).stdout == exported.stdout


def test_a_capture_after_the_import_of_a_correction_does_not_undo_it(
    flask: Flasks,
    sync_job: Caller,
    user: Caller,
    story: list[dict[str, Any]],
    tmp_path: Path,
    user_id: str,
    account_id: str,
) -> None:
    path = tmp_path / "all.csv"
    path.write_text(flask("snapshots", "export", "--user", user_id, "--superseded").stdout, newline="")
    flask("users", "erase", user_id, "--yes")
    flask("snapshots", "import", str(path))
    before = everything(user, account_id)

    assert {each["status"] for each in captured(sync_job, *story)} == {"duplicate"}

    assert everything(user, account_id) == before


def test_an_export_omits_superseded_snapshots_by_default(
    flask: Flasks, story: list[dict[str, Any]], user_id: str
) -> None:
    current = flask("snapshots", "export", "--user", user_id).stdout
    everything = flask("snapshots", "export", "--user", user_id, "--superseded").stdout

    assert [row["balance"] for row in csv.DictReader(io.StringIO(current))] == ["1.00", "20.00", "4.00"]
    rows = list(csv.DictReader(io.StringIO(everything)))
    assert tuple(rows[0]) == ALL_COLUMNS
    assert sorted(row["balance"] for row in rows if row["superseded_at"]) == ["1.00", "2.00", "3.00", "7.00"]
    assert [row["balance"] for row in rows if not row["superseded_at"]] == ["1.00", "20.00", "4.00"]


def test_imported_values_of_a_superseded_snapshot_are_a_duplicate_and_others_under_a_withdrawn_key_are_new(
    flask: Flasks, stored: Stored, story: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "old.csv"
    path.write_text(as_csv(*story, story[2] | {"balance": "30.00"}))

    done = flask("snapshots", "import", str(path))

    assert "5 rows, 1 new, 4 duplicates, 0 with faults" in done.stderr
    assert [balance for *_, balance in stored()] == ["1.00", "20.00", "30.00", "4.00"]


def test_an_import_of_values_other_than_the_replacements_is_a_contradiction(
    flask: Flasks, story: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "other.ndjson"
    path.write_text(as_ndjson(story[0] | {"balance": "9.00"}))

    done = flask("snapshots", "import", str(path))

    assert done.returncode == DATA_FAULT
    assert "stored with different values" in done.stderr


@pytest.fixture
def rows(flask: Flasks, story: list[dict[str, Any]], user_id: str) -> list[dict[str, Any]]:
    """The rows of an export of the story."""
    exported = flask("snapshots", "export", "--user", user_id, "--superseded", "--format", "ndjson").stdout
    return [json.loads(line) for line in exported.splitlines()]


def faults_of(flask: Flasks, tmp_path: Path, *rows: dict[str, Any]) -> str:
    path = tmp_path / "faulty.ndjson"
    path.write_text(as_ndjson(*rows))
    done = flask("snapshots", "import", str(path))
    assert done.returncode == DATA_FAULT, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "changed", [{"balance": "8.88"}, {"reason": "Another."}, {"superseded_by": "x"}, {"replaced_by": None}]
)
def test_a_superseded_snapshot_that_is_stored_with_other_values_is_a_fault(
    flask: Flasks, rows: list[dict[str, Any]], tmp_path: Path, changed: dict[str, Any]
) -> None:
    [replaced, *_] = [row for row in rows if row["replaced_by"]]

    assert "superseded snapshot is stored" in faults_of(flask, tmp_path, replaced | changed)


def test_a_superseded_snapshot_that_is_still_current_is_a_fault(
    flask: Flasks, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    [*_, last] = rows
    assert last["superseded_at"] is None
    superseded = {"reason": "x", "superseded_at": "2025-02-01T00:00:00Z", "superseded_by": "x"}

    assert "still current in the database" in faults_of(flask, tmp_path, last | superseded)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"id": None}, "id"),
        ({"id": "d3300000-0000-4000-8000-000000000001"}, "id"),
        ({"created_at": None}, "created_at"),
        ({"reason": None}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"superseded_at": "9999-01-01"}, "superseded_at"),
        ({"superseded_at": None}, "reason"),
        ({"replaced_by": "x"}, "replaced_by"),
    ],
)
def test_an_invalid_superseded_snapshot_is_a_fault_that_names_its_field(
    flask: Flasks, rows: list[dict[str, Any]], tmp_path: Path, changed: dict[str, Any], field: str
) -> None:
    [replaced, *_] = [row for row in rows if row["replaced_by"]]

    assert f"line 1, {field}: " in faults_of(flask, tmp_path, replaced | changed)


# Erasures


@pytest.mark.parametrize("command", ["users", "accounts"])
def test_an_erasure_removes_superseded_snapshots_too(
    flask: Flasks, user: Caller, story: list[dict[str, Any]], user_id: str, account_id: str, command: str
) -> None:
    done = flask(command, "erase", {"users": user_id, "accounts": account_id}[command], "--yes")

    assert (done.returncode, done.stdout) == (0, "Removed 1 accounts and 7 snapshots.\n")
    assert user.corrections(account_id).status_code == 404


def test_the_erasure_of_an_account_leaves_the_other_accounts_of_its_user(
    flask: Flasks, sync_job: Caller, user: Caller, story: list[dict[str, Any]], user_id: str, account_id: str
) -> None:
    captured(sync_job, snapshot(user_id, other := str(uuid4())))

    assert flask("accounts", "erase", account_id.upper(), stdin="y\n").returncode == 0

    assert [each["account_id"] for each in user.latest().json["snapshots"]] == [other]
    assert {each["status"] for each in captured(sync_job, *story)} == {"created"}


@pytest.mark.parametrize(("arguments", "code"), [(["--yes"], 0), ([], 1)])
def test_the_erasure_of_an_unknown_account_removes_nothing_and_asks_for_confirmation_first(
    flask: Flasks, arguments: list[str], code: int
) -> None:
    done = flask("accounts", "erase", str(uuid4()), *arguments, stdin="n\n")

    assert done.returncode == code
    assert ("Removed 0 accounts and 0 snapshots." in done.stdout) == (code == 0)
