"""The cost of the rate limit per request: our token bucket compared with flask-limiter's moving window.

The same Flask view is called in process without a limit, with the moving window and flask-limiter's headers, and with
our token bucket and headers. All use one real Valkey, in turns, so that other load on the machine affects all alike.
"""

import statistics
import time
from collections.abc import Callable
from uuid import uuid4

from flask import Blueprint, Flask, g
from flask_limiter import Limiter

from config import Settings
from service import auth, limits
from tools import valkey_server

ROUNDS = 15
REQUESTS = 400
LIMIT = "100000/minute"


def plain(_url: str) -> Flask:
    return _app(lambda _app, _reads: None)


def moving_window(url: str) -> Flask:
    def limit(app: Flask, reads: Blueprint) -> None:
        limiter = Limiter(auth.subject, strategy="moving-window", headers_enabled=True, **limits.storage(url))
        limiter.shared_limit(LIMIT, scope=limits.POLICY)(reads)
        limiter.init_app(app)

    return _app(limit)


def token_bucket(url: str) -> Flask:
    settings = Settings.from_env(
        {"DATABASE_URL": "postgresql://", "JWT_SECRET_KEY": "-" * 32, "API_READ_LIMIT": LIMIT, "REDIS_URL": url}
    )
    return _app(lambda app, reads: limits.init_app(app, settings, reads))


def _app(limit: Callable[[Flask, Blueprint], None]) -> Flask:
    app = Flask(__name__)
    reads = Blueprint("reads", __name__)
    reads.get("/")(lambda: "")
    subject = str(uuid4())

    @app.before_request
    def authenticate() -> None:
        g.subject = subject

    limit(app, reads)
    app.register_blueprint(reads)
    return app


def _time(app: Flask) -> float:
    """Return the microseconds per request."""
    client = app.test_client()
    started_at = time.perf_counter()
    for _ in range(REQUESTS):
        assert client.get("/").status_code == 200
    return (time.perf_counter() - started_at) / REQUESTS * 1e6


def measure() -> dict[str, float]:
    """Return the median microseconds per request, by limiter."""
    with valkey_server.running() as server:
        factories = {"no limit": plain, "moving window": moving_window, "token bucket": token_bucket}
        apps = {name: create(server.url) for name, create in factories.items()}
        for app in apps.values():
            _time(app)
        times: dict[str, list[float]] = {name: [] for name in apps}
        for _ in range(ROUNDS):
            for name, app in apps.items():
                times[name].append(_time(app))
    medians = {name: round(statistics.median(samples)) for name, samples in times.items()}
    print("\n| Limiter | Microseconds per request | Cost of the limit |\n| --- | --- | --- |")
    for name, median in medians.items():
        print(f"| {name} | {median} | {median - medians['no limit']} |")
    return {name: float(median) for name, median in medians.items()}
