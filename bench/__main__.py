"""`make bench`: print benchmark results as tables and store them as JSON in bench/results.json.

Parts that run by default: `compare` (the service, its peers and raw PostgreSQL), `growth` (long and short accounts),
`limiter` (the cost of the rate limit) and `stages` (where a request's time goes). Parts that run only if named:
`memory` (of workers after 100,000 requests, and under a greedy caller) and `backfill` (import and export of a million
rows). python -m bench [SNAPSHOTS] [PART ...] [--only TEXT]: with --only, `compare` runs only the scenarios whose names
contain the text, and nothing is stored.
"""

import contextlib
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import backfill, compare, data, growth, limiter, memory, services, stages, wrk
from tools import local, postgres, stack

RESULTS = Path(__file__).parent / "results.json"
FOLDER = local.STATE / "bench"


def main(arguments: list[str]) -> None:
    only = ""
    if "--only" in arguments:
        *arguments, only = [argument for argument in arguments if argument != "--only"]
    size = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 10_000_000
    available: dict[str, Callable[[int], Any]] = {
        "compare": lambda size: _compare(size, only),
        "growth": lambda size: growth.measure(FOLDER, size),
        "limiter": lambda _size: limiter.measure(),
        "stages": _stages,
        "memory": _memory,
        "backfill": lambda _size: backfill.measure(FOLDER),
    }
    parts = arguments or ["compare", "growth", "limiter", "stages"]
    if not set(parts) <= available.keys():
        sys.exit(f"make bench: the parts are {', '.join(available)}")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    try:
        for part in parts:
            figures = available[part](size)
            if only:
                continue
            results[part] = {"snapshots": size, "python": platform.python_version(), "figures": figures}
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    except (stack.StackError, wrk.WrkError, postgres.PostgresError) as error:
        sys.exit(f"make bench: {error}")


def _compare(size: int, only: str) -> list[dict[str, Any]]:
    rows = []
    with data.database(FOLDER, size) as url, contextlib.ExitStack() as stack:
        stack.callback(compare.delete_captures, url)
        measured = stack.enter_context(services.running(url, "ours", *compare.PEERS))
        print("Requests/s (p50, p99 in ms) **ratio of ours to theirs**\n")
        print("| Scenario | Connections | Ours | ORM peer | Tuned peer | Floor |\n" + "| --- " * 6 + "|")
        for name, by_connections in compare.results(measured, url, only):
            for connections, figures in by_connections.items():
                rows.append(compare.row(name, connections, figures))
                cells = [_cell(figures, service) for service in ("ours", *compare.PEERS)]
                floor = "pgbench" if "pgbench" in figures else "copy"
                line = " | ".join([name, str(connections), *cells, f"{_cell(figures, floor)} {floor}"])
                print(f"| {line} |", flush=True)
    return rows


def _cell(figures: dict[str, compare.Figures], service: str) -> str:
    if service not in figures:
        return "differs"
    of_service = figures[service]
    text = f"{of_service.per_second:.0f} ({of_service.p50_ms:.1f}, {of_service.p99_ms:.1f})"
    return text if service == "ours" else f"{text} **{figures['ours'].per_second / of_service.per_second:.2f}**"


def _stages(size: int) -> dict[str, dict[str, float]]:
    with data.database(FOLDER, size) as url:
        return stages.measure(url)


def _memory(size: int) -> dict[str, Any]:
    with data.database(FOLDER, size) as url, services.running(url, "ours") as measured:
        figures = memory.measure(measured["ours"])
    return figures | {"peak_mebibytes": memory.measure_peak()}


if __name__ == "__main__":
    main(sys.argv[1:])
