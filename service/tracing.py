"""Trace ids (rule 14): one per request, in its log lines, its problem documents and its X-Trace-Id header."""

import re
import time
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request

# https://www.w3.org/TR/trace-context/#traceparent-header; later versions may add fields after the flags.
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    r"(?P<rest>-.*)?"
)
_TRACE_ID = re.compile(r"[A-Za-z0-9-]{1,64}")

# The proxy and the service share the host's clock, so a longer time in the queue is an error and is ignored.
_MAX_QUEUE_SECONDS = 60.0

_log = structlog.get_logger(__name__)


def init_app(app: Flask, *, is_behind_proxy: bool) -> None:
    """Give every request a trace id, and log the request. Call this before other modules add their hooks."""

    @app.before_request
    def _begin() -> None:
        g.started_at = time.perf_counter()
        g.queue_seconds = _queue_seconds() if is_behind_proxy else None
        g.received_at = time.monotonic() - (g.queue_seconds or 0)
        g.trace_id = _requested_trace_id() or uuid4().hex

    @app.after_request
    def _end(response: Response) -> Response:
        response.headers["X-Trace-Id"] = g.trace_id
        # Without the query string, into which somebody may have pasted a secret.
        _log.log(
            40 if response.status_code >= 500 else 20,
            "request",
            client=request.remote_addr,
            method=request.method,
            path=request.path,
            route=request.url_rule.rule if request.url_rule else None,
            status=response.status_code,
            subject=g.get("subject"),
            # The PostgreSQL process that ran its statements: %p in log_line_prefix, pid in pg_stat_activity.
            db_pid=g.get("db_pid"),
            # The host of that process, unless it is the primary's.
            **({"standby": g.standby} if "standby" in g else {}),
            duration_ms=round((time.perf_counter() - g.started_at) * 1000, 3),
        )
        return response


def trace_id() -> str:
    """Return the trace id of the current request."""
    return str(g.trace_id)


def received_at() -> float:
    """Return the monotonic time at which the current request was received in full, by the proxy if there is one."""
    return float(g.received_at)


def queue_seconds() -> float | None:
    """Return the seconds that the current request waited between the proxy and a thread; None if unknown."""
    seconds: float | None = g.queue_seconds
    return seconds


def _queue_seconds() -> float | None:
    try:
        seconds = time.time() - float(request.headers.get("X-Request-Start", ""))
    except ValueError:
        return None
    # The proxy rounds to milliseconds, so a time may lie up to 1 ms in the future.
    return max(seconds, 0) if -0.001 <= seconds < _MAX_QUEUE_SECONDS else None


def _requested_trace_id() -> str | None:
    parent = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    if parent and not (parent["version"] == "00" and parent["rest"]):
        return parent["trace"]
    header = request.headers.get("X-Trace-Id", "")
    return header if _TRACE_ID.fullmatch(header) else None
