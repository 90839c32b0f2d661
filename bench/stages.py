"""Where a request's time goes: the app in one process, one request after another, each part timed."""

import contextlib
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flask import Flask

from app import close_app, create_app
from bench.scenarios import scenarios
from config import Settings, with_overrides
from service import connection, db, token_bucket
from snapshots import queries
from tools import local, valkey_server

READS = ("latest, 8 accounts", "list of 30", "history of 30", "history of 365")
REQUESTS = 1000
WARM_UP = 100
REST = "Flask and Werkzeug: routing, contexts, request and response"
VIEW = "View: validates the parameters"
STORE = "Token bucket: Valkey and its client"
DATABASE = "PostgreSQL"
# The part that each hook of the app belongs to, by the hook's module.
HOOKS = {
    "service.auth": "Token",
    "service.request_parsing": VIEW,
    "service.limits": "Rate limit and its headers",
    "service.problems": "Headers",
    "service.tracing": "Trace id and log line",
    "service.metrics": "Prometheus counters",
    "service.compression": "Headers",
    "service.cors": "Headers",
}
CALLS: dict[str, tuple[Any, str]] = {
    STORE: (token_bucket.SharedBuckets, "take"),
    "Connection checkout and checkin": (db, "read"),
    "psycopg": (queries, "execute"),
    "PostgreSQL": (connection.Connection, "wait"),
}


class Stopwatch:
    """Timer of parts that call each other: the time of a call counts only for the part that is called."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._nested = [0.0]

    def timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._nested.append(0.0)
            started_at = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                elapsed = time.perf_counter() - started_at
                self.seconds[part] += elapsed - self._nested.pop()
                self._nested[-1] += elapsed

        return timed


def measure(database_url: str) -> dict[str, dict[str, float]]:
    """Return the median microseconds of each part, by read."""
    reads = {s.name: s.request for s in scenarios() if s.name in READS}
    watch = Stopwatch()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(stack.enter_context(Path(os.devnull).open("w"))))
        store = stack.enter_context(valkey_server.running())
        for part, (owner, name) in CALLS.items():
            stack.enter_context(patch.object(owner, name, watch.timed(part, getattr(owner, name))))
        app = _app(database_url, store.url, watch)
        stack.callback(close_app, app)
        return {read: _medians(app, watch, request) for read, request in reads.items()}


def _app(database_url: str, store_url: str, watch: Stopwatch) -> Flask:
    """Create the app of the service with its hooks and views timed."""
    settings = {"DATABASE_URL": database_url, "REDIS_URL": store_url, "JWT_SECRET_KEY": local.secret()}
    app = create_app(Settings.from_env(with_overrides(os.environ, **settings, API_READ_LIMIT="100000000/minute")))
    for hooks in (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs):
        for registered in hooks.values():
            registered[:] = [watch.timed(HOOKS[getattr(hook, "func", hook).__module__], hook) for hook in registered]
    app.view_functions = {name: watch.timed(VIEW, view) for name, view in app.view_functions.items()}
    app.wsgi_app = watch.timed(REST, app.wsgi_app)  # type: ignore[method-assign]
    return app


def _medians(app: Flask, watch: Stopwatch, request: str) -> dict[str, float]:
    request_line, *fields = request.partition("\r\n\r\n")[0].split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    client = app.test_client()
    times = []
    for number in range(REQUESTS + WARM_UP):
        watch.seconds.clear()
        assert client.get(request_line.split()[1], headers=headers).status_code == 200
        if number >= WARM_UP:
            total = sum(watch.seconds.values())
            share = total - watch.seconds[STORE] - watch.seconds[DATABASE]
            times.append({"Total": total, "Python's share": share, **watch.seconds})
    return {part: round(statistics.median(sample[part] for sample in times) * 1e6, 1) for part in times[0]}
