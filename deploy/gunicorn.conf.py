"""Gunicorn settings: threads, because requests mostly wait for PostgreSQL, and one connection pool per worker."""

import gc
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from http import HTTPStatus
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from gunicorn import glogging, util
from gunicorn.http import errors, wsgi
from gunicorn.workers.gthread import ThreadWorker

sys.path.insert(0, str(Path(__file__).parent.parent))

from config import Settings
from service.logs import logging_config

# Invalid settings stop the master here. A worker that stopped because of them would be restarted forever.
_settings = Settings.load()

wsgi_app = "wsgi:app"
bind = f"unix:{_settings.socket}" if _settings.socket else _settings.address
workers = _settings.workers
threads = _settings.web_threads
# Each worker opens its own connections, after the fork.
preload_app = False
control_socket_disable = True
# A heartbeat file on a disk can stall a worker.
worker_tmp_dir = "/dev/shm"  # noqa: S108
# Longer than any request takes (service/db.py).
timeout = 30
graceful_timeout = 20
# Longer than nginx keeps an idle connection to gunicorn.
keepalive = 75
# nginx enforces the limits; these are the highest that gunicorn offers.
limit_request_line = 8190
limit_request_fields = 32768
# By default gunicorn lets any peer on this host set SCRIPT_NAME and PATH_INFO by headers.
forwarder_headers = ""
logconfig_dict = logging_config(_settings.log_level)


class _Logger(glogging.Logger):
    def access(self, *_args: Any) -> None:
        """Do nothing. The service logs each request; gunicorn would format a line only to discard it."""


logger_class = _Logger

# Each worker writes its metrics to files here, and /metrics adds them up. A reload keeps the folder.
_METRICS_PREFIX = "snapshots-metrics-"
_metrics_folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or tempfile.mkdtemp(prefix=_METRICS_PREFIX)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics_folder


class _Response(wsgi.Response):
    """Response that sends its head together with its body, in one call and one packet instead of two."""

    _head = b""

    def write(self, arg: bytes) -> None:
        if arg and self.response_length and not self.headers_sent and not self._omits_body:
            lines = [*self.default_headers(), *(f"{name}: {value}\r\n" for name, value in self.headers), "\r\n"]
            self._head = "".join(lines).encode("latin-1")
            self.headers_sent = True
        super().write(arg)

    def _emit_body(self, data: bytes) -> None:
        head, self._head = self._head, b""
        super()._emit_body(head + data)


wsgi.Response = _Response


class _Worker(ThreadWorker):
    early_signals: SimpleQueue[int]

    def init_signals(self) -> None:
        """Stop if a signal to stop arrived before the worker could handle it.

        Until then the worker has the master's handlers, which put signals into its copy of the master's queue, and
        gunicorn never reads that copy. The master would wait for graceful_timeout and then kill the worker.
        """
        super().init_signals()
        while not self.early_signals.empty():
            if self.early_signals.get() in {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}:
                self.alive = False

    def handle_error(self, _req: Any, client: Any, _addr: Any, exc: Exception) -> None:
        """Send a problem document, instead of gunicorn's HTML page, if the application has not responded.

        Gunicorn's own method would also log the URL with its query string.
        """
        if isinstance(exc, errors.ParseException):
            status = HTTPStatus.BAD_REQUEST
            detail = "The request is not well-formed HTTP, or has too many headers."
            self.log.warning("Refused a request: %s", type(exc).__name__)
        else:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            detail = "An unexpected error occurred. It has been logged."
            stack = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(exc.__traceback__)]
            self.log.error("Failed to respond to a request: %s", type(exc).__name__, extra={"stack": stack})
        try:
            util.write_nonblock(client, _problem(status, detail))
        except OSError:
            self.log.debug("The client had closed the connection.")

    # SIGINT and SIGQUIT stop a worker like SIGTERM. Gunicorn's own handler shuts down the thread pool, and deadlocks if
    # the signal arrives while a request is being handed to the pool: about once in 30 exits.
    handle_quit = ThreadWorker.handle_exit


worker_class = _Worker


def _problem(status: HTTPStatus, detail: str) -> bytes:
    problem = {
        "type": f"{_settings.problem_base_url}{status.phrase.lower().replace(' ', '_')}",
        "title": status.phrase,
        "status": status,
        "detail": detail,
        "trace_id": uuid4().hex,
    }
    body = json.dumps(problem).encode()
    head = [
        f"HTTP/1.1 {status} {status.phrase}",
        "Connection: close",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        f"X-Trace-Id: {problem['trace_id']}",
    ]
    if status == HTTPStatus.BAD_REQUEST:
        # nginx responds with its own problem document, which has the trace id of its access log.
        head.append("X-Accel-Redirect: /.problems/bad_request")
    return "\r\n".join([*head, "", ""]).encode() + body


def on_starting(_server: Any) -> None:
    """Load the modules of the app, and delete the metrics files that earlier workers left.

    A reload ends the old workers at once. The new ones inherit these modules, and so begin to serve
    before requests have waited too long, even on a busy machine.
    """
    import app  # noqa: F401, PLC0415 - reads PROMETHEUS_MULTIPROC_DIR

    # Otherwise the first full garbage collection of each worker would write to these objects, and so copy them.
    gc.freeze()

    for file in Path(_metrics_folder).glob("*.db"):
        file.unlink()


def post_fork(server: Any, worker: _Worker) -> None:
    """Give a worker its copy of the master's queue of signals."""
    worker.early_signals = server.SIG_QUEUE


def child_exit(_server: Any, worker: Any) -> None:
    """Remove the gauges of a worker that has exited; its counters stay."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - reads PROMETHEUS_MULTIPROC_DIR

    mark_process_dead(worker.pid)


def on_exit(_server: Any) -> None:
    """Delete the metrics folder, unless PROMETHEUS_MULTIPROC_DIR named it."""
    if Path(_metrics_folder).name.startswith(_METRICS_PREFIX):
        shutil.rmtree(_metrics_folder, ignore_errors=True)
