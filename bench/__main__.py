"""`make bench`: tables on the screen, and the same as JSON in bench/results.json.

The parts: `compare`, the service beside its peers and the floor; `growth`, long accounts beside short ones; `limiter`,
what the rate limit costs; `stages`, where a request's time goes. Not part of a run that names none: `memory`, what
100,000 requests leave in a worker; `backfill`, a million rows in and out.
python -m bench [SNAPSHOTS] [PART ...]
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
    size = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 10_000_000
    known: dict[str, Callable[[int], Any]] = {
        "compare": _compare,
        "growth": lambda size: growth.measure(FOLDER, size),
        "limiter": lambda _size: limiter.measure(),
        "stages": _stages,
        "memory": _memory,
        "backfill": lambda _size: backfill.measure(FOLDER),
    }
    parts = arguments or ["compare", "growth", "limiter", "stages"]
    if not set(parts) <= known.keys():
        sys.exit(f"make bench: the parts are {', '.join(known)}")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    try:
        for part in parts:
            figures = known[part](size)
            results[part] = {"snapshots": size, "python": platform.python_version(), "figures": figures}
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    except (stack.StackError, wrk.WrkError, postgres.PostgresError) as error:
        sys.exit(f"make bench: {error}")


def _compare(size: int) -> list[dict[str, Any]]:
    rows = []
    with data.database(FOLDER, size) as url, contextlib.ExitStack() as at_last:
        at_last.callback(compare.forget_captures, url)
        found = at_last.enter_context(services.running(url, "ours", *compare.PEERS))
        print("Answers a second (median wait, wait of 99 %, in ms); the ratio is ours to theirs.\n")
        print("| What | Connections | Ours | ORM peer | Tuned peer | Floor |\n" + "| --- " * 6 + "|")
        for name, by_connections in compare.tables(found, url):
            for connections, figures in by_connections.items():
                rows.append(compare.row(name, connections, figures))
                cells = [_cell(figures, who) for who in ("ours", *compare.PEERS)]
                floor = "pgbench" if "pgbench" in figures else "copy"
                line = " | ".join([name, str(connections), *cells, f"{_cell(figures, floor)} {floor}"])
                print(f"| {line} |", flush=True)
    return rows


def _cell(figures: dict[str, compare.Figures], who: str) -> str:
    if who not in figures:
        return "differs"
    found = figures[who]
    text = f"{found.per_second:.0f} ({found.p50_ms:.1f}, {found.p99_ms:.1f})"
    return text if who == "ours" else f"{text} **{figures['ours'].per_second / found.per_second:.2f}**"


def _stages(size: int) -> dict[str, dict[str, float]]:
    with data.database(FOLDER, size) as url:
        return stages.measure(url)


def _memory(size: int) -> dict[str, Any]:
    with data.database(FOLDER, size) as url, services.running(url, "ours") as found:
        return memory.measure(found["ours"])


if __name__ == "__main__":
    main(sys.argv[1:])
