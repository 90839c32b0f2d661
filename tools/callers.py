"""Load on a stack: readers and sync jobs that send requests without pause, and a record of each request."""

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
BATCH = 5
NO_FAULT = "(none)"
SUCCESSES = ("200", "201")


@dataclass(frozen=True)
class Request:
    """A request and its outcome; times are monotonic."""

    kind: str
    """read or capture"""
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
    """Readers, and sync jobs that resend each batch until it is acknowledged."""

    def __init__(self, base: str, random: Random) -> None:
        self._address = base.removeprefix("http://")
        self._random = random
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.fault = NO_FAULT
        """The fault in effect, with which requests are recorded."""
        self.requests: list[Request] = []
        self.acknowledged: list[UUID] = []

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Send requests from threads until the context ends."""
        with ThreadPoolExecutor(READERS + JOBS) as threads:
            calls = [threads.submit(self._read, self._id()) for _ in range(READERS)]
            calls += [threads.submit(self._capture, self._id(), self._id()) for _ in range(JOBS)]
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
        bearer = local.token("sync-job", "balance-snapshots:write")
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        start = datetime(2020, 1, 1, tzinfo=UTC)
        while not self._stopped.is_set():
            times = [start + timedelta(minutes=n) for n in range(BATCH)]
            body = json.dumps({"snapshots": [_snapshot(user_id, account_id, time) for time in times]})
            while not self._stopped.is_set():
                result = self._send("capture", "POST", body, headers)
                if result is not None:
                    with self._lock:
                        self.acknowledged += [UUID(s["id"]) for s in result["snapshots"]]
                    break
                time.sleep(0.1)
            start += timedelta(minutes=BATCH)

    def _send(self, kind: str, method: str, body: str | None, headers: dict[str, str]) -> Any:
        """Send a request and record it; return the body of a successful response, else None."""
        fault, started_at = self.fault, time.monotonic()
        connection = http.client.HTTPConnection(self._address, timeout=15)
        retry_after = None
        try:
            connection.request(method, "/api/v1/balance-snapshots", body, headers)
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
        return result if request.is_success else None


def _snapshot(user_id: str, account_id: str, captured_at: datetime) -> dict[str, str]:
    return {
        "user_id": user_id,
        "account_id": account_id,
        "balance": "1.00",
        "currency": "USD",
        "source": "account_sync",
        "captured_at": captured_at.isoformat(),
    }
