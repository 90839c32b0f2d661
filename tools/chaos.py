"""`make chaos`: faults, one after the other, on a running stack under load, and what callers saw of each.

Readers read and sync jobs capture all the while, each job repeating a delivery until it is answered, as the README asks
of it. Afterwards every snapshot that was acknowledged is looked for: each must be there once. The order of the faults
and the times between them come from a seed, so that a run can be had again: python -m tools.chaos [SEED] [ROUNDS].
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psycopg

from tools import local, postgres, processes, stack
from tools.stack import Stack

READERS = 4
JOBS = 2
BATCH = 5
# How long a fault lasts that lasts, and how long the stack is left alone between two.
LASTING_SECONDS = 2.0
REST_SECONDS = 1.5
CALM = "(none)"
SUCCESSES = ("200", "201")


@dataclass
class Seen:
    """What callers saw while one kind of fault went on, and until it was mended."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    failed_seconds: list[float] = field(default_factory=list)


def plan(seed: int, rounds: int, faults: list[str]) -> list[tuple[float, str]]:
    """The seconds to rest before each fault, and the faults in their order: every one once a round."""
    random = Random(seed)
    order = [fault for _ in range(rounds) for fault in random.sample(faults, len(faults))]
    return [(REST_SECONDS * random.uniform(0.5, 1.5), fault) for fault in order]


class Chaos:
    """A stack, its callers, and the faults."""

    def __init__(self, running: Stack, state: Path, seed: int, parts: contextlib.ExitStack) -> None:
        self._stack = running
        self._state = state
        self._seed = seed
        self._random = Random(seed)
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._fault = CALM
        self._parts = parts
        self.seen: dict[str, Seen] = {}
        self.acknowledged: list[UUID] = []
        self.faults: dict[str, Callable[[], None]] = {
            "worker killed": self._kill_worker,
            "rolling restart": self._reload,
            "postgres restarted": self._restart_postgres,
            "postgres away": self._take_postgres_away,
            "valkey frozen": self._freeze_valkey,
            "half-sent requests": self._send_halves,
        }

    def run(self, rounds: int) -> None:
        """Every fault once a round, in an order of the seed's, under load throughout."""
        with ThreadPoolExecutor(READERS + JOBS) as threads:
            callers = [threads.submit(self._read, self._user()) for _ in range(READERS)]
            callers += [threads.submit(self._capture, self._user(), self._user()) for _ in range(JOBS)]
            try:
                for number, (rest, name) in enumerate(plan(self._seed, rounds, sorted(self.faults)), 1):
                    time.sleep(rest)
                    print(f"{number} of {rounds * len(self.faults)}: {name}", file=sys.stderr, flush=True)
                    self._fault = name
                    self.faults[name]()
                    time.sleep(REST_SECONDS)
                    self._fault = CALM
            finally:
                self._ended.set()
            for caller in callers:
                caller.result()

    def lost_and_doubled(self) -> tuple[int, int]:
        """How many acknowledged snapshots are not stored, and how many are stored more than once."""
        with psycopg.connect(self._stack.admin_url) as connection:
            stored = Counter(row[0] for row in connection.execute("SELECT id FROM balance_snapshots"))
            doubles = connection.execute(
                "SELECT count(*) - count(DISTINCT (account_id, captured_at, source)) FROM balance_snapshots"
            ).fetchone()
        assert doubles is not None
        return sum(stored[acknowledged] == 0 for acknowledged in set(self.acknowledged)), int(doubles[0])

    def _user(self) -> str:
        return str(UUID(int=self._random.getrandbits(128)))

    # Callers

    def _read(self, user_id: str) -> None:
        headers = {"Authorization": f"Bearer {local.token(user_id)}"}
        while not self._ended.is_set():
            self._ask("read", "GET", None, headers)

    def _capture(self, user_id: str, account_id: str) -> None:
        bearer = local.token("sync-job", "balance-snapshots:write")
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        at = datetime(2020, 1, 1, tzinfo=UTC)
        while not self._ended.is_set():
            times = [at + timedelta(minutes=n) for n in range(BATCH)]
            body = json.dumps({"snapshots": [_snapshot(user_id, account_id, time) for time in times]})
            while not self._ended.is_set():
                answer = self._ask("capture", "POST", body, headers)
                if answer is not None:
                    with self._lock:
                        self.acknowledged += [UUID(s["id"]) for s in answer["snapshots"]]
                    break
                time.sleep(0.1)
            at += timedelta(minutes=BATCH)

    def _ask(self, kind: str, method: str, body: str | None, headers: dict[str, str]) -> Any:
        """The answer of a success, None of anything else. Counted under the fault during which it was asked."""
        fault, began = self._fault, time.monotonic()
        connection = http.client.HTTPConnection(self._stack.base.removeprefix("http://"), timeout=15)
        try:
            connection.request(method, "/api/v1/balance-snapshots", body, headers)
            response = connection.getresponse()
            status, answer = str(response.status), json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            status, answer = type(error).__name__, None
        finally:
            connection.close()
        with self._lock:
            # A request that was under way when a fault began met the fault.
            seen = self.seen.setdefault(self._fault if fault == CALM else fault, Seen())
            seen.statuses[f"{kind} {status}"] += 1
            seen.seconds.append(time.monotonic() - began)
            if status not in SUCCESSES:
                seen.failed_seconds.append(time.monotonic() - began)
        return answer if status in SUCCESSES else None

    # Faults

    def _kill_worker(self) -> None:
        children = Path(f"/proc/{self._stack.gunicorn.pid}/task/{self._stack.gunicorn.pid}/children")
        os.kill(int(self._random.choice(children.read_text().split())), signal.SIGKILL)

    def _reload(self) -> None:
        self._stack.gunicorn.send_signal(signal.SIGHUP)

    def _restart_postgres(self) -> None:
        self._kill_postgres()
        self._start_postgres()

    def _take_postgres_away(self) -> None:
        self._kill_postgres()
        time.sleep(LASTING_SECONDS)
        self._start_postgres()

    def _kill_postgres(self) -> None:
        """As pg_ctl stop -m immediate."""
        pid = int((self._state / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)

    def _start_postgres(self) -> None:
        self._parts.enter_context(postgres.running(self._state / "postgres"))

    def _freeze_valkey(self) -> None:
        self._stack.valkey.send_signal(signal.SIGSTOP)
        time.sleep(LASTING_SECONDS)
        self._stack.valkey.send_signal(signal.SIGCONT)

    def _send_halves(self) -> None:
        host, port = self._stack.base.removeprefix("http://").split(":")
        with contextlib.ExitStack() as clients:
            for _ in range(50):
                client = clients.enter_context(socket.create_connection((host, int(port)), timeout=5))
                client.sendall(b"POST /api/v1/balance-snapshots HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n{")
            time.sleep(LASTING_SECONDS)


def _snapshot(user_id: str, account_id: str, captured_at: datetime) -> dict[str, str]:
    return {
        "user_id": user_id,
        "account_id": account_id,
        "balance": "1.00",
        "currency": "USD",
        "source": "account_sync",
        "captured_at": captured_at.isoformat(),
    }


def table(seen: dict[str, Seen]) -> str:
    """What callers saw, as the Markdown table of docs/reliability.md."""
    heads = ["Fault", "Requests", "Failed reads", "Failed captures", "p50", "Longest", "Longest failure"]
    rows = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for fault, found in sorted(seen.items()):
        failed = {
            kind: ", ".join(
                f"{count} x {status.split()[1]}"
                for status, count in sorted(found.statuses.items())
                if status.startswith(kind) and status.split()[1] not in SUCCESSES
            )
            for kind in ("read", "capture")
        }
        rows.append(
            f"| {fault} | {found.statuses.total()} | {failed['read'] or 0} | {failed['capture'] or 0}"
            f" | {statistics.median(found.seconds) * 1000:.0f} ms | {max(found.seconds):.2f} s"
            f" | {max(found.failed_seconds, default=0):.2f} s |"
        )
    return "\n".join(rows)


@contextlib.contextmanager
def begun(seed: int) -> Iterator[Chaos]:
    """Chaos on a stack of its own, with a limit out of the way."""
    with tempfile.TemporaryDirectory(prefix="snapshots-chaos-") as folder:
        state = Path(folder)
        with (
            stack.running(state, processes.free_port(), API_READ_LIMIT="1000000/minute") as running,
            contextlib.ExitStack() as parts,
        ):
            yield Chaos(running, state, seed, parts)


def main(arguments: list[str]) -> None:
    seed, rounds = (int(number) for number in (arguments + ["1", "3"][len(arguments) :]))
    try:
        with begun(seed) as chaos:
            chaos.run(rounds)
            lost, doubled = chaos.lost_and_doubled()
    except (stack.StackError, postgres.PostgresError) as error:
        sys.exit(f"make chaos: {error}")
    print(table(chaos.seen))
    print(
        f"\nSeed {seed}, {rounds} rounds. Acknowledged snapshots: {len(chaos.acknowledged)};"
        f" lost: {lost}; doubled: {doubled}."
    )
    sys.exit(1 if lost or doubled else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
