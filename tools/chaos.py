"""`make chaos`: inject faults, one after another, into a running stack under load, and report what callers saw.

Readers read, sync jobs capture and a corrector corrects throughout; each resends a batch until it is acknowledged.
Afterwards every acknowledged snapshot and correction must be stored exactly once. A seed gives the order of the faults
and the pauses between them, so that a run can be repeated: python -m tools.chaos [SEED] [ROUNDS].
"""

import contextlib
import os
import select
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from uuid import UUID

import psycopg

from tools import greedy, postgres, processes, stack
from tools.callers import NO_FAULT, Callers, Request
from tools.stack import Stack

# Durations of the faults that last for a while: of an outage of PostgreSQL, and of the others.
FAULT_SECONDS = 2.0
OUTAGE_SECONDS = 2.0
# Pause between two faults.
REST_SECONDS = 1.5
# Timeout for a fault to take effect.
EFFECT_SECONDS = 60
HALF_SENT_REQUESTS = 50


@dataclass(frozen=True)
class Fault:
    """A fault that was injected, and when it was in effect."""

    name: str
    started_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        return self.ended_at - self.started_at


def plan(seed: int, rounds: int, faults: list[str]) -> list[tuple[float, str]]:
    """Return the faults in a random order, each once per round, with the seconds to rest before it."""
    random = Random(seed)
    order = [fault for _ in range(rounds) for fault in random.sample(faults, len(faults))]
    return [(REST_SECONDS * random.uniform(0.5, 1.5), fault) for fault in order]


class ChaosError(Exception):
    """A fault did not take effect."""


class Chaos:
    """Fault injection into a stack under load."""

    def __init__(self, stack: Stack, state: Path, seed: int, parts: contextlib.ExitStack) -> None:
        self._stack = stack
        self._state = state
        self._seed = seed
        self._random = Random(seed)
        self._parts = parts
        self.callers = Callers(stack.base, self._random)
        self.faults: list[Fault] = []
        self._injections: dict[str, Callable[[], None]] = {
            "worker killed": self._kill_worker,
            "rolling restart": self._reload,
            "postgres restarted": self._restart_postgres,
            "postgres down": self._stop_postgres_for_a_while,
            "valkey frozen": self._freeze_valkey,
            "half-sent requests": self._send_half_requests,
            "greedy caller": self._run_greedy_caller,
        }

    def run(self, rounds: int) -> None:
        """Inject every fault once per round, in an order given by the seed, under load throughout.

        Raises ChaosError when a fault does not take effect.
        """
        with self.callers.calling():
            for number, (rest, name) in enumerate(plan(self._seed, rounds, sorted(self._injections)), 1):
                time.sleep(rest)
                print(f"{number} of {rounds * len(self._injections)}: {name}", file=sys.stderr, flush=True)
                self.callers.fault, started_at = name, time.monotonic()
                self._injections[name]()
                self.faults.append(Fault(name, started_at, time.monotonic()))
                time.sleep(REST_SECONDS)
                self.callers.fault = NO_FAULT

    def lost_and_duplicated(self) -> tuple[int, int]:
        """Return the number of acknowledged snapshots that are not stored, and of those stored more than once.

        A superseded snapshot counts as stored. Each key may have only one current snapshot.
        """
        with psycopg.connect(self._stack.admin_url) as connection:
            query = "SELECT id, (account_id, captured_at, source)::text FROM balance_snapshots"
            current = connection.execute(query).fetchall()
            superseded = connection.execute("SELECT id FROM superseded_snapshots").fetchall()
        stored = Counter(row[0] for row in [*current, *superseded])
        duplicates = len(current) - len({key for _, key in current})
        return (
            sum(stored[acknowledged] == 0 for acknowledged in set(self.callers.acknowledged)),
            duplicates + sum(count > 1 for count in stored.values()),
        )

    def lost_corrections(self) -> int:
        """Return the number of acknowledged corrections that are not stored exactly once, or were undone."""
        with psycopg.connect(self._stack.admin_url) as connection:
            stored = Counter(connection.execute("SELECT id, replaced_by FROM superseded_snapshots").fetchall())
            current = {row[0] for row in connection.execute("SELECT id FROM balance_snapshots")}
        lost = [
            id_
            for id_, replaced_by in self.callers.corrected.items()
            if stored[id_, replaced_by] != 1 or id_ in current or (replaced_by and replaced_by not in current)
        ]
        return len(lost) + len(self.callers.undone)

    # Faults

    def _workers(self) -> set[int]:
        pid = self._stack.gunicorn.pid
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def _kill_worker(self) -> None:
        before = self._workers()
        killed = self._random.choice(sorted(before))
        os.kill(killed, signal.SIGKILL)
        _wait_until(lambda: killed not in self._workers() and len(self._workers()) == len(before), "worker replaced")

    def _reload(self) -> None:
        before = self._workers()
        self._stack.gunicorn.send_signal(signal.SIGHUP)
        _wait_until(lambda: not before & self._workers() and len(self._workers()) == len(before), "workers replaced")

    def _restart_postgres(self) -> None:
        self._kill_postgres()
        self._start_postgres()

    def _stop_postgres_for_a_while(self) -> None:
        self._kill_postgres()
        time.sleep(OUTAGE_SECONDS)
        self._start_postgres()

    def _kill_postgres(self) -> None:
        """Stop PostgreSQL like pg_ctl stop -m immediate."""
        pid = int((self._state / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)

    def _start_postgres(self) -> None:
        self._parts.enter_context(postgres.running(self._state / "postgres", share=False))

    def _freeze_valkey(self) -> None:
        losses = self._stack.log("gunicorn").count("limiter_store_lost")
        self._stack.valkey.send_signal(signal.SIGSTOP)
        try:
            time.sleep(FAULT_SECONDS)
            _wait_until(
                lambda: self._stack.log("gunicorn").count("limiter_store_lost") > losses,
                "a worker notices that Valkey is frozen",
            )
        finally:
            self._stack.valkey.send_signal(signal.SIGCONT)

    def _send_half_requests(self) -> None:
        host, port = self._stack.base.removeprefix("http://").split(":")
        with contextlib.ExitStack() as clients:
            sockets = [
                clients.enter_context(socket.create_connection((host, int(port)), timeout=5))
                for _ in range(HALF_SENT_REQUESTS)
            ]
            for client in sockets:
                client.sendall(b"POST /api/v1/balance-snapshots HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n{")
            time.sleep(FAULT_SECONDS)
            # A readable socket has a response, or was closed.
            if select.select(sockets, [], [], 0)[0]:
                raise ChaosError("nginx did not wait for the rest of a half-sent request.")

    def _run_greedy_caller(self) -> None:
        user_id, account_id = (str(UUID(int=self._random.getrandbits(128))) for _ in range(2))
        greedy.store_snapshots(self._stack.admin_url, user_id, account_id)
        with greedy.calling(self._stack.base, user_id, account_id) as statuses:
            time.sleep(FAULT_SECONDS)
        if not statuses[200] or not statuses[429]:
            raise ChaosError(f"The greedy caller was not both served and limited: {dict(statuses)}.")


def _wait_until(is_true: Callable[[], bool], condition: str) -> None:
    deadline = time.monotonic() + EFFECT_SECONDS
    while not is_true():
        if time.monotonic() > deadline:
            raise ChaosError(f"Not within {EFFECT_SECONDS} s: {condition}.")
        time.sleep(0.05)


def table(requests: list[Request]) -> str:
    """Return what callers saw, as the Markdown table of docs/reliability.md."""
    kinds = ("read", "capture", "correction")
    failures = [f"Failed {kind}s" for kind in kinds]
    headings = ["Fault", "Requests", *failures, "p50", "Slowest", "Slowest failure"]
    rows = [f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
    for fault in sorted({request.fault for request in requests}):
        affected = [request for request in requests if request.fault == fault]
        failed = {
            kind: Counter(request.status for request in affected if request.kind == kind and not request.is_success)
            for kind in kinds
        }
        counts = [
            ", ".join(f"{count} x {status}" for status, count in sorted(failed[kind].items())) or "0" for kind in kinds
        ]
        seconds = [request.seconds for request in affected]
        rows.append(
            f"| {fault} | {len(affected)} | {' | '.join(counts)}"
            f" | {statistics.median(seconds) * 1000:.0f} ms | {max(seconds):.2f} s"
            f" | {max((request.seconds for request in affected if not request.is_success), default=0):.2f} s |"
        )
    return "\n".join(rows)


@contextlib.contextmanager
def running(seed: int, state: Path) -> Iterator[Chaos]:
    """Start a stack for chaos, with its data in `state` and a rate limit that nobody reaches."""
    with (
        stack.running(state, processes.free_port(), API_READ_LIMIT="1000000/minute") as started,
        contextlib.ExitStack() as parts,
    ):
        yield Chaos(started, state, seed, parts)


def main(arguments: list[str]) -> None:
    seed, rounds = (int(number) for number in (arguments + ["1", "3"][len(arguments) :]))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="snapshots-chaos-") as folder,
            running(seed, Path(folder)) as chaos,
        ):
            chaos.run(rounds)
            lost, duplicated = chaos.lost_and_duplicated()
            lost_corrections = chaos.lost_corrections()
    except (ChaosError, stack.StackError, postgres.PostgresError) as error:
        sys.exit(f"make chaos: {error}")
    print(table(chaos.callers.requests))
    print(
        f"\nSeed {seed}, {rounds} rounds. Acknowledged snapshots: {len(chaos.callers.acknowledged)};"
        f" lost: {lost}; duplicated: {duplicated}. Acknowledged corrections: {len(chaos.callers.corrected)};"
        f" lost or undone: {lost_corrections}."
    )
    sys.exit(1 if lost or duplicated or lost_corrections else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
