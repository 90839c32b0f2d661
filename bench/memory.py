"""What a worker holds after 100,000 requests, and what it held before."""

from pathlib import Path
from typing import Any

from bench import compare, wrk
from bench.services import Service

REQUESTS = 100_000
CONNECTIONS = 8
SECONDS = 10


def measure(service: Service) -> dict[str, Any]:
    """Mebibytes of the workers' own memory, as it goes."""
    requests = [s.request for s in compare.scenarios() if s.query and s.rows <= 365]
    wrk.load(service.bases, requests, connections=CONNECTIONS, seconds=SECONDS)
    held, answered = [_mebibytes(service.pids)], [0]
    print("\n| Requests | Memory of the workers, MiB |\n| --- | --- |")
    print(f"| 0, after a warm-up | {held[0]} |")
    while answered[-1] < REQUESTS:
        load = wrk.load(service.bases, requests, connections=CONNECTIONS, seconds=SECONDS)
        answered.append(answered[-1] + round(load.requests * SECONDS))
        held.append(_mebibytes(service.pids))
        print(f"| {answered[-1]} | {held[-1]} |", flush=True)
    return {"requests": answered, "mebibytes": held}


def _mebibytes(masters: list[int]) -> list[float]:
    children = [child for pid in masters for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    lines = [Path(f"/proc/{child}/smaps_rollup").read_text().splitlines() for child in children]
    private = [sum(int(line.split()[1]) for line in found if line.startswith("Private")) for found in lines]
    return [round(kibibytes / 1024, 1) for kibibytes in private]
