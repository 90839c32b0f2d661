"""GET /metrics: the metrics of all workers, for Prometheus. Only the scraper should be able to reach it."""

import os
import time

from flask import Blueprint, Flask, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from service import tracing
from service.auth import public

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from the arrival of a request, at the proxy if there is one, to its response.",
    ["method", "route", "status"],
    buckets=_BUCKETS,
)
_QUEUE = Histogram(
    "http_request_queue_seconds",
    "Time that a request waited for a thread, from its arrival at the proxy.",
    buckets=_BUCKETS,
)
_IN_FLIGHT = Gauge("http_requests_in_flight", "Requests that occupy a thread.", multiprocess_mode="livesum")
_THREADS = Gauge("http_threads", "Threads that serve requests.", multiprocess_mode="livesum")
_FAILURES = (500, 503)

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
@public
def metrics() -> Response:
    """Return the metrics of all workers under gunicorn (deploy/gunicorn.conf.py), of this process otherwise."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def init_app(app: Flask, *, threads: int) -> None:
    """Time every request. Requests without a route share one series per status, so that callers cannot create more."""
    _THREADS.set(threads)

    @app.before_request
    def _enter() -> None:
        _IN_FLIGHT.inc()
        queue_seconds = tracing.queue_seconds()
        if queue_seconds is not None:
            _QUEUE.observe(queue_seconds)

    @app.teardown_request
    def _leave(_error: BaseException | None) -> None:
        _IN_FLIGHT.dec()

    @app.after_request
    def _observe(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "none"
        method = request.method if request.url_rule else "none"
        _DURATION.labels(method, route, response.status_code).observe(time.monotonic() - tracing.received_at())
        return response


def start_at_zero(app: Flask) -> None:
    """Create the series of failures at zero: Prometheus sees no increase when a series appears with a count of 1."""
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD"}:
            for status in _FAILURES:
                _DURATION.labels(method, rule.rule, status)
