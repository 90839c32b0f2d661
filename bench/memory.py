"""Memory of the workers before and after 100,000 requests, and their peak under a greedy caller."""

import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench import services, wrk
from bench.scenarios import scenarios
from bench.services import Service
from tools import greedy, processes, stack

REQUESTS = 100_000
CONNECTIONS = 8
SECONDS = 10
GREEDY_SECONDS = 30


def measure(database_url: str) -> dict[str, Any]:
    """Return the workers' private memory in mebibytes as requests continue, and their peaks under a greedy caller."""
    with services.running(database_url, {"ours": [services.gunicorn()] * services.PROCESSES}) as running:
        figures = _measure_growth(running["ours"])
    return figures | {"peak_mebibytes": _measure_peak()}


def _measure_growth(service: Service) -> dict[str, Any]:
    requests = [s.request for s in scenarios() if s.query and s.rows <= 365]
    wrk.load(service.bases, requests, connections=CONNECTIONS, seconds=SECONDS)
    mebibytes, served = [_mebibytes(service.pids)], [0]
    while served[-1] < REQUESTS:
        load = wrk.load(service.bases, requests, connections=CONNECTIONS, seconds=SECONDS)
        served.append(served[-1] + round(load.requests * SECONDS))
        mebibytes.append(_mebibytes(service.pids))
    return {"requests": served, "mebibytes": mebibytes}


def _measure_peak() -> list[float]:
    """Return the peak memory in mebibytes of each worker of the stack while one user sends the most expensive reads."""
    with (
        tempfile.TemporaryDirectory(prefix="snapshots-memory-") as folder,
        stack.running(Path(folder), processes.free_port(), API_READ_LIMIT="1000000/minute") as running,
    ):
        user_id, account_id = str(uuid4()), str(uuid4())
        greedy.store_snapshots(running.admin_url, user_id, account_id)
        with greedy.calling(running.base, user_id, account_id):
            time.sleep(GREEDY_SECONDS)
        return [_peak(child) for child in _children([running.gunicorn.pid])]


def _peak(pid: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kibibytes,) = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return round(kibibytes / 1024, 1)


def _children(masters: list[int]) -> list[str]:
    return [child for pid in masters for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _mebibytes(masters: list[int]) -> list[float]:
    lines = [Path(f"/proc/{child}/smaps_rollup").read_text().splitlines() for child in _children(masters)]
    private = [sum(int(line.split()[1]) for line in of_child if line.startswith("Private")) for of_child in lines]
    return [round(kibibytes / 1024, 1) for kibibytes in private]
