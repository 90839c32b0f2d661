"""What comes in: loaded by a marshmallow schema, or refused with a 400 that names every fault (ruling 11)."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import marshmallow as ma
from flask import Flask, Response, current_app, request
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from service.problems import Fault, Refusal

# Of a body that nobody wanted, so much is read; the proxy in front lets less than that come.
_MOST_UNWANTED_BYTES = 4 * 1024 * 1024
_READ_BYTES = 64 * 1024


def init_app(app: Flask) -> None:
    """Reads a body that nobody wanted to its end, before the request is answered.

    Else gunicorn looks for that end when the answer is out. What the caller, who has his answer, sends next on the
    connection can be read along with it, and would then never be answered.
    """

    @app.after_request
    def _finish_body(response: Response) -> Response:
        if request.content_length or "Transfer-Encoding" in request.headers:
            body = request.environ["wsgi.input"]
            # Where it breaks off, gunicorn closes the connection.
            with contextlib.suppress(Exception):
                for _ in range(_MOST_UNWANTED_BYTES // _READ_BYTES):
                    if not body.read(_READ_BYTES):
                        break
        return response


def query(schema: ma.Schema) -> dict[str, Any]:
    """The request's query parameters, each given at most once."""
    given = request.args.to_dict(flat=False)
    faults = [Fault(name, "Must be given once.") for name, values in given.items() if len(values) > 1]
    loaded: dict[str, Any] = {}
    try:
        loaded = schema.load({name: values[0] for name, values in given.items()})
    except ma.ValidationError as error:
        repeated = {fault.field for fault in faults}
        faults += [fault for fault in _faults(error.messages_dict) if fault.field not in repeated]
    if faults:
        raise Refusal(400, "The query is not valid.", faults)
    return loaded


def json_body(schema: ma.Schema) -> Any:
    """The request's body, JSON in UTF-8 (RFC 8259), loaded; else 415, 413 or 400, in that order (ruling 10)."""
    if not request.is_json or request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType("Send the body as application/json, not compressed.")
    body = _body()
    try:
        document = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except _MalformedJsonError as error:
        raise BadRequest(str(error)) from None
    except (ValueError, RecursionError):
        raise BadRequest("The body is not well-formed JSON in UTF-8.") from None
    try:
        return schema.load(document)
    except ma.ValidationError as error:
        raise Refusal(400, "The body is not valid.", _pointed(error.messages_dict, document)) from None


def _body() -> bytes:
    """The whole body. Raises RequestEntityTooLarge beyond the app's MAX_CONTENT_LENGTH, BadRequest when it breaks off.

    Werkzeug refuses a Content-Length beyond the limit, but cuts a chunked body off at it.
    """
    most = current_app.config["MAX_CONTENT_LENGTH"]
    request.max_content_length = most + 1
    try:
        body = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception as error:  # A server's own errors about chunks that are none.
        raise BadRequest("The body could not be read.") from error
    if len(body) > most:
        raise RequestEntityTooLarge
    return body


class _MalformedJsonError(ValueError):
    """What the JSON parser takes and RFC 8259 does not, or leaves open."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _MalformedJsonError("The body has an object that names a member twice.")
    return members


def _constant(name: str) -> None:
    raise _MalformedJsonError(f"The body holds {name}, which is not JSON.")


def _faults(messages: dict[str, Any]) -> Iterator[Fault]:
    for field, field_messages in messages.items():
        for message in field_messages:
            yield Fault(field, message)


def _pointed(messages: Any, document: Any, pointer: str = "") -> Iterator[Fault]:
    """The messages about a document, each with the JSON pointer (RFC 6901) to what it is about."""
    if isinstance(messages, dict):
        for key, nested in messages.items():
            # A message about the whole has the key that a member of that name would have.
            if key == ma.exceptions.SCHEMA and not (isinstance(document, dict) and key in document):
                yield from _pointed(nested, document, pointer)
            else:
                token = str(key).replace("~", "~0").replace("/", "~1")
                member = document[key] if isinstance(document, list) else document.get(key)
                yield from _pointed(nested, member, f"{pointer}/{token}")
    else:
        for message in messages:
            yield Fault(pointer, message)
