"""Workers and threads: the same load on several settings of WEB_CONCURRENCY and WEB_THREADS, in turns."""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

from bench import compare, services, turns
from bench.scenarios import scenarios

CORES = len(os.sched_getaffinity(0))
# Numbers of workers and threads per worker; the first is what the others are compared with.
SETTINGS = [
    (CORES, 2),
    (CORES, 1),
    (CORES, 3),
    (CORES, 4),
    (CORES, 8),
    (CORES + 1, 2),
    (2 * CORES, 1),
    (2 * CORES, 2),
]
SCENARIOS = ("latest, 8 accounts", "history of 365", "capture of 100")
CONNECTIONS = (8, 32)
SECONDS = 2
WARM_UP_SECONDS = 1


def measure(database_url: str, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield the JSON object of each scenario at each number of connections; the ratios are those to the first."""
    launches = {_name(*setting): [services.gunicorn(WEB_THREADS=str(setting[1]))] * setting[0] for setting in SETTINGS}
    first, *others = launches
    with compare.captures_deleted(database_url), services.running(database_url, launches) as running:
        for scenario in [scenario for scenario in scenarios() if scenario.name in SCENARIOS]:
            for service in running.values():
                compare.load(service, scenario, min(CONNECTIONS), WARM_UP_SECONDS)
            for connections in CONNECTIONS:
                loads = turns.alternate(
                    {
                        name: partial(compare.load, service, scenario, connections, SECONDS)
                        for name, service in running.items()
                    },
                    rounds,
                )
                yield turns.row(scenario.name, connections, loads, [(name, first) for name in others])


def _name(workers: int, threads: int) -> str:
    return f"{workers} x {threads}"
