"""`make overload`: what becomes of the stack at twice the load that it can serve (docs/reliability.md).

The stack has one core and the load another, so that the one takes nothing from the other. The peak is measured with a
few connections that ask without a pause, twice the peak with many that pause, in turns; what was served at twice the
peak's load is compared with the peaks before and after it. python -m bench.overload [ROUNDS]
"""

import os
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from uuid import uuid4

from bench import wrk
from tools import local, stack
from tools.processes import free_port

CALLERS = 50
SECONDS = 5


def main(arguments: list[str]) -> None:
    rounds = int(arguments[0]) if arguments else 9
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("make overload: it needs two cores, one for the stack and one for the load.")
    os.sched_setaffinity(0, cores[:1])
    requests = [wrk.get("/api/v1/balance-snapshots", local.token(str(uuid4()))) for _ in range(CALLERS)]
    try:
        with (
            tempfile.TemporaryDirectory(prefix="snapshots-overload-") as state,
            stack.running(Path(state), free_port(), API_READ_LIMIT="1000000/minute") as running,
        ):
            served = _measure(partial(wrk.load, [running.base], requests, seconds=SECONDS, cores=cores[1:2]), rounds)
    except (stack.StackError, wrk.WrkError) as error:
        sys.exit(f"make overload: {error}")
    print(f"\nOf the peak, served at twice its load: median {statistics.median(served):.2f} of {rounds} rounds.")


def _measure(load: partial[wrk.Load], rounds: int) -> list[float]:
    """What share of the peak was served in each round."""
    print("| Peak | Offered | Served | Of the peak | Longest wait of 99 % |\n" + "| --- " * 5 + "|")
    served = []
    pause_ms = 200.0
    before = load(connections=16)
    for number in range(rounds + 1):
        twice = load(connections=400, pause_ms=pause_ms)
        after = load(connections=16)
        peak = (before.successes + after.successes) / 2
        # The next round comes nearer to twice the peak; the first is for that alone.
        pause_ms *= twice.requests / (2 * peak)
        before = after
        if number:
            served.append(twice.successes / peak)
            print(
                f"| {peak:.0f}/s | {twice.requests / peak:.2f}x | {twice.successes:.0f}/s | {served[-1]:.2f}"
                f" | {twice.p99_ms:.0f} ms |",
                flush=True,
            )
    return served


if __name__ == "__main__":
    main(sys.argv[1:])
