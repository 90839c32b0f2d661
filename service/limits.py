"""How often a user may ask (rulings 17 and 18): flask-limiter, keyed by the verified subject."""

import math
import time

from flask import Blueprint, Flask, Response
from flask_limiter import Limiter

from config import Settings
from service import auth

POLICY = "API_READ"


def init_app(app: Flask, settings: Settings, reads: Blueprint) -> None:
    """Limits the routes of a blueprint together, a user. Registered after authentication, before any view."""
    limiter = Limiter(
        auth.subject,
        strategy="moving-window",
        storage_uri=_storage_uri(settings.redis_url),
        in_memory_fallback_enabled=True,
    )
    limiter.shared_limit(settings.api_read_limit, scope=POLICY)(reads)

    @app.after_request
    def _headers(response: Response) -> Response:
        # Not the limiter's own headers: they put Retry-After on every answer.
        limit = limiter.current_limit
        if limit is not None:
            response.headers["X-RateLimit-Limit"] = str(limit.limit.amount)
            response.headers["X-RateLimit-Remaining"] = str(limit.remaining)
            reset = limit.window.reset_time
            response.headers["X-RateLimit-Reset"] = str(math.ceil(reset))
            if limit.breached:
                response.headers["Retry-After"] = str(max(1, math.ceil(reset - time.time())))
        return response

    limiter.init_app(app)


def _storage_uri(redis_url: str | None) -> str:
    """The limiter's name for the store: its client for Valkey speaks to Redis alike."""
    if redis_url is None:
        return "memory://"
    return redis_url.replace("rediss://", "valkeys://").replace("redis", "valkey", 1)
