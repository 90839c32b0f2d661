"""Errors as RFC 9457 problem details (rule 13): all error responses of the app are built here."""

import re
import traceback
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

import psycopg
import structlog
from flask import Flask, Response, json, request
from werkzeug.exceptions import HTTPException, InternalServerError, ServiceUnavailable
from werkzeug.http import HTTP_STATUS_CODES

from service import tracing

# Werkzeug has the phrases of RFC 2616 for these two, instead of those of RFC 7231.
_PHRASES = HTTP_STATUS_CODES | {413: "Payload Too Large", 414: "URI Too Long"}

# Errors of a database that is down, overloaded, a read-only standby or not migrated yet. They are temporary, so the
# client is told to retry; any other database error is a defect of the service.
_TEMPORARY_DATABASE_ERRORS = (
    psycopg.OperationalError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.UndefinedTable,
)
RETRY_AFTER_SECONDS = 1

_log = structlog.get_logger(__name__)


class Fault(NamedTuple):
    """An error in one field of a request."""

    field: str
    """A parameter's name, or a JSON pointer (RFC 6901) into the body."""
    message: str


class Refusal(HTTPException):
    """An error that names the fields at fault: 400 (rules 11, 21) or 409 (rules 22, 23, 32)."""

    def __init__(self, code: int, detail: str, faults: Iterable[Fault]) -> None:
        super().__init__(detail)
        self.code = code
        self.faults = list(faults)


def title(status: int) -> str:
    """Return the phrase of an HTTP status."""
    return _PHRASES.get(status, "Unknown Error")


def type_of(status: int, base_url: str) -> str:
    """Return the problem type of an HTTP status."""
    return base_url + re.sub(r"[^a-z0-9]+", "_", title(status).lower())


def init_app(app: Flask, base_url: str) -> None:
    """Turn every exception that a request raises into a problem, with a type under `base_url`."""

    @app.after_request
    def _set_security_headers(response: Response) -> Response:
        # Responses contain a person's finances: they must not be cached, framed or interpreted as a page. Public
        # views set their own headers.
        response.headers.setdefault("Cache-Control", "private, no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        return _problem(base_url, error)

    @app.errorhandler(Exception)
    def _unexpected(error: Exception) -> Response:
        is_temporary = isinstance(error, _TEMPORARY_DATABASE_ERRORS)
        # Without the message and the arguments, which can contain rows.
        _log.error(
            "database_fault" if is_temporary else "unhandled_exception",
            exception=f"{type(error).__module__}.{type(error).__qualname__}",
            sqlstate=getattr(error, "sqlstate", None),
            stack=[f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)],
        )
        if is_temporary:
            return _problem(
                base_url,
                ServiceUnavailable("The database is temporarily unavailable.", retry_after=RETRY_AFTER_SECONDS),
            )
        return _problem(base_url, InternalServerError("An unexpected error occurred. It has been logged."))


def _problem(base_url: str, error: HTTPException) -> Response:
    status = error.code or 500
    body = {
        "type": type_of(status, base_url),
        "title": title(status),
        "status": status,
        "detail": error.description or title(status),
        "instance": quote(request.path),
        "trace_id": tracing.trace_id(),
    }
    if isinstance(error, Refusal):
        body["errors"] = [fault._asdict() for fault in error.faults]
    headers = [pair for pair in error.get_headers() if pair[0] != "Content-Type"]
    return Response(json.dumps(body), status, headers, content_type="application/problem+json")
