"""Whether a read costs more in a long account, or among many snapshots: the statements by themselves, in turns."""

import statistics
import time
from pathlib import Path
from typing import Any

import psycopg

from bench import data
from snapshots.queries import DIRECTORY
from tools import sql

ROUNDS = 400
RANGE = {"start_date": "2025-12-02T00:00:00Z", "end_date": "2025-12-31T23:59:59Z"}
READS: dict[str, tuple[str, dict[str, Any]]] = {
    "latest": ("get_latest_snapshots", {}),
    "list of 30": ("list_recent_snapshots", {"limit": 30, "source": None}),
    "history of 30 days": ("get_balance_history", {"source": None, **RANGE}),
    "list of the rarest source": ("list_recent_snapshots", {"limit": 30, "source": data.RARE}),
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
        print(f"\nMicroseconds a statement, median of {ROUNDS}.\n")
        print(f"| What | {' | '.join(where)} |\n" + "| --- " * (len(where) + 1) + "|")
        connections = {place: _connect(url) for place, (url, _, _) in where.items()}
        for what, (name, parameters) in READS.items():
            statement = sql.read(DIRECTORY / f"{name}.sql").statement.encode()
            times: dict[str, list[float]] = {place: [] for place in where}
            for number in range(ROUNDS + 20):
                for place, (_, user_id, account_id) in where.items():
                    asked = {"user_id": user_id, "account_id": account_id, "trace_id": "bench", **parameters}
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
