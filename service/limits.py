"""How often a user may ask (rules 17 to 19): flask-limiter in front of a token bucket, a user each."""

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from flask import Blueprint, Flask, Response
from flask_limiter import Limiter, RouteLimit
from valkey.backoff import NoBackoff
from valkey.exceptions import ConnectionError as LostConnection
from valkey.retry import Retry

from config import Settings
from service import auth, token_bucket

POLICY = "API_READ"
# A store that has not answered by then is taken for lost.
STORE_SECONDS = 0.2
_VALKEY_SCHEMES = {"redis": "valkey", "rediss": "valkeys", "redis+unix": "valkey+unix"}


def init_app(app: Flask, settings: Settings, reads: Blueprint) -> None:
    """Limits the routes of a blueprint together, a user. Registered after authentication, before any view."""
    limiter = Limiter(auth.subject, strategy=token_bucket.NAME, **storage(settings.redis_url))
    _ParsedOnce(settings.api_read_limit, scope=POLICY, shared=True, override_defaults=True, limiter=limiter)(reads)

    @app.after_request
    def _headers(response: Response) -> Response:
        # Not the limiter's own headers: they put Retry-After on every answer.
        limit = limiter.current_limit
        if limit is not None:
            state = token_bucket.last_state()
            response.headers["X-RateLimit-Limit"] = str(limit.limit.amount)
            response.headers["X-RateLimit-Remaining"] = str(state.remaining)
            response.headers["X-RateLimit-Reset"] = str(math.ceil(state.full_at))
            if limit.breached:
                response.headers["Retry-After"] = str(max(1, math.ceil(state.retry_after)))
        return response

    limiter.init_app(app)


def close(app: Flask) -> None:
    """Close the connections to the store, and stop waiting for its return."""
    for limiter in app.extensions["limiter"]:
        limiter.limiter.close()


class _ParsedOnce(RouteLimit):
    """A limit whose text is parsed once, where the library does it for each request."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parsed)

    @cached_property
    def _parsed(self) -> list[Any]:
        return list(super().__iter__())


def storage(redis_url: str | None) -> dict[str, Any]:
    """What a Limiter is to be told of its store."""
    if redis_url is None:
        return {"storage_uri": "memory://"}
    # The client for Valkey speaks to Redis alike. It tries again at once where a connection has ended, as all do when
    # the store restarts, and not where there is no answer: a read waits for it. A connection that ends between a
    # token and its answer costs a second token.
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
