"""Load on a stack: readers, sync jobs and correctors that keep sending requests, and a record of each request."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from tools import local

READERS = 4
JOBS = 2
CORRECTORS = 1
BATCH = 5
# Pause between two requests of a caller.
PAUSE_SECONDS = 0.0
NO_FAULT = "(none)"
SUCCESSES = ("200", "201")


@dataclass(frozen=True)
class Request:
    """A request and its outcome; times are monotonic."""

    kind: str
    """read, capture or correction"""
    fault: str
    """The fault that was in effect, or had just ended, while the request ran; else NO_FAULT."""
    status: str
    """The HTTP status, or the exception's name if there was no complete response."""
    retry_after: str | None
    started_at: float
    ended_at: float

    @property
    def is_success(self) -> bool:
        return self.status in SUCCESSES

    @property
    def seconds(self) -> float:
        return self.ended_at - self.started_at


class Callers:
    """Readers, and sync jobs and correctors that resend each batch until it is acknowledged."""

    def __init__(self, base: str, random: Random) -> None:
        self._address = base.removeprefix("http://")
        self._random = random
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.fault = NO_FAULT
        """The fault in effect, with which requests are recorded."""
        self.requests: list[Request] = []
        self.acknowledged: list[UUID] = []
        """Captured snapshots."""
        self.corrected: dict[UUID, UUID | None] = {}
        """Acknowledged corrections: the snapshot, and its replacement."""
        self.undone: list[UUID] = []
        """Superseded snapshots that a later delivery of their batch stored again."""

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Send requests from threads until the context ends."""
        with ThreadPoolExecutor(READERS + JOBS + CORRECTORS) as threads:
            calls = [threads.submit(self._read, self._id()) for _ in range(READERS)]
            calls += [threads.submit(self._capture, self._id(), self._id()) for _ in range(JOBS)]
            calls += [threads.submit(self._correct, self._id(), self._id()) for _ in range(CORRECTORS)]
            try:
                yield
            finally:
                self._stopped.set()
            for call in calls:
                call.result()

    def _id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128)))

    def _read(self, user_id: str) -> None:
        headers = {"Authorization": f"Bearer {local.token(user_id)}"}
        while not self._stopped.is_set():
            self._send("read", "GET", None, headers)

    def _capture(self, user_id: str, account_id: str) -> None:
        for batch in _batches(user_id, account_id):
            if self._deliver("capture", {"snapshots": batch}) is None:
                return

    def _correct(self, user_id: str, account_id: str) -> None:
        """Capture a batch, replace or withdraw each of its snapshots, and deliver the batch again."""
        for batch in _batches(user_id, account_id):
            captured = self._deliver("capture", {"snapshots": batch})
            corrections = captured and [_correction(*each) for each in zip(batch, captured["snapshots"], strict=True)]
            if not corrections or self._deliver("correction", {"corrections": corrections}) is None:
                return
            again = self._deliver("capture", {"snapshots": batch})
            if again is None:
                return
            superseded = {correction["id"] for correction in corrections}
            self.undone += [UUID(s["id"]) for s in again["snapshots"] if s["id"] not in superseded]

    def _deliver(self, kind: str, batch: dict[str, Any]) -> Any:
        """Send a batch until it is acknowledged; return the result, or None if the load stops before."""
        bearer = local.token("job", "balance-snapshots:write balance-snapshots:correct")
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        while not self._stopped.is_set():
            result = self._send(kind, "POST", json.dumps(batch), headers)
            if result is not None:
                with self._lock:
                    self.acknowledged += [UUID(s["id"]) for s in result.get("snapshots", ())]
                    for each in result.get("corrections", ()):
                        self.corrected[UUID(each["id"])] = each["replaced_by"] and UUID(each["replaced_by"])
                return result
            time.sleep(0.1)
        return None

    def _send(self, kind: str, method: str, body: str | None, headers: dict[str, str]) -> Any:
        """Send a request and record it; return the body of a successful response, else None."""
        path = "/api/v1/balance-snapshots" + ("/corrections" if kind == "correction" else "")
        fault, started_at = self.fault, time.monotonic()
        connection = http.client.HTTPConnection(self._address, timeout=15)
        retry_after = None
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            status, retry_after = str(response.status), response.headers["Retry-After"]
            result = json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            status, result = type(error).__name__, None
        finally:
            connection.close()
        # A fault that began during the request counts too.
        fault = self.fault if fault == NO_FAULT else fault
        request = Request(kind, fault, status, retry_after, started_at, time.monotonic())
        with self._lock:
            self.requests.append(request)
        self._stopped.wait(PAUSE_SECONDS)
        return result if request.is_success else None


def _batches(user_id: str, account_id: str) -> Iterator[list[dict[str, str]]]:
    """Yield batches of an account's snapshots, minute after minute."""
    start = datetime(2020, 1, 1, tzinfo=UTC)
    while True:
        yield [_snapshot(user_id, account_id, start + timedelta(minutes=n)) for n in range(BATCH)]
        start += timedelta(minutes=BATCH)


def _correction(item: dict[str, str], captured: dict[str, str]) -> dict[str, Any]:
    """Return the correction of a captured snapshot: every other one is withdrawn."""
    key = {name: item[name] for name in ("user_id", "account_id", "source", "captured_at")}
    is_withdrawn = datetime.fromisoformat(item["captured_at"]).minute % 2
    replacement = None if is_withdrawn else {"balance": "2.00", "currency": "USD"}
    return {"id": captured["id"], **key, "reason": "Chaos.", "replacement": replacement}


def _snapshot(user_id: str, account_id: str, captured_at: datetime) -> dict[str, str]:
    return {
        "user_id": user_id,
        "account_id": account_id,
        "balance": "1.00",
        "currency": "USD",
        "source": "account_sync",
        "captured_at": captured_at.isoformat(),
    }
