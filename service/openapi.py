"""The contract in OpenAPI 3.1, generated from the views and the schemas they name."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

import marshmallow as ma
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Flask
from werkzeug.routing import Rule

from service import problems

_View = TypeVar("_View", bound=Callable[..., Any])
Json = dict[str, Any]


class Documentation(NamedTuple):
    """What the contract says of a view beyond its docstring, its route and the schemas of its request."""

    responses: Mapping[int, tuple[type[ma.Schema], Json]]
    """The schema of each success, and an example of it."""
    problems: Mapping[int, Json]
    """By status, the members of an example that differ from every other problem's."""
    request_example: Json | None
    extra_media_types: tuple[Json, Json]
    """Other contents of a success, by type, and the headers that come with them."""


def documented(
    responses: Mapping[int, tuple[type[ma.Schema], Json]],
    problems: Mapping[int, Json],
    request_example: Json | None = None,
    extra_media_types: tuple[Json, Json] = ({}, {}),
) -> Callable[[_View], _View]:
    """Add a view to the contract; its docstring is the operation's summary and description."""

    def mark(view: _View) -> _View:
        view.documentation = Documentation(  # type: ignore[attr-defined]
            responses, problems, request_example, extra_media_types
        )
        return view

    return mark


# What every operation may answer, and those that take a body: ours, and the proxy's in front of us.
_ALWAYS = (400, 401, 413, 414, 431, 500, 502, 503, 504)
_WITH_BODY = (415,)
_LIMITED = (429,)
# Usually sent by the proxy, which leaves `instance` out.
_OF_PROXY = (413, 414, 431, 502, 504)
_PROBLEMS = {
    400: "The query or the body is not valid: `errors` says where and why, unless it is no JSON at all. Correct it.",
    401: "The token is missing, expired or not valid. Get a new one.",
    403: "The token is valid and does not open this: another user's account, or a scope that it lacks.",
    404: "Nobody has captured this account.",
    409: "The batch contradicts what is stored, or itself: `errors` names the items. Nothing was stored, and sending it"
    " again does not help: find out who is right.",
    413: "The body is over 1 MiB. Split it.",
    414: "The URL is too long.",
    415: "The body is not `application/json`.",
    429: "The user's limit of reads is used up. Wait as `Retry-After` says.",
    431: "The headers are too large.",
    500: "A defect of the service. Tell us the `trace_id`.",
    502: "The service cannot be reached. Wait as `Retry-After` says and repeat.",
    503: "The database cannot answer, or the service is busy. Wait as `Retry-After` says and repeat.",
    504: "The service did not answer in time. Wait as `Retry-After` says and repeat.",
}
_DETAILS = {
    401: "Send a valid bearer token in the Authorization header.",
    413: "The body is larger than 1 MiB.",
    503: "The database cannot answer at the moment.",
}
_EXAMPLE_ID = "550e8400-e29b-41d4-a716-446655440000"
_RETRYABLE = (429, 502, 503, 504)
# The limiter has been asked before these are made; the others may come from before it, or from in front of us.
_ALWAYS_LIMITED = (200, 403, 404)
_SOMETIMES_LIMITED = (400, 429, 500, 503)

_HEADERS: dict[str, Json] = {
    "X-Trace-Id": {
        "description": "The request's id, in the log and in every problem.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"},
    },
    "X-RateLimit-Limit": {
        "description": "How many reads the bucket holds.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "X-RateLimit-Remaining": {
        "description": "How many reads are left in it.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "X-RateLimit-Reset": {
        "description": "The Unix time, in seconds, at which it is full again.",
        "schema": {"type": "integer"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next attempt.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Cache-Control": {"schema": {"type": "string", "const": "private, no-store"}},
    "Content-Security-Policy": {"schema": {"type": "string"}},
    "X-Content-Type-Options": {"schema": {"type": "string", "const": "nosniff"}},
    "Referrer-Policy": {"schema": {"type": "string", "const": "no-referrer"}},
    "WWW-Authenticate": {"description": "The challenge.", "schema": {"type": "string", "const": "Bearer"}},
}
_ON_EVERY_ANSWER = (
    "X-Trace-Id",
    "Cache-Control",
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "Referrer-Policy",
)
_TRACING = [
    {
        "name": "traceparent",
        "in": "header",
        "description": "W3C Trace Context: its trace id becomes the request's.",
        "schema": {"type": "string"},
    },
    {
        "name": "X-Trace-Id",
        "in": "header",
        "description": "Without a `traceparent`: the request's id, of 1 to 64 letters, digits and dashes.",
        "schema": {"type": "string"},
    },
]
_PROBLEM_SCHEMA: Json = {
    "type": "object",
    "description": "A problem as RFC 9457 has it.",
    "required": ["type", "title", "status", "detail", "trace_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "The path; the proxy's own problems leave it out."},
        "trace_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "What is at fault, field by field.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {"type": "string", "description": "A parameter, or a JSON pointer into the body."},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


def contract(
    app: Flask, *, title: str, version: str, about: str, limited: Blueprint, problem_base_url: str
) -> dict[str, Any]:
    """The document. `limited`: the blueprint whose answers tell the rate limit."""
    marshmallow = MarshmallowPlugin()
    spec = APISpec(title, version, "3.1.0", [marshmallow], info={"description": about}, servers=[{"url": "/"}])
    assert marshmallow.converter is not None
    marshmallow.converter.add_attribute_function(_own_schema)  # type: ignore[no-untyped-call]
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    spec.components.security_scheme("bearer", bearer)
    spec.components.schema("Problem", _PROBLEM_SCHEMA)
    for name, header in _HEADERS.items():
        spec.components.header(name, header | {"required": True})
    for rule, method, view in _documented(app):
        is_limited = rule.endpoint.startswith(f"{limited.name}.")
        parameters = marshmallow.converter.schema2parameters(view.query_schema, location="query")
        spec.path(_path(rule), operations={method: _operation(rule, view, parameters, is_limited, problem_base_url)})
    document = spec.to_dict()
    return {part: document[part] for part in ("openapi", "info", "servers", "paths", "components")}


def _documented(app: Flask) -> Iterator[tuple[Rule, str, Any]]:
    for rule in sorted(app.url_map.iter_rules(), key=str):
        view = app.view_functions[rule.endpoint]
        if hasattr(view, "documentation"):
            for method in (rule.methods or set()) - {"HEAD"}:
                yield rule, method.lower(), view


def _operation(rule: Rule, view: Any, parameters: list[Json], is_limited: bool, problem_base_url: str) -> Json:
    documentation: Documentation = view.documentation
    body_schema = getattr(view, "body_schema", None)
    scope = getattr(view, "required_scope", None)
    summary, _, rest = inspect.cleandoc(view.__doc__).partition("\n\n")
    media_types, media_type_headers = documentation.extra_media_types
    answers: dict[str, Json] = {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "headers": _headers(status, is_limited) | media_type_headers,
            "content": {
                "application/json": {"schema": schema, "example": example},
                **media_types,
            },
        }
        for status, (schema, example) in documentation.responses.items()
    }
    instance = re.sub(r"<\w+>", _EXAMPLE_ID, rule.rule)
    for status in sorted(
        {*_ALWAYS, *documentation.problems, *(_WITH_BODY if body_schema else ()), *(_LIMITED if is_limited else ())}
    ):
        example = {"instance": instance, **documentation.problems.get(status, {})}
        answers[str(status)] = _problem(status, example, problem_base_url) | {"headers": _headers(status, is_limited)}
    described: Json = {
        "operationId": view.__name__,
        "summary": summary,
        "security": [{"bearer": [scope] if scope else []}],
        "parameters": [*_path_parameters(rule), *map(_without_null, parameters), *_TRACING],
        "responses": answers,
    }
    if rest:
        described["description"] = rest
    if body_schema:
        content = {"application/json": {"schema": body_schema, "example": documentation.request_example}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _problem(status: int, said: Json, base_url: str) -> Json:
    known = {"type": problems.type_of(status, base_url), "title": problems.title(status), "status": status}
    constants: Json = {"properties": {name: {"const": value} for name, value in known.items()}}
    if "errors" in said and status != 400:
        constants["required"] = ["errors"]
    usual = {"detail": _DETAILS.get(status, problems.title(status)), "trace_id": "abc123-def456-ghi789"}
    example = {**known, **usual, **said}
    if status in _OF_PROXY:
        del example["instance"]
    order = ("type", "title", "status", "detail", "instance", "trace_id", "errors")
    schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, constants]}
    example = {member: example[member] for member in order if member in example}
    return {
        "description": _PROBLEMS[status],
        "content": {"application/problem+json": {"schema": schema, "example": example}},
    }


def _headers(status: int, is_limited: bool) -> Json:
    """Which headers an answer has, and which of them it surely has."""
    surely = [*_ON_EVERY_ANSWER]
    maybe = []
    if status == 401:
        surely.append("WWW-Authenticate")
    if status in _RETRYABLE:
        surely.append("Retry-After")
    if is_limited:
        told = [name for name in _HEADERS if name.startswith("X-RateLimit")]
        surely += told if status in _ALWAYS_LIMITED else []
        maybe += told if status in _SOMETIMES_LIMITED else []
    sure = {name: {"$ref": f"#/components/headers/{name}"} for name in surely}
    return sure | {name: _HEADERS[name] for name in maybe}


def _path(rule: Rule) -> str:
    return re.sub(r"<(\w+)>", r"{\1}", rule.rule)


def _path_parameters(rule: Rule) -> list[Json]:
    schema = {"type": "string", "format": "uuid"}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in sorted(rule.arguments)]


def _own_schema(_converter: Any, field: ma.fields.Field[Any], **_options: Any) -> Json:
    """What a field of ours says of itself in JSON Schema."""
    schema: Json = dict(getattr(field, "json_schema", {}))
    if schema and field.allow_none:
        schema["type"] = [schema["type"], "null"]
    return schema


def _without_null(parameter: Json) -> Json:
    """A query has no null: a default of None says that the parameter may be left out, which it is known by already."""
    schema = {key: value for key, value in parameter["schema"].items() if (key, value) != ("default", None)}
    if isinstance(schema["type"], list):
        schema["type"] = schema["type"][0]
    return parameter | {"schema": schema}
