"""Whether a read costs more in a long account, or among many snapshots: the statements by themselves, in turns."""

import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from bench import data
from snapshots.queries import DIRECTORY
from tools import sql

ROUNDS = 400
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
END = datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
READS: dict[str, tuple[str, dict[str, Any]]] = {
    "latest": ("get_latest_snapshots", {}),
    "list of 30": ("list_recent_snapshots", {"limit": 30, "source": None}),
    "history of 30": ("get_balance_history", {"source": None, "end_date": END}),
    "list of 10 of a source, in a long account the rarest": ("list_recent_snapshots", {"limit": 10}),
}


def measure(folder: Path, size: int) -> list[dict[str, Any]]:
    """Medians in microseconds for an account of a hundred among ten thousand, one among all, and one of a million."""
    rows = []
    with data.database(folder, 10_000) as small, data.database(folder, size) as large:
        where = {
            "100 among 10,000": (small, data.SHORT_USER, data.SHORT),
            f"100 among {size:,}": (large, data.SHORT_USER, data.SHORT),
            f"1,000,000 among {size:,}": (large, data.LONG_USER, data.LONG),
        }
        # What a read needs to answer as many snapshots everywhere.
        differing = {
            place: {
                "start_date": datetime(2025, 12, 31, 10, tzinfo=UTC) - 29 * (HOUR if is_long else DAY),
                "source": data.RARE if is_long else "account_sync",
            }
            for place, is_long in zip(where, (False, False, True), strict=True)
        }
        print(f"\nMicroseconds a statement, median of {ROUNDS}.\n")
        print(f"| What | {' | '.join(where)} |\n" + "| --- " * (len(where) + 1) + "|")
        connections = {place: _connect(url) for place, (url, _, _) in where.items()}
        for what, (name, parameters) in READS.items():
            statement = sql.read(DIRECTORY / f"{name}.sql").statement.encode()
            times: dict[str, list[float]] = {place: [] for place in where}
            for number in range(ROUNDS + 20):
                for place, (_, user_id, account_id) in where.items():
                    known = {"user_id": user_id, "account_id": account_id}
                    asked = {**known, **differing[place], **parameters}
                    began = time.perf_counter()
                    connections[place].execute(statement, asked).fetchall()
                    if number >= 20:
                        times[place].append(time.perf_counter() - began)
            medians = {place: round(statistics.median(found) * 1e6) for place, found in times.items()}
            first = next(iter(medians.values()))
            rows.append({"read": what, **medians})
            cells = [str(first), *(f"{m} **{m / first:.2f}**" for m in list(medians.values())[1:])]
            print(f"| {what} | {' | '.join(cells)} |", flush=True)
        for connection in connections.values():
            connection.close()
    return rows


def _connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    options = "-c plan_cache_mode=force_generic_plan"
    return psycopg.connect(url, autocommit=True, prepare_threshold=0, options=options)
