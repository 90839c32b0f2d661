"""One id for each request (rule 14): in its log lines, its problems and its X-Trace-Id header."""

import re
import time
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request

# https://www.w3.org/TR/trace-context/#traceparent-header; later versions may say more after the flags.
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    r"(?P<rest>-.*)?"
)
_TRACE_ID = re.compile(r"[A-Za-z0-9-]{1,64}")

_log = structlog.get_logger(__name__)


# Clocks of one host do not differ; what claims to be older than this is not believed.
_LONGEST_QUEUE_SECONDS = 60.0


def init_app(app: Flask, *, is_behind_proxy: bool) -> None:
    """Gives every request its id and its line in the log; first of the hooks, so that it sees them all."""

    @app.before_request
    def _begin() -> None:
        g.started = time.perf_counter()
        g.queue_seconds = _queue_seconds() if is_behind_proxy else None
        g.arrived = time.monotonic() - (g.queue_seconds or 0)
        g.trace_id = _incoming() or uuid4().hex
        structlog.contextvars.bind_contextvars(trace_id=g.trace_id)

    @app.teardown_request
    def _forget(_error: BaseException | None) -> None:
        structlog.contextvars.clear_contextvars()

    @app.after_request
    def _end(response: Response) -> Response:
        response.headers["X-Trace-Id"] = g.trace_id
        # The path without its query: a query may hold what somebody pasted there by mistake.
        _log.log(
            40 if response.status_code >= 500 else 20,
            "request",
            client=request.remote_addr,
            method=request.method,
            path=request.path,
            route=request.url_rule.rule if request.url_rule else None,
            status=response.status_code,
            subject=g.get("subject"),
            # The server process that ran its statements: %p of PostgreSQL's log_line_prefix, pid in pg_stat_activity.
            db_pid=g.get("db_pid"),
            duration_ms=round((time.perf_counter() - g.started) * 1000, 3),
        )
        return response


def trace_id() -> str:
    """The id of the request being answered."""
    return str(g.trace_id)


def arrived() -> float:
    """When the request being answered had come in whole, by the monotonic clock: at the proxy, if there is one."""
    return float(g.arrived)


def queue_seconds() -> float | None:
    """Seconds that the request being answered waited behind the proxy for a thread; None where nobody knows."""
    seconds: float | None = g.queue_seconds
    return seconds


def _queue_seconds() -> float | None:
    try:
        seconds = time.time() - float(request.headers.get("X-Request-Start", ""))
    except ValueError:
        return None
    # The proxy's clock counts in milliseconds.
    return max(seconds, 0) if -0.001 <= seconds < _LONGEST_QUEUE_SECONDS else None


def _incoming() -> str | None:
    parent = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    if parent and not (parent["version"] == "00" and parent["rest"]):
        return parent["trace"]
    given = request.headers.get("X-Trace-Id", "")
    return given if _TRACE_ID.fullmatch(given) else None
