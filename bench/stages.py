"""Where a request's time goes: the app in one process, one request after another, each part of it timed."""

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
from bench import compare
from config import Settings, with_overrides
from service import db, token_bucket
from snapshots import queries
from tools import local, valkey_server

REQUESTS = 1000
WARM_UP = 100
REST = "Flask and Werkzeug: routing, contexts, request and response"
VIEW = "the view: checks what is asked"
# By the module that the app's hooks are from.
HOOKS = {
    "service.auth": "the token",
    "flask_limiter._extension": "flask-limiter",
    "service.request_parsing": VIEW,
    "service.limits": "headers",
    "service.problems": "headers",
    "service.tracing": "the trace id, the line in the log",
    "service.metrics": "counts for Prometheus",
}
CALLS: dict[str, tuple[Any, str]] = {
    "the bucket: Valkey, its client": (token_bucket.SharedBuckets, "take"),
    "a connection lent and taken back": (db, "read"),
    "psycopg": (queries, "_execute"),
    "PostgreSQL": (db.Connection, "wait"),
}


class Stopwatch:
    """Times parts that call each other. What a part calls is counted to what it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._of_called = [0.0]

    def timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._of_called.append(0.0)
            began = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                taken = time.perf_counter() - began
                self.seconds[part] += taken - self._of_called.pop()
                self._of_called[-1] += taken

        return timed


def measure(database_url: str) -> dict[str, dict[str, float]]:
    """Microseconds of each part, by read: medians."""
    reads = {s.name: s.request for s in compare.scenarios() if s.query and s.rows <= 365}
    watch = Stopwatch()
    with contextlib.ExitStack() as at_last:
        at_last.enter_context(contextlib.redirect_stdout(at_last.enter_context(Path(os.devnull).open("w"))))
        store = at_last.enter_context(valkey_server.running())
        for part, (where, name) in CALLS.items():
            at_last.enter_context(patch.object(where, name, watch.timed(part, getattr(where, name))))
        app = _app(database_url, store.url, watch)
        at_last.callback(close_app, app)
        found = {read: _medians(app, watch, request) for read, request in reads.items()}
    print("\n| Microseconds | " + " | ".join(found) + " |\n" + "| --- " * (len(found) + 1) + "|")
    for part in ("all of it", *sorted(watch.seconds, key=lambda part: -found["list of 30"][part])):
        print(f"| {part} | " + " | ".join(f"{times[part]:.0f}" for times in found.values()) + " |")
    return found


def _app(database_url: str, store_url: str, watch: Stopwatch) -> Flask:
    """The app as it serves, its hooks and views timed."""
    settings = {"DATABASE_URL": database_url, "REDIS_URL": store_url, "JWT_SECRET_KEY": local.secret()}
    app = create_app(Settings.from_env(with_overrides(os.environ, **settings, API_READ_LIMIT="100000000/minute")))
    for hooks in (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs):
        for called in hooks.values():
            called[:] = [watch.timed(HOOKS[getattr(hook, "func", hook).__module__], hook) for hook in called]
    app.view_functions = {name: watch.timed(VIEW, view) for name, view in app.view_functions.items()}
    app.wsgi_app = watch.timed(REST, app.wsgi_app)  # type: ignore[method-assign]
    return app


def _medians(app: Flask, watch: Stopwatch, request: str) -> dict[str, float]:
    head, *fields = request.partition("\r\n\r\n")[0].split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    client = app.test_client()
    times = []
    for number in range(REQUESTS + WARM_UP):
        watch.seconds.clear()
        assert client.get(head.split()[1], headers=headers).status_code == 200
        if number >= WARM_UP:
            times.append({"all of it": sum(watch.seconds.values()), **watch.seconds})
    return {part: round(statistics.median(one[part] for one in times) * 1e6, 1) for part in times[0]}
