"""The results as Markdown tables: `make bench` prints them, `make docs` writes them into docs/performance.md."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results.json"

# The ratios to other services that we aim for, by the beginning of a scenario's name, at more than one connection:
# minimums for the throughput, maximums for the p99.
AIMS = {
    "throughput": {
        "tuned": {"latest": 1.1, "": 1.0},
        "pgbench": {"history of 365": 0.7, "a year of days": 0.7, "portfolio": 0.7},
        "orm": {"a year of days": 5.0, "portfolio": 5.0},
        "COPY": {"capture of 1,000": 0.5},
        "gunicorn": {"": 0.85},
    },
    "p99": {"tuned": {"": 1.0}, "gunicorn": {"": 1.3}},
}


def store(part: str, result: dict[str, Any]) -> None:
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(results | {part: result}, indent=1) + "\n")


def stored(part: str) -> str:
    """Return the latest stored result of a part: how it was measured, and its tables."""
    return text(part, json.loads(RESULTS.read_text())[part])


def text(part: str, result: dict[str, Any]) -> str:
    """Return a result as Markdown: how it was measured, and its tables."""
    how = [f"`make bench PARTS={part}`", result["date"], f"{result['minutes']:.0f} min"]
    if "rounds" in result:
        how.append(f"{result['rounds']} rounds" if result["rounds"] > 1 else "1 round")
    how += [f"{result['snapshots']:,} snapshots", f"Python {result['python']}"]
    return "\n\n".join([", ".join(how) + ".", *TABLES[part](result["figures"])])


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _comparison(rows: list[dict[str, Any]]) -> list[str]:
    what, rates, ratios = ["What", "Connections"], [], []
    for row in rows:
        (floor,) = {"pgbench", "COPY"} & row["figures"].keys()
        cells = [_rate(row, name) for name in ("ours", "orm", "tuned")]
        rates.append([row["scenario"], row["connections"], *cells, f"{_rate(row, floor)} {floor}"])
        by_peer = [_ratio(row, "ours", peer, measure) for peer in ("tuned", "orm") for measure in ("throughput", "p99")]
        ratios.append([row["scenario"], row["connections"], *by_peer, _ratio(row, "ours", floor, "throughput")])
    of_peers = ["Tuned peer", "p99", "ORM peer", "p99"]
    return [
        _table([*what, "Ours", "ORM peer", "Tuned peer", "Floor"], rates),
        _table([*what, *of_peers, "Floor"], ratios),
    ]


def _rate(row: dict[str, Any], name: str) -> str:
    if name in row["figures"]:
        figures = row["figures"][name]
        return f"{figures['per_second']:,.0f} ({figures['p50_ms']:.1f}, {figures['p99_ms']:.1f})"
    alone = row.get("seconds_of_one_request", {}).get(name)
    return f"one takes {alone:.1f} s" if alone else "not counted"


def _ratio(row: dict[str, Any], one: str, other: str, measure: str) -> str:
    """Return a ratio with its minimum and maximum, in bold if it misses the aim."""
    spread = row["ratios"].get(f"{one} to {other}", {}).get(measure)
    if spread is None:
        return ""
    median, low, high = spread
    aims = AIMS[measure].get(other, {})
    aim = next((aim for start, aim in aims.items() if row["scenario"].startswith(start)), median)
    is_missed = median < aim if measure == "throughput" else median > aim
    shown = f"**{median:.2f}**" if is_missed and row["connections"] > 1 else f"{median:.2f}"
    return f"{shown} ({low:.2f}-{high:.2f})"


def _nginx(rows: list[dict[str, Any]]) -> list[str]:
    head = ["What", "Connections", "Through nginx", "gunicorn alone", "Throughput", "p99"]
    return [
        _table(
            head,
            [
                [
                    row["scenario"],
                    row["connections"],
                    *(_rate(row, name) for name in ("nginx", "gunicorn")),
                    _ratio(row, "nginx", "gunicorn", "throughput"),
                    _ratio(row, "nginx", "gunicorn", "p99"),
                ]
                for row in rows
            ],
        )
    ]


def _threads(rows: list[dict[str, Any]]) -> list[str]:
    first = next(iter(rows[0]["figures"]))
    lines = [
        [
            row["scenario"],
            row["connections"],
            name,
            _rate(row, name),
            _ratio(row, name, first, "throughput"),
            _ratio(row, name, first, "p99"),
        ]
        for row in rows
        for name in row["figures"]
    ]
    head = ["What", "Connections", "Workers x threads", "Rate", f"Throughput to {first}'s", f"p99 to {first}'s"]
    return [_table(head, lines)]


def _stages(figures: dict[str, dict[str, float]]) -> list[str]:
    parts = sorted(next(iter(figures.values())), key=lambda part: -figures["latest, 8 accounts"][part])
    rows = [[part, *(f"{of_read[part]:.0f}" for of_read in figures.values())] for part in parts]
    return [_table(["Part", *figures], rows)]


def _growth(rows: list[dict[str, Any]]) -> list[str]:
    places = list(rows[0])[1:]
    lines = [
        [row["read"], row[places[0]], *(f"{row[place]} ({row[place] / row[places[0]]:.2f})" for place in places[1:])]
        for row in rows
    ]
    return [_table(["What", *places], lines)]


def _size(figures: dict[str, Any]) -> list[str]:
    on_disk = [[place, size] for place, size in figures["on_disk"].items() if place != "snapshots"]
    wal = [list(row.values()) for row in figures["wal"]]
    wal_head = ["Snapshots per capture", "Right after a checkpoint", "Again before the next one"]
    return [_table(["On disk", "Bytes per snapshot"], on_disk), _table(wal_head, wal)]


def _memory(figures: dict[str, Any]) -> list[str]:
    listed = list(zip(figures["requests"], figures["mebibytes"], strict=True))
    rows = [[f"{served:,}", " and ".join(map(str, mebibytes))] for served, mebibytes in (listed[0], listed[-1])]
    peaks = " and ".join(map(str, figures["peak_mebibytes"]))
    return [_table(["Requests", "MiB per worker"], [*rows, ["peak under a greedy caller", peaks]])]


def _backfill(rows: list[dict[str, Any]]) -> list[str]:
    lines = [[row["way"], f"{row['seconds']:.1f}", row["mebibytes"]] for row in rows]
    return [_table(["Way", "Seconds", "Peak MiB"], lines)]


TABLES: dict[str, Callable[[Any], list[str]]] = {
    "compare": _comparison,
    "nginx": _nginx,
    "threads": _threads,
    "growth": _growth,
    "stages": _stages,
    "size": _size,
    "memory": _memory,
    "backfill": _backfill,
}
