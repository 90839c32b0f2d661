"""Token buckets, stored in Redis or Valkey for all workers, or in process memory.

A bucket holds `amount` tokens and refills continuously, `amount` per period. To be exact, it counts in whole units: a
token is as many units as the period has microseconds, so that each microsecond refills `amount` units.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import structlog
from limits import RateLimitItem
from prometheus_client import Counter, Gauge
from valkey import Valkey
from valkey.exceptions import NoScriptError

KEY_PREFIX = "token-bucket:"
# Interval at which a background thread probes a lost store.
STORE_RETRY_SECONDS = 1.0
# Buckets held in process memory before full ones are dropped.
_MAX_BUCKETS = 10_000

_SCRIPT = (Path(__file__).parent / "token_bucket.lua").read_bytes()
_FALLBACKS = Counter("limiter_fallbacks", "Number of times that a worker lost the limiter's shared store.")
_STORE_LOST = Gauge(
    "limiter_store_lost",
    "Workers that count requests in their own memory, without the shared store.",
    multiprocess_mode="livesum",
)
_log = structlog.get_logger(__name__)


class Bucket(NamedTuple):
    """A rate limit in units."""

    capacity: int
    refill: int
    """Units per microsecond."""
    token: int

    @classmethod
    def of(cls, item: RateLimitItem) -> Self:
        token = item.get_expiry() * 1_000_000
        return cls(item.amount * token, item.amount, token)


class State(NamedTuple):
    """The state of a bucket after a request."""

    is_taken: bool
    remaining: int
    """Whole tokens."""
    full_at: float
    """The Unix time at which the bucket is full again, by the clock of the store or else of this host."""
    retry_after: float
    """Seconds until the bucket holds a token; 0 if it holds one."""

    @classmethod
    def of(cls, bucket: Bucket, is_taken: bool, level: int, now: int) -> Self:
        """Return the state of a bucket with `level` units left at `now`, in microseconds of Unix time."""
        return cls(
            is_taken,
            level // bucket.token,
            (now + (bucket.capacity - level) / bucket.refill) / 1_000_000,
            max(0, bucket.token - level) / bucket.refill / 1_000_000,
        )


Take = Callable[[str, Bucket, int], State]
"""Take a number of units from the bucket of a key, if it holds them."""


class LocalBuckets:
    """Buckets of one process, on the monotonic clock, which cannot be set."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._levels: dict[str, tuple[int, int]] = {}
        self._max_buckets = _MAX_BUCKETS

    def take(self, key: str, bucket: Bucket, cost: int) -> State:
        with self._lock:
            now = self._clock() // 1000
            level, at = self._levels.get(key, (bucket.capacity, now))
            level = min(bucket.capacity, level + (now - at) * bucket.refill)
            is_taken = level >= cost
            if is_taken:
                level -= cost
            self._levels[key] = level, now
            if len(self._levels) > self._max_buckets:
                self._forget_full(bucket, now)
        return State.of(bucket, is_taken, level, time.time_ns() // 1000)

    def close(self) -> None:
        """Do nothing: there is no connection to close."""

    def _forget_full(self, bucket: Bucket, now: int) -> None:
        self._levels = {
            key: (level, at)
            for key, (level, at) in self._levels.items()
            if level + (now - at) * bucket.refill < bucket.capacity
        }
        self._max_buckets = max(_MAX_BUCKETS, 2 * len(self._levels))


class SharedBuckets:
    """Buckets shared by all workers in Redis or Valkey; in process memory while that is down (rule 19)."""

    def __init__(self, store: Valkey) -> None:
        self._store: Any = store
        self._script = self._store.register_script(_SCRIPT)
        self._local = threading.local()
        self._fallback = LocalBuckets()
        self._lock = threading.Lock()
        self._is_down = False
        self._closed = threading.Event()

    def take(self, key: str, bucket: Bucket, cost: int) -> State:
        if not self._is_down:
            try:
                return self._ask(key, bucket, cost)
            except Exception as error:  # From the network, the server or the client library.
                self._give_up(error, bucket)
        return self._fallback.take(key, bucket, cost)

    def _ask(self, key: str, bucket: Bucket, cost: int) -> State:
        connection = self._client().connection
        is_taken, level, now = connection.retry.call_with_retry(
            lambda: self._run(connection, KEY_PREFIX + key, bucket.capacity, bucket.refill, cost),
            lambda _error: connection.disconnect(),
        )
        return State.of(bucket, bool(is_taken), level, now)

    def _run(self, connection: Any, *arguments: Any) -> Any:
        """Run the script without the client's work around a call, which takes half of the time (11 of 23 us)."""
        connection.send_command("EVALSHA", self._script.sha, 1, *arguments)
        try:
            return connection.read_response()
        except NoScriptError:
            # This also loads the script.
            connection.send_command("EVAL", self._script.script, 1, *arguments)
            return connection.read_response()

    def _client(self) -> Any:
        """Return this thread's client. Its own connection avoids the check that the pool makes on every call."""
        if not hasattr(self._local, "client"):
            self._local.client = self._store.client()
        return self._local.client

    def _give_up(self, error: Exception, bucket: Bucket) -> None:
        with self._lock:
            if self._is_down:
                return
            self._is_down = True
        _FALLBACKS.inc()
        _STORE_LOST.inc()
        _log.warning("limiter_store_lost", reason=type(error).__name__)
        threading.Thread(target=self._probe_until_back, args=[bucket], name="limiter", daemon=True).start()

    def _probe_until_back(self, bucket: Bucket) -> None:
        while self._is_down and not self._closed.wait(STORE_RETRY_SECONDS):
            try:
                # The same call as for requests: a server may respond to a ping and still refuse to write.
                self._ask("probe", bucket, 0)
            except Exception:  # noqa: S112 - the loss is logged, and so is the return
                continue
            # Connections of other threads may be broken.
            self._store.connection_pool.disconnect()
            self._is_down = False
            _STORE_LOST.dec()
            _log.warning("limiter_store_returned")

    def close(self) -> None:
        """Close the connections and stop the thread that probes the store."""
        self._closed.set()
        self._store.connection_pool.disconnect()
