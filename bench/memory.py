"""Memory of the workers before and after 100,000 requests."""

from pathlib import Path
from typing import Any

from bench import compare, wrk
from bench.services import Service

REQUESTS = 100_000
CONNECTIONS = 8
SECONDS = 10


def measure(service: Service) -> dict[str, Any]:
    """Return the workers' private memory in mebibytes, measured repeatedly as the requests go on."""
    requests = [s.request for s in compare.scenarios() if s.query and s.rows <= 365]
    wrk.load(service.bases, requests, connections=CONNECTIONS, seconds=SECONDS)
    mebibytes, served = [_mebibytes(service.pids)], [0]
    print("\n| Requests | MiB per worker |\n| --- | --- |")
    print(f"| 0, after a warm-up | {mebibytes[0]} |")
    while served[-1] < REQUESTS:
        load = wrk.load(service.bases, requests, connections=CONNECTIONS, seconds=SECONDS)
        served.append(served[-1] + round(load.requests * SECONDS))
        mebibytes.append(_mebibytes(service.pids))
        print(f"| {served[-1]} | {mebibytes[-1]} |", flush=True)
    return {"requests": served, "mebibytes": mebibytes}


def _mebibytes(masters: list[int]) -> list[float]:
    children = [child for pid in masters for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    lines = [Path(f"/proc/{child}/smaps_rollup").read_text().splitlines() for child in children]
    private = [sum(int(line.split()[1]) for line in of_child if line.startswith("Private")) for of_child in lines]
    return [round(kibibytes / 1024, 1) for kibibytes in private]
