"""The cost of reads in short and long accounts, among few and many snapshots: the queries by themselves, in turns."""

import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from bench import data
from snapshots.reads import MAX_SNAPSHOTS
from snapshots.statements import DIRECTORY
from tools import sql

ROUNDS = 400
WARM_UP = 20
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
END = datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
READS: dict[str, tuple[str, dict[str, Any]]] = {
    "latest": ("get_latest_snapshots", {}),
    "list of 30": ("list_recent_snapshots", {"limit": 30, "source": None}),
    "history of 30": ("get_balance_history", {"source": None, "end_date": END, "maximum": MAX_SNAPSHOTS}),
    "list of 10 of one source (the rarest one in a long account)": ("list_recent_snapshots", {"limit": 10}),
}


def measure(folder: Path, size: int) -> list[dict[str, Any]]:
    """Return median microseconds for accounts of 100 snapshots in both databases, and for one of a million."""
    rows = []
    with data.database(folder, 10_000) as small, data.database(folder, size) as large:
        places = {
            "100 among 10,000": (small, data.SHORT_USER, data.SHORT),
            f"100 among {size:,}": (large, data.SHORT_USER, data.SHORT),
            f"1,000,000 among {size:,}": (large, data.LONG_USER, data.LONG),
        }
        # With these parameters a read returns the same number of snapshots in each place.
        place_parameters = {
            place: {
                "start_date": datetime(2025, 12, 31, 10, tzinfo=UTC) - 29 * (HOUR if is_long else DAY),
                "source": data.RARE if is_long else "account_sync",
            }
            for place, is_long in zip(places, (False, False, True), strict=True)
        }
        connections = {place: _connect(url) for place, (url, _, _) in places.items()}
        for read, (name, parameters) in READS.items():
            query = sql.read(DIRECTORY / f"{name}.sql")
            statement, nulls = query.statement.encode(), dict.fromkeys(query.example)
            times: dict[str, list[float]] = {place: [] for place in places}
            for number in range(ROUNDS + WARM_UP):
                for place, (_, user_id, account_id) in places.items():
                    ids = {"user_id": user_id, "account_id": account_id}
                    arguments = {**nulls, **ids, **place_parameters[place], **parameters}
                    started_at = time.perf_counter()
                    connections[place].execute(statement, arguments).fetchall()
                    if number >= WARM_UP:
                        times[place].append(time.perf_counter() - started_at)
            medians = {place: round(statistics.median(samples) * 1e6) for place, samples in times.items()}
            rows.append({"read": read, **medians})
        for connection in connections.values():
            connection.close()
    return rows


def _connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    options = "-c plan_cache_mode=force_generic_plan"
    return psycopg.connect(url, autocommit=True, prepare_threshold=0, options=options)
