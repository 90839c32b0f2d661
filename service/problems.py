"""Errors as RFC 9457 problem details (ruling 13): every answer that is no success goes out from here."""

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

# Werkzeug keeps the phrases of RFC 2616 for these two; ruling 13 and RFC 9110 have others.
_PHRASES = HTTP_STATUS_CODES | {413: "Payload Too Large", 414: "URI Too Long"}

# What a database answers when it is down, overloaded, a read-only standby or not migrated yet, or when an account was
# erased while somebody captured for it. It passes, so the caller is told to come again; any other database error is a
# defect of ours.
_DATABASE_FAULTS = (
    psycopg.OperationalError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.UndefinedTable,
    psycopg.errors.ForeignKeyViolation,
)
RETRY_AFTER_SECONDS = 1

_log = structlog.get_logger(__name__)


class Fault(NamedTuple):
    """What is wrong with one field of a request."""

    field: str
    """A parameter's name, or a JSON pointer (RFC 6901) into the body."""
    message: str


class Refusal(HTTPException):
    """An error that names what is at fault, field by field: 400 (rulings 11, 21) or 409 (rulings 22, 23)."""

    def __init__(self, code: int, detail: str, faults: Iterable[Fault]) -> None:
        super().__init__(detail)
        self.code = code
        self.faults = list(faults)


def title(status: int) -> str:
    """The phrase of an HTTP status."""
    return _PHRASES.get(status, "Unknown Error")


def type_of(status: int, base_url: str) -> str:
    """The URI of a status's problem."""
    return base_url + re.sub(r"[^a-z0-9]+", "_", title(status).lower())


def init_app(app: Flask, base_url: str) -> None:
    """Turns whatever is raised while a request is answered into a problem under `base_url`."""

    @app.after_request
    def _close(response: Response) -> Response:
        # What is answered is one person's money: not for caches, not for framing, not to be taken for a page.
        response.headers["Cache-Control"] = "private, no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        return _problem(base_url, error)

    @app.errorhandler(Exception)
    def _unforeseen(error: Exception) -> Response:
        is_fault = isinstance(error, _DATABASE_FAULTS)
        # Neither message nor arguments: they can hold rows, and so amounts.
        _log.error(
            "database_fault" if is_fault else "unhandled_exception",
            exception=f"{type(error).__module__}.{type(error).__qualname__}",
            sqlstate=getattr(error, "sqlstate", None),
            stack=[f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)],
        )
        if is_fault:
            return _problem(
                base_url,
                ServiceUnavailable("The database cannot answer at the moment.", retry_after=RETRY_AFTER_SECONDS),
            )
        return _problem(base_url, InternalServerError("The service failed to answer; the fault is logged."))


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
