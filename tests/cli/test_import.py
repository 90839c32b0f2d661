"""Snapshots of files, stored by `flask snapshots import`."""

import gzip
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support import Caller, captured, snapshot
from tests.support.command_line import Flasks, Stored, as_csv, as_ndjson, series


@pytest.mark.parametrize(
    "form", ["csv", "csv with a BOM", "csv.gz", "ndjson", "ndjson.gz", "a pipe of csv", "a pipe of ndjson"]
)
def test_a_file_is_stored_once_and_is_all_duplicates_the_second_time(
    flask: Flasks, tmp_path: Path, stored: Stored, user_id: str, account_id: str, form: str
) -> None:
    items = series(user_id, account_id)
    text = as_ndjson(*items) if "ndjson" in form else as_csv(*items)
    path = tmp_path / f"balances.{form.split(maxsplit=1)[0]}"
    content = text.encode("utf-8-sig" if "BOM" in form else "utf-8")
    path.write_bytes(gzip.compress(content) if form.endswith("gz") else content)
    arguments, stdin = (["-"], text) if "pipe" in form else ([str(path)], None)

    first = flask("snapshots", "import", *arguments, stdin=stdin)
    second = flask("snapshots", "import", *arguments, stdin=stdin)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "3 rows, 3 new, 0 duplicates, 0 with faults" in first.stderr
    assert "3 rows, 0 new, 3 duplicates, 0 with faults" in second.stderr
    assert [row[3] for row in stored()] == ["100.50", "101.50", "102.50"]


def test_an_imported_snapshot_that_was_captured_before_is_a_duplicate_and_changes_nothing(
    flask: Flasks, tmp_path: Path, sync_job: Caller, user: Caller, user_id: str, account_id: str
) -> None:
    captured(sync_job, snapshot(user_id, account_id, "1.5"))
    before = user.recent(account_id).json
    path = tmp_path / "same.csv"
    path.write_text(as_csv(snapshot(user_id, account_id, "1.500")))

    done = flask("snapshots", "import", str(path))

    assert "1 rows, 0 new, 1 duplicates" in done.stderr
    assert user.recent(account_id).json == before


def test_amounts_are_stored_at_the_scale_of_their_currency(
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


def test_optional_columns_may_be_missing_or_empty_and_columns_may_be_in_any_order(
    flask: Flasks, tmp_path: Path, stored: Stored, user_id: str, account_id: str
) -> None:
    columns = ("captured_at", "source", "currency", "cash_value", "balance", "account_id", "user_id")
    path = tmp_path / "few.csv"
    path.write_text(as_csv(snapshot(user_id, account_id, cash_value=""), columns=columns))

    assert flask("snapshots", "import", str(path)).returncode == 0
    [(stored_account_id, _, source, balance)] = stored()
    assert (stored_account_id, source, balance) == (account_id, "account_sync", "100.00")


def test_a_dry_run_reports_what_would_happen_and_stores_nothing(
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
