"""Request parsing: marshmallow schemas load queries and bodies, or reject them with a 400 that lists every fault.

The decorators of a view validate from top to bottom (rule 10).
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec

import marshmallow as ma
from flask import Flask, Response, current_app, request
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from service import compression, strict_json
from service.problems import Fault, Refusal
from service.strict_json import MalformedJsonError

# Bytes drained at most from an unread body; the proxy lets fewer through.
MAX_DRAINED_BYTES = 2 * 1024 * 1024
# Per route. A valid query takes a few hundred bytes.
MAX_CACHED_QUERIES = 256

P = ParamSpec("P")


def init_app(app: Flask) -> None:
    """Drain an unread request body before the response goes out.

    Otherwise gunicorn drains it after the response. If the client then sends the rest of the body and its next request
    together, gunicorn swallows that request too: 20 of 20 such requests were never answered.
    """

    @app.after_request
    def _drain_body(response: Response) -> Response:
        # If the body is incomplete, gunicorn closes the connection.
        with contextlib.suppress(Exception):
            request.environ["wsgi.input"].read(MAX_DRAINED_BYTES)
        return response


def query_parameters(
    schema_type: type[ma.Schema],
) -> Callable[[Callable[Concatenate[Any, P], Response]], Callable[P, Response]]:
    """Load the query with a schema and pass the result to the view as its first argument; 400 if it is invalid.

    The loaded value is cached, so it must be immutable and depend on the query alone. Most requests repeat a query,
    often an empty one: the cache saves 7 % of a short read's processor time.
    """
    schema = schema_type()

    @lru_cache(MAX_CACHED_QUERIES)
    def load(_query: bytes) -> Any:
        return _load_query(schema)

    def decorate(view: Callable[Concatenate[Any, P], Response]) -> Callable[P, Response]:
        decorated = _pass_loaded(lambda: load(request.query_string), view)
        decorated.query_schema = schema  # type: ignore[attr-defined]
        return decorated

    return decorate


def no_query_parameters(view: Callable[P, Response]) -> Callable[P, Response]:
    """Reject any query parameter with a 400."""
    schema = ma.Schema()

    @wraps(view)
    def check_and_call(*args: P.args, **kwargs: P.kwargs) -> Response:
        _load_query(schema)
        return view(*args, **kwargs)

    check_and_call.query_schema = schema  # type: ignore[attr-defined]
    return check_and_call


def json_body(
    schema_type: type[ma.Schema],
) -> Callable[[Callable[Concatenate[Any, P], Response]], Callable[P, Response]]:
    """Load the body with a schema and pass the result to the view as its first argument; else 415, 413 or 400.

    The body is JSON in UTF-8 (RFC 8259), and may be gzipped.
    """
    schema = schema_type()

    def decorate(view: Callable[Concatenate[Any, P], Response]) -> Callable[P, Response]:
        decorated = _pass_loaded(lambda: _load_body(schema), view)
        decorated.body_schema = schema_type  # type: ignore[attr-defined]
        return decorated

    return decorate


def _pass_loaded(load: Callable[[], Any], view: Callable[Concatenate[Any, P], Response]) -> Callable[P, Response]:
    """Return the view with its first argument filled in by `load` on each request."""

    @wraps(view)
    def load_and_call(*args: P.args, **kwargs: P.kwargs) -> Response:
        return view(load(), *args, **kwargs)

    return load_and_call


def _load_query(schema: ma.Schema) -> Any:
    values_by_name = request.args.to_dict(flat=False)
    faults = [Fault(name, "Must be given only once.") for name, values in values_by_name.items() if len(values) > 1]
    loaded = None
    try:
        loaded = schema.load({name: values[0] for name, values in values_by_name.items()})
    except ma.ValidationError as error:
        repeated = {fault.field for fault in faults}
        faults += [fault for fault in _faults(error.messages_dict) if fault.field not in repeated]
    if faults:
        raise Refusal(400, "The query is not valid.", faults)
    return loaded


def _load_body(schema: ma.Schema) -> Any:
    if not request.is_json:
        raise UnsupportedMediaType("Send the body as application/json.")
    is_compressed = compression.is_compressed()
    maximum = current_app.config["MAX_CONTENT_LENGTH"]
    try:
        body = _read_body(maximum)
        if is_compressed:
            body = compression.decompress(body, maximum)
    except RequestEntityTooLarge:
        # Werkzeug's own text does not name the limit.
        raise RequestEntityTooLarge(f"The body has more than {maximum:,} bytes, as sent or decompressed.") from None
    try:
        document = strict_json.loads(body.decode())
    except MalformedJsonError as error:
        raise BadRequest(f"The body {error}.") from None
    except (ValueError, RecursionError):
        raise BadRequest("The body is not well-formed JSON in UTF-8.") from None
    try:
        return schema.load(document)
    except ma.ValidationError as error:
        raise Refusal(400, "The body is not valid.", _with_pointers(error.messages_dict, document)) from None


def _read_body(maximum: int) -> bytes:
    """Read the whole body.

    Raises RequestEntityTooLarge beyond `maximum` bytes, BadRequest if the body is incomplete. Werkzeug rejects a
    Content-Length beyond the limit, but truncates a chunked body to it.
    """
    request.max_content_length = maximum + 1
    try:
        body = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception as error:  # gunicorn's own errors about malformed chunks.
        raise BadRequest("The body could not be read.") from error
    if len(body) > maximum:
        raise RequestEntityTooLarge
    return body


def _faults(messages: dict[str, Any]) -> Iterator[Fault]:
    for field, field_messages in messages.items():
        for message in field_messages:
            yield Fault(field, message)


def _with_pointers(messages: Any, document: Any, pointer: str = "") -> Iterator[Fault]:
    """Yield a document's faults, each with the JSON pointer (RFC 6901) of the value at fault."""
    if isinstance(messages, dict):
        for key, nested in messages.items():
            # Messages about a whole object are under the key "_schema", which could also be a member's name.
            if key == ma.exceptions.SCHEMA and not (isinstance(document, dict) and key in document):
                yield from _with_pointers(nested, document, pointer)
            else:
                token = str(key).replace("~", "~0").replace("/", "~1")
                member = document[key] if isinstance(document, list) else document.get(key)
                yield from _with_pointers(nested, member, f"{pointer}/{token}")
    else:
        for message in messages:
            yield Fault(pointer, message)
