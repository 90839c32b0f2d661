"""How gunicorn serves: threads, because a request mostly waits for PostgreSQL, and one pool a worker."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

from gunicorn import glogging, util

sys.path.insert(0, str(Path(__file__).parent.parent))

from config import Settings
from service.logs import logging_config

# Faulty settings end the master here, with a line each; a worker that failed on them would be started for ever.
_settings = Settings.load()

wsgi_app = "wsgi:app"
bind = f"unix:{_settings.socket}" if _settings.socket else _settings.address
workers = _settings.web_concurrency
threads = _settings.web_threads
worker_class = "gthread"
# Each worker opens its own pool and its own limiter, after the fork.
preload_app = False
control_socket_disable = True
# A heartbeat on a disk can stall a worker.
worker_tmp_dir = "/dev/shm"  # noqa: S108
# Longer than any request takes (service/db.py), and than nginx keeps an idle connection to us.
timeout = 30
graceful_timeout = 20
keepalive = 75
# What is too long for nginx is refused there; what comes this far is taken, but for more headers than the parser holds.
limit_request_line = 8190
limit_request_fields = 32768
logconfig_dict = logging_config(_settings.log_level)


class _Logger(glogging.Logger):
    def access(self, *_args: Any) -> None:
        """Nothing: the service writes the one line a request. The original would prepare another, and drop it."""


logger_class = _Logger

# Each worker counts in files of its own here, and /metrics adds them up. A reload finds the folder of the start.
_OURS = "snapshots-metrics-"
_counts = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or tempfile.mkdtemp(prefix=_OURS)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _counts


def _refuse(connection: Any, status: int, reason: str, _message: str) -> None:
    """What no application sees, in place of gunicorn's page: a problem, or nginx's own where nginx is in front."""
    problem = {
        "type": f"{_settings.problem_base_url}{reason.lower().replace(' ', '_')}",
        "title": reason,
        "status": status,
        "detail": "The request is not well-formed HTTP, or has too many headers.",
        "trace_id": uuid4().hex,
    }
    body = json.dumps(problem).encode()
    head = [
        f"HTTP/1.1 {status} {reason}",
        "Connection: close",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        f"X-Trace-Id: {problem['trace_id']}",
        "X-Accel-Redirect: /.problems/bad_request",
    ]
    util.write_nonblock(connection, "\r\n".join([*head, "", ""]).encode() + body)


util.write_error = _refuse


def on_starting(_server: Any) -> None:
    """Forgets what workers of an earlier start counted."""
    for counts in Path(_counts).glob("*.db"):
        counts.unlink()


def child_exit(_server: Any, worker: Any) -> None:
    """Takes a worker that has ended out of the gauges; its counters go on counting."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - only after the folder is named

    mark_process_dead(worker.pid)


def on_exit(_server: Any) -> None:
    """Leaves no folder of ours behind; one that somebody named is theirs."""
    if Path(_counts).name.startswith(_OURS):
        shutil.rmtree(_counts, ignore_errors=True)
