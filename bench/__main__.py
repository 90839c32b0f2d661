"""`make bench`: benchmarks of the service, printed as tables and stored in bench/results.json.

| Part | What it measures | Minutes |
| --- | --- | --- |
| compare | the service, its peers and raw PostgreSQL | 25 |
| nginx | the service through nginx, and gunicorn alone | 2 |
| threads | numbers of workers and threads | 9 |
| growth | reads of long and of short accounts | 1 |
| stages | where a request's time goes | 1 |
| size | bytes per snapshot on disk and in the WAL | 1 |
| memory | workers after 100,000 requests, and under a greedy caller | 3 |
| backfill | import and export of a million rows | 6 |

The first run creates the database, which takes some minutes more.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from bench import backfill, compare, data, growth, memory, nginx, size, stages, tables, threads, turns, wrk
from tools import local, postgres, stack

FOLDER = local.STATE / "bench"
DEFAULT_PARTS = ["compare", "nginx", "growth", "stages", "size"]


def main() -> None:
    parser = argparse.ArgumentParser("make bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"by default: {' '.join(DEFAULT_PARTS)}")
    parser.add_argument("--size", type=int, default=10_000_000, help="snapshots in the database")
    parser.add_argument("--rounds", type=int, default=turns.ROUNDS, help="turns of each service")
    parser.add_argument("--only", default="", help="text in the names of the scenarios of `compare`; stores nothing")
    options = parser.parse_args()
    parts = options.parts or DEFAULT_PARTS
    if unknown := set(parts) - set(tables.TABLES):
        parser.error(f"{', '.join(unknown)}: the parts are {', '.join(tables.TABLES)}")
    try:
        for part in parts:
            started_at = time.monotonic()
            figures = _measure(part, options)
            result = {
                "date": f"{datetime.now(UTC):%Y-%m-%d}",
                "minutes": round((time.monotonic() - started_at) / 60, 1),
                "snapshots": options.size,
                "python": platform.python_version(),
                "figures": figures,
            }
            if part in ("compare", "nginx", "threads"):
                result["rounds"] = options.rounds
            print(f"\n{tables.text(part, result)}", flush=True)
            if not options.only:
                tables.store(part, result)
    except (stack.StackError, wrk.WrkError, postgres.PostgresError) as error:
        sys.exit(f"make bench: {error}")


def _measure(part: str, options: argparse.Namespace) -> Any:
    on_database: dict[str, Callable[[str], Any]] = {
        "compare": lambda url: _report(compare.measure(url, options.rounds, options.only)),
        "nginx": lambda url: _report(nginx.measure(url, options.rounds)),
        "threads": lambda url: _report(threads.measure(url, options.rounds)),
        "stages": stages.measure,
        "size": size.measure,
        "memory": memory.measure,
    }
    others: dict[str, Callable[[], Any]] = {
        "growth": lambda: growth.measure(FOLDER, options.size),
        "backfill": lambda: backfill.measure(FOLDER),
    }
    if part in others:
        return others[part]()
    with data.database(FOLDER, options.size) as url:
        return on_database[part](url)


def _report(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows; print each when it has been measured, to show the progress."""
    listed = []
    for row in rows:
        listed.append(row)
        print(f"{row['scenario']}, {row['connections']} connections: {row['ratios']}", file=sys.stderr, flush=True)
    return listed


if __name__ == "__main__":
    main()
