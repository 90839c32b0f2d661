"""Logs as JSON, one line an event, on standard output: ours and those of every library."""

import logging.config
from typing import Any

import structlog

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
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
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    structlog.processors.JSONRenderer(),
                ],
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
            # Gunicorn's own handlers print plain text.
            "gunicorn.error": {"level": level, "handlers": [], "propagate": True},
            # The limiter's line about a refusal says no more than the line of the request.
            "flask-limiter": {"level": "WARNING"},
            # Psycopg sets a level of its own where none is set.
            "psycopg": {"level": "ERROR" if level == "ERROR" else "WARNING"},
        },
    }


def configure(level: str) -> None:
    """Sets up logging for this process."""
    logging.config.dictConfig(logging_config(level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
