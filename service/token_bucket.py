"""A token bucket, as a strategy for `limits`: shared by all workers through Redis or Valkey, or in process memory.

A bucket holds `amount` tokens and refills continuously, `amount` a period. To be exact it is counted in whole units:
a token is as many units as the period has microseconds, so that each microsecond refills `amount` of them.
"""

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple, Self

import structlog
from limits import RateLimitItem
from limits.storage import RedisStorage, StorageTypes
from limits.strategies import STRATEGIES, RateLimiter
from limits.util import WindowStats
from prometheus_client import Counter, Gauge

NAME = "token-bucket"
# How often a store that was given up is tried again, beside the requests.
STORE_RETRY_SECONDS = 1.0
# In process memory, so many buckets are kept before those that are full again are forgotten.
_MANY_BUCKETS = 10_000

_SCRIPT = (Path(__file__).parent / "token_bucket.lua").read_bytes()
_FALLBACKS = Counter("limiter_fallbacks", "Times that a worker lost the limiter's shared store.")
_STORE_LOST = Gauge(
    "limiter_store_lost",
    "Workers that limit from their own memory, without the shared store.",
    multiprocess_mode="livesum",
)
_DECISIONS = Counter("limiter_decisions", "Requests that the limiter admitted or refused.", ["decision"])
_ADMITTED = _DECISIONS.labels("admitted")
_REFUSED = _DECISIONS.labels("refused")
_log = structlog.get_logger(__name__)


class Bucket(NamedTuple):
    """A rate limit in units."""

    capacity: int
    refill: int
    """Units a microsecond."""
    token: int

    @classmethod
    def of(cls, item: RateLimitItem) -> Self:
        token = item.get_expiry() * 1_000_000
        return cls(item.amount * token, item.amount, token)


class State(NamedTuple):
    """How a bucket stood when it had been asked."""

    is_taken: bool
    remaining: int
    """Whole tokens."""
    full_at: float
    """The Unix time at which it is full again, by the store's clock."""
    token_in: float
    """Seconds until it holds a token; 0 when it does."""

    @classmethod
    def of(cls, bucket: Bucket, is_taken: bool, level: int, now: int) -> Self:
        """`level`: units left; `now`: Unix time in microseconds."""
        return cls(
            is_taken,
            level // bucket.token,
            (now + (bucket.capacity - level) / bucket.refill) / 1_000_000,
            max(0, bucket.token - level) / bucket.refill / 1_000_000,
        )


_last: ContextVar[State] = ContextVar("last_state")


def last_state() -> State:
    """How the bucket stood that this context asked last. Raises LookupError when it asked none."""
    return _last.get()


Take = Callable[[str, Bucket, int], State]
"""Takes so many units from the bucket of that key, if it has them."""


class LocalBuckets:
    """The buckets of one process. They go by the monotonic clock, which nobody sets."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._levels: dict[str, tuple[int, int]] = {}
        self._many = _MANY_BUCKETS

    def take(self, key: str, bucket: Bucket, cost: int) -> State:
        with self._lock:
            now = self._clock() // 1000
            level, at = self._levels.get(key, (bucket.capacity, now))
            level = min(bucket.capacity, level + (now - at) * bucket.refill)
            is_taken = level >= cost
            if is_taken:
                level -= cost
            self._levels[key] = level, now
            if len(self._levels) > self._many:
                self._forget_full(bucket, now)
        return State.of(bucket, is_taken, level, time.time_ns() // 1000)

    def _forget_full(self, bucket: Bucket, now: int) -> None:
        self._levels = {
            key: (level, at)
            for key, (level, at) in self._levels.items()
            if level + (now - at) * bucket.refill < bucket.capacity
        }
        self._many = max(_MANY_BUCKETS, 2 * len(self._levels))


class SharedBuckets:
    """The buckets of all workers, in one Redis or Valkey; in process memory while that does not answer (ruling 19)."""

    def __init__(self, storage: RedisStorage, fallback: LocalBuckets) -> None:
        self._store: Any = storage.get_connection()
        self._script = self._store.register_script(_SCRIPT)
        self._of_thread = threading.local()
        self._prefix = f"{storage.key_prefix}:{NAME}:"
        self._fallback = fallback
        self._lock = threading.Lock()
        self._is_lost = False
        self._closed = threading.Event()

    def take(self, key: str, bucket: Bucket, cost: int) -> State:
        if not self._is_lost:
            try:
                return self._ask(key, bucket, cost)
            except Exception as error:  # Whatever a network, a server or a client library comes up with.
                self._give_up(error, bucket)
        return self._fallback.take(key, bucket, cost)

    def _ask(self, key: str, bucket: Bucket, cost: int) -> State:
        arguments = [bucket.capacity, bucket.refill, cost]
        is_taken, level, now = self._script([self._prefix + key], arguments, client=self._client())
        return State.of(bucket, bool(is_taken), level, now)

    def _client(self) -> Any:
        """The thread's own connection: one lent by the pool is looked at each time whether it still stands."""
        if not hasattr(self._of_thread, "client"):
            self._of_thread.client = self._store.client()
        return self._of_thread.client

    def _give_up(self, error: Exception, bucket: Bucket) -> None:
        with self._lock:
            if self._is_lost:
                return
            self._is_lost = True
        _FALLBACKS.inc()
        _STORE_LOST.inc()
        _log.warning("limiter_store_lost", reason=type(error).__name__)
        threading.Thread(target=self._wait_for_return, args=[bucket], name="limiter", daemon=True).start()

    def _wait_for_return(self, bucket: Bucket) -> None:
        while self._is_lost and not self._closed.wait(STORE_RETRY_SECONDS):
            try:
                # The very call that requests will make: a server may answer a ping and refuse to write.
                self._ask("probe", bucket, 0)
            except Exception:  # noqa: S112 - the loss is logged, the return will be
                continue
            # Other threads' connections may be dead without having been told so.
            self._store.connection_pool.disconnect()
            self._is_lost = False
            _STORE_LOST.dec()
            _log.warning("limiter_store_returned")

    def close(self) -> None:
        """Close the connections and stop the thread that waits for the store."""
        self._closed.set()
        self._store.connection_pool.disconnect()


class TokenBucketRateLimiter(RateLimiter):
    """The strategy. A hit is one call of the store; `last_state` tells the rest without another."""

    def __init__(self, storage: StorageTypes) -> None:
        super().__init__(storage)
        local = LocalBuckets()
        self._take: Take = local.take
        self._shared: SharedBuckets | None = None
        if isinstance(storage, RedisStorage):
            self._shared = SharedBuckets(storage, local)
            self._take = self._shared.take

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        is_taken = self._ask(item, identifiers, cost).is_taken
        (_ADMITTED if is_taken else _REFUSED).inc()
        return is_taken

    def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        return self._ask(item, identifiers, 0).remaining >= cost

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        state = self._ask(item, identifiers, 0)
        return WindowStats(state.full_at, state.remaining)

    def close(self) -> None:
        """Close what is shared with other workers."""
        if self._shared:
            self._shared.close()

    def _ask(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> State:
        bucket = Bucket.of(item)
        state = self._take(item.key_for(*identifiers), bucket, cost * bucket.token)
        _last.set(state)
        return state


STRATEGIES[NAME] = TokenBucketRateLimiter  # type: ignore[assignment]
