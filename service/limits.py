"""Rate limiting: one token bucket for each user (rules 17 to 19)."""

import math

from flask import Blueprint, Flask, Response, g, request
from limits import RateLimitItem, parse
from prometheus_client import Counter
from valkey import Valkey
from valkey.backoff import NoBackoff
from valkey.exceptions import ConnectionError as LostConnection
from valkey.retry import Retry
from werkzeug.exceptions import TooManyRequests

from config import Settings
from service import auth
from service.token_bucket import Bucket, LocalBuckets, SharedBuckets, State

POLICY = "API_READ"
# A store that does not respond within this time counts as down.
STORE_SECONDS = 0.2
# The Valkey client works with Redis too, but has its own names for the schemes.
_CLIENT_SCHEMES = {"redis": "valkey", "rediss": "valkeys", "redis+unix": "unix", "valkey+unix": "unix"}

_DECISIONS = Counter("limiter_decisions", "Requests that the limiter admitted or refused.", ["decision"])
_ADMITTED = _DECISIONS.labels("admitted")
_REFUSED = _DECISIONS.labels("refused")


def init_app(app: Flask, settings: Settings, reads: Blueprint) -> None:
    """Apply one limit per user to all routes of a blueprint. Call it after `auth.init_app`."""
    limit = parse(settings.api_read_limit)
    bucket = Bucket.of(limit)
    prefix = f"{limit.key_for(POLICY)}/"
    buckets = SharedBuckets(connect(settings.redis_url)) if settings.redis_url else LocalBuckets()
    app.extensions["limiter"] = buckets

    @app.before_request
    def _take_token() -> None:
        if request.blueprint != reads.name:
            return
        g.bucket = buckets.take(prefix + auth.subject(), bucket, bucket.token)
        if not g.bucket.is_taken:
            _REFUSED.inc()
            raise TooManyRequests(_explain(limit, g.bucket))
        _ADMITTED.inc()

    @app.after_request
    def _headers(response: Response) -> Response:
        state: State | None = g.get("bucket")
        if state is not None:
            response.headers["X-RateLimit-Limit"] = str(limit.amount)
            response.headers["X-RateLimit-Remaining"] = str(state.remaining)
            response.headers["X-RateLimit-Reset"] = str(math.ceil(state.full_at))
            if not state.is_taken:
                response.headers["Retry-After"] = str(_retry_after(state))
        return response


def _retry_after(state: State) -> int:
    """Return the whole seconds until the bucket holds a token, at least 1."""
    return max(1, math.ceil(state.retry_after))


def _explain(limit: RateLimitItem, state: State) -> str:
    """Return the detail of a 429: which limit is used up, and when to retry."""
    period = f"{limit.multiples} {limit.GRANULARITY.name}s" if limit.multiples > 1 else limit.GRANULARITY.name
    return (
        f"The user's limit of {_count(limit.amount, 'read')} per {period}, over all read endpoints together, is used"
        f" up. The next read is possible in {_count(_retry_after(state), 'second')}."
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def close(app: Flask) -> None:
    """Close the connections to the store, and stop waiting for its return."""
    app.extensions["limiter"].close()


def connect(redis_url: str) -> Valkey:
    """Return a client of the store, which connects when it is used.

    It retries at once after a lost connection, because a restart of the store loses all of them, and not after a
    timeout, because a read waits meanwhile. If a connection is lost between taking a token and the reply, the retry
    takes a second token.
    """
    scheme, _, rest = redis_url.partition("://")
    return Valkey.from_url(
        f"{_CLIENT_SCHEMES.get(scheme, scheme)}://{rest}",
        socket_timeout=STORE_SECONDS,
        socket_connect_timeout=STORE_SECONDS,
        retry=Retry(NoBackoff(), 1, (LostConnection,)),
        retry_on_error=[LostConnection],
        lib_name=None,
        lib_version=None,
    )
