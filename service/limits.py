"""Rate limiting by flask-limiter: one token bucket for each user (rules 17 to 19)."""

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from flask import Blueprint, Flask, Response
from flask_limiter import Limiter, RouteLimit
from limits import RateLimitItem, parse
from valkey.backoff import NoBackoff
from valkey.exceptions import ConnectionError as LostConnection
from valkey.retry import Retry

from config import Settings
from service import auth, token_bucket

POLICY = "API_READ"
# A store that has not responded by then counts as down.
STORE_SECONDS = 0.2
_VALKEY_SCHEMES = {"redis": "valkey", "rediss": "valkeys", "redis+unix": "valkey+unix"}


def init_app(app: Flask, settings: Settings, reads: Blueprint) -> None:
    """Put the routes of a blueprint under one limit for each user. Call it after `auth.init_app`."""
    limiter = Limiter(auth.subject, strategy=token_bucket.NAME, **storage(settings.redis_url))
    limit = parse(settings.api_read_limit)
    _CachedRouteLimit(
        settings.api_read_limit,
        scope=POLICY,
        shared=True,
        override_defaults=True,
        error_message=lambda: _explain(limit),
        limiter=limiter,
    )(reads)

    @app.after_request
    def _headers(response: Response) -> Response:
        # The limiter's own headers would put Retry-After on every response.
        current = limiter.current_limit
        if current is not None:
            state = token_bucket.last_state()
            response.headers["X-RateLimit-Limit"] = str(limit.amount)
            response.headers["X-RateLimit-Remaining"] = str(state.remaining)
            response.headers["X-RateLimit-Reset"] = str(math.ceil(state.full_at))
            if current.breached:
                response.headers["Retry-After"] = str(_retry_after())
        return response

    limiter.init_app(app)


def _retry_after() -> int:
    """Return the whole seconds until the bucket of this request holds a token, at least 1."""
    return max(1, math.ceil(token_bucket.last_state().retry_after))


def _explain(limit: RateLimitItem) -> str:
    """Return the detail of a 429: which limit is used up, and when to come back."""
    period = f"{limit.multiples} {limit.GRANULARITY.name}s" if limit.multiples > 1 else limit.GRANULARITY.name
    return (
        f"The user's limit of {_count(limit.amount, 'read')} per {period}, over all read endpoints together, is used"
        f" up. Try again in {_count(_retry_after(), 'second')}."
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def close(app: Flask) -> None:
    """Close the connections to the store, and stop waiting for its return."""
    for limiter in app.extensions["limiter"]:
        limiter.limiter.close()


class _CachedRouteLimit(RouteLimit):
    """A limit whose text is parsed once; the library parses it for each request."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parsed)

    @cached_property
    def _parsed(self) -> list[Any]:
        return list(super().__iter__())


def storage(redis_url: str | None) -> dict[str, Any]:
    """Return the storage options of a Limiter."""
    if redis_url is None:
        return {"storage_uri": "memory://"}
    # The Valkey client works with Redis too. It retries at once after a lost connection, because all are lost when the
    # store restarts, and not after a timeout, because a read waits meanwhile. A connection that is lost between taking
    # a token and the reply costs a second token.
    scheme, _, rest = redis_url.partition("://")
    return {
        "storage_uri": f"{_VALKEY_SCHEMES.get(scheme, scheme)}://{rest}",
        "storage_options": {
            "socket_timeout": STORE_SECONDS,
            "socket_connect_timeout": STORE_SECONDS,
            "retry": Retry(NoBackoff(), 1, (LostConnection,)),
            "retry_on_error": [LostConnection],
            "lib_name": None,
            "lib_version": None,
        },
    }
