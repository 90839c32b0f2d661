"""Logs as JSON, one line per event, for our own events and those of all libraries.

The service logs to standard output. Commands log to standard error, because standard output holds their result.
"""

import contextlib
import json
import logging.config
import sys
import threading
from typing import Any, Literal, TextIO

import structlog
from flask import g, has_request_context

Stream = Literal["stdout", "stderr"]


def _add_trace_id(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Add the trace id of the current request (service/tracing.py), if there is one."""
    if has_request_context() and "trace_id" in g:
        event["trace_id"] = g.trace_id
    return event


_SHARED: list[Any] = [
    _add_trace_id,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
]
# json.dumps would create an encoder on each call that passes a default.
_encode = json.JSONEncoder(default=repr).encode
_RENDERING: list[Any] = [
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(serializer=lambda event, **_: _encode(event)),
]


def logging_config(level: str, stream: Stream = "stdout") -> dict[str, Any]:
    """Return the configuration for `logging.config.dictConfig`, which gunicorn uses too."""
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
            "stream": {
                "class": "logging.StreamHandler",
                "stream": f"ext://sys.{stream}",
                "formatter": "json",
            }
        },
        "root": {"level": level, "handlers": ["stream"]},
        "loggers": {
            # Gunicorn's own handlers print plain text; its debug lines can contain partial requests, tokens included.
            "gunicorn.error": {"level": "INFO" if level == "DEBUG" else level, "handlers": [], "propagate": True},
            # psycopg sets its own level if none is set.
            "psycopg": {"level": "ERROR" if level == "ERROR" else "WARNING"},
        },
    }


def configure(level: str, stream: Stream = "stdout") -> None:
    """Set up logging for this process. Our own events bypass the standard library, which is slower."""
    logging.config.dictConfig(logging_config(level, stream))
    _Output.stream = getattr(sys, stream)
    structlog.configure(
        processors=[*_SHARED, *_RENDERING],
        logger_factory=_Output,
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )


class _Output:
    """Logger that writes one line per event to the stream. A full disk or a closed pipe makes no request fail."""

    stream: TextIO
    _lock = threading.Lock()

    def __init__(self, name: str) -> None:
        self.name = name

    def msg(self, line: str) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            self.stream.write(f"{line}\n")
            self.stream.flush()

    debug = info = warning = error = critical = msg
