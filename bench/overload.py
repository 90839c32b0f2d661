"""`make overload`: offer the stack twice the load that it can serve (docs/reliability.md), until its alerts fire.

The load is a mix of cheap reads, captures and, once in two hundred requests, one of the most expensive reads permitted.
The stack and the load run on different cores, so that neither slows the other down. A few connections that send
requests without a pause measure the peak; many connections that pause offer twice the peak. The two alternate, and the
throughput at twice the peak is compared with the peaks before and after it. Meanwhile a Prometheus on the load's core
scrapes the stack and evaluates deploy/alerts.yaml. python -m bench.overload [ROUNDS]
"""

import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from bench import wrk
from bench.mix import store_and_mix
from tools import prometheus, stack
from tools.processes import free_port
from tools.prometheus import Prometheus

SECONDS = 5
# Mean pause of a connection at twice the peak. If it were longer, nginx would close some for not sending within 5 s.
PAUSE_MS = 300
ALERTS = ("BalanceSnapshotsSaturated", "BalanceSnapshotsShedding")
# Timeout after the rounds; the alerts need two minutes of overload.
MAX_ALERT_SECONDS = 240


def main(arguments: list[str]) -> None:
    rounds = int(arguments[0]) if arguments else 9
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("make overload: it needs two cores, one for the stack and one for the load.")
    os.sched_setaffinity(0, cores[:1])
    try:
        with (
            tempfile.TemporaryDirectory(prefix="snapshots-overload-") as state,
            tempfile.TemporaryDirectory(prefix="snapshots-prometheus-") as folder,
            stack.running(Path(state), free_port(), API_READ_LIMIT="1000000/minute") as running,
            prometheus.watching(running, Path(folder), prefix=["taskset", "--cpu-list", str(cores[1])]) as watching,
        ):
            requests = store_and_mix(running.admin_url)
            load = partial(wrk.load, [running.base], requests, seconds=SECONDS, cores=cores[1:2])
            shares, p99s, connections = _measure(load, rounds)
            print(
                f"\nServed at twice the peak's load, relative to the peak: median {statistics.median(shares):.2f} of"
                f" {rounds} rounds; p99 of the served requests: median {statistics.median(p99s):.0f} ms."
            )
            has_fired = _wait_for_alerts(watching, partial(load, connections=connections, pause_ms=PAUSE_MS))
    except (stack.StackError, wrk.WrkError, prometheus.PrometheusError) as error:
        sys.exit(f"make overload: {error}")
    for alert in ALERTS:
        print(f"{alert} {'fired' if has_fired[alert] else 'did not fire'}.")
    if not all(has_fired.values()):
        sys.exit(1)


def _wait_for_alerts(watching: Prometheus, load: partial[wrk.Load]) -> dict[str, bool]:
    """Continue the load until all of ALERTS have fired, for MAX_ALERT_SECONDS at most; return which have."""
    deadline = time.monotonic() + MAX_ALERT_SECONDS
    while True:
        has_fired = {
            alert: bool(watching.query(f'max_over_time(ALERTS{{alertname="{alert}",alertstate="firing"}}[1h])'))
            for alert in ALERTS
        }
        if all(has_fired.values()) or time.monotonic() > deadline:
            return has_fired
        load()


def _measure(load: partial[wrk.Load], rounds: int) -> tuple[list[float], list[float], int]:
    """Return the served share of the peak and p99 of each round, and the connections that offer twice the peak."""
    print("| Peak | Offered | Served | Share of the peak | p99 |\n" + "| --- " * 5 + "|")
    shares, p99s = [], []
    before = load(connections=16)
    connections = round(2 * before.successes * PAUSE_MS / 1000)
    for _ in range(rounds):
        twice = load(connections=connections, pause_ms=PAUSE_MS)
        after = load(connections=16)
        peak = (before.successes + after.successes) / 2
        shares.append(twice.successes / peak)
        p99s.append(twice.p99_ms)
        print(
            f"| {peak:.0f}/s | {twice.requests / peak:.2f}x | {twice.successes:.0f}/s | {shares[-1]:.2f}"
            f" | {twice.p99_ms:.0f} ms |",
            flush=True,
        )
        # Come closer to twice the peak in the next round.
        connections = round(connections * 2 * peak / twice.requests)
        before = after
    return shares, p99s, connections


if __name__ == "__main__":
    main(sys.argv[1:])
