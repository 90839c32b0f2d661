"""Histories as CSV in the tools that read them: pandas and DuckDB."""

import io
from importlib import import_module
from pathlib import Path

import pytest

from tests.support import Caller, captured, snapshot


@pytest.fixture
def history(user: Caller, sync_job: Caller, user_id: str, account_id: str) -> str:
    """A history as CSV, whose first time has no fraction of a second, unlike the others."""
    times = ("2025-01-01T00:00:00Z", "2025-01-02T00:00:01.5Z", "2025-01-03T00:00:01.000001Z")
    captured(sync_job, *(snapshot(user_id, account_id, captured_at=time) for time in times))
    query = {"start_date": "2025-01-01", "end_date": "2025-02-01"}
    return user.get(f"/accounts/{account_id}/balance-history.csv", **query).text


def test_pandas_reads_the_times_of_a_history(history: str) -> None:
    # Only the worker that runs this test takes the time to import it.
    pandas = import_module("pandas")
    read = pandas.read_csv(io.StringIO(history), parse_dates=["captured_at", "created_at"])

    assert {str(read[name].dtype) for name in ("captured_at", "created_at")} == {"datetime64[us, UTC]"}
    assert read["captured_at"].diff().dt.total_seconds().tolist()[1:] == [86401.5, 86399.500001]


def test_duckdb_reads_the_times_of_a_history(history: str, tmp_path: Path) -> None:
    duckdb = import_module("duckdb")
    path = tmp_path / "history.csv"
    path.write_text(history, newline="")

    read = duckdb.read_csv(str(path))

    types = dict(zip(read.columns, map(str, read.types), strict=True))
    assert {types[name] for name in ("captured_at", "created_at")} == {"TIMESTAMP WITH TIME ZONE"}
    assert read.aggregate("epoch(max(captured_at) - min(captured_at))").fetchall() == [(172801.000001,)]
