"""Logs as JSON, one line an event, on standard output: ours and those of every library."""

import contextlib
import json
import logging.config
import sys
import threading
from typing import Any, TextIO

import structlog

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
]
# Kept, because json.dumps makes an encoder anew where it is given a default.
_encode = json.JSONEncoder(default=repr).encode
_RENDERING: list[Any] = [
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(serializer=lambda event, **_: _encode(event)),
]


def logging_config(level: str) -> dict[str, Any]:
    """What `logging.config.dictConfig` takes; gunicorn is given the same."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [*_SHARED, structlog.stdlib.ExtraAdder()],
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_RENDERING],
            }
        },
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "json",
            }
        },
        "root": {"level": level, "handlers": ["stdout"]},
        "loggers": {
            # Gunicorn's own handlers print plain text, and its debug lines hold whole requests, tokens included.
            "gunicorn.error": {"level": "INFO" if level == "DEBUG" else level, "handlers": [], "propagate": True},
            # The limiter's line about a refusal says no more than the line of the request.
            "flask-limiter": {"level": "WARNING"},
            # Psycopg sets a level of its own where none is set.
            "psycopg": {"level": "ERROR" if level == "ERROR" else "WARNING"},
        },
    }


def configure(level: str) -> None:
    """Sets up logging for this process. What we log ourselves goes straight out: a line a request is to cost little."""
    logging.config.dictConfig(logging_config(level))
    _Output.stream = sys.stdout
    structlog.configure(
        processors=[*_SHARED, *_RENDERING],
        logger_factory=_Output,
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )


class _Output:
    """Standard output, a line an event. A disk that is full, or a reader that has gone, fails no request."""

    stream: TextIO
    _lock = threading.Lock()

    def __init__(self, name: str) -> None:
        self.name = name

    def msg(self, line: str) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            self.stream.write(f"{line}\n")
            self.stream.flush()

    debug = info = warning = error = critical = msg
