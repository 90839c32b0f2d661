"""The contract in OpenAPI 3.1, generated from the views and the schemas they name."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

import marshmallow as ma
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Blueprint, Flask
from werkzeug.routing import Rule

from service import openapi_components as components
from service import problems

_View = TypeVar("_View", bound=Callable[..., Any])
Json = dict[str, Any]


class Documentation(NamedTuple):
    """The documentation of a view beyond its docstring, its route and the schemas of its request."""

    tag: str
    responses: Mapping[int, tuple[type[ma.Schema] | Json, Any]]
    """By status, the schema of a success and an example of it."""
    problems: Mapping[int, Json]
    """By status, the members of an example that differ from the default."""
    request_example: Json | None
    media_type: str
    headers: Json
    """The headers of a success, beyond those that every operation has."""


def documented(
    tag: str,
    responses: Mapping[int, tuple[type[ma.Schema] | Json, Any]],
    problems: Mapping[int, Json],
    *,
    request_example: Json | None = None,
    media_type: str = "application/json",
    headers: Json | None = None,
) -> Callable[[_View], _View]:
    """Add a view to the contract; its docstring is the operation's summary and description."""

    def mark(view: _View) -> _View:
        view.documentation = Documentation(  # type: ignore[attr-defined]
            tag, responses, problems, request_example, media_type, headers or {}
        )
        return view

    return mark


# Problem statuses of every operation, of those with a body, and of those under the rate limit.
_ALWAYS = (400, 401, 413, 414, 431, 500, 502, 503, 504)
_WITH_BODY = (415,)
_LIMITED = (429,)
# Usually sent by the proxy, which omits `instance`.
_FROM_PROXY = (413, 414, 431, 502, 504)
_EXAMPLE_ID = "550e8400-e29b-41d4-a716-446655440000"
_RETRYABLE = (429, 502, 503, 504)
# Statuses sent only after the rate limit was checked, and those that can also be sent before it or by the proxy.
_ALWAYS_LIMITED = (200, 403, 404)
_SOMETIMES_LIMITED = (400, 429, 500, 503)


class _Converter(OpenAPIConverter):
    """apispec's converter, without defaults of None, which generators misread as "required"."""

    def field2default(self, field: ma.fields.Field[Any], **kwargs: Any) -> Json:
        return {name: value for name, value in super().field2default(field, **kwargs).items() if value is not None}


class _Plugin(MarshmallowPlugin):
    Converter = _Converter


def contract(
    app: Flask,
    *,
    info: Json,
    base_path: str,
    tags: Mapping[str, str],
    path_parameters: Mapping[str, Json],
    authorization_help: str,
    limited: Blueprint,
    problem_base_url: str,
    problem_descriptions: dict[int, str],
) -> Json:
    """Return the contract.

    `base_path`: the common prefix of all paths, which is the server's URL in the contract. `tags`: the groups of
    operations, in order, with their descriptions. `path_parameters`: description and example of each.
    `authorization_help`: where a caller gets a token. `limited`: the blueprint under the rate limit.
    `problem_descriptions`: the meanings of the statuses that only views raise.
    """
    marshmallow = _Plugin()
    spec = APISpec(
        info["title"],
        info["version"],
        "3.1.0",
        [marshmallow],
        info=info,
        servers=[{"url": base_path, "description": "The service that serves this document."}],
        tags=[{"name": name, "description": description} for name, description in tags.items()],
    )
    assert marshmallow.converter is not None
    marshmallow.converter.add_attribute_function(_own_schema)  # type: ignore[no-untyped-call]
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": authorization_help}
    spec.components.security_scheme("bearer", bearer)
    for name, schema in components.PROBLEM_SCHEMAS.items():
        spec.components.schema(name, schema)
    for name in sorted(components.HEADERS.keys() - components.NEVER_REQUIRED):
        spec.components.header(name, components.HEADERS[name] | {"required": True})
    for rule, method, view in _documented(app):
        is_limited = rule.endpoint.startswith(f"{limited.name}.")
        in_path = [_path_parameter(name, path_parameters[name]) for name in sorted(rule.arguments)]
        in_query = map(_query_parameter, marshmallow.converter.schema2parameters(view.query_schema, location="query"))
        in_header = [*(components.CONSISTENCY if is_limited else []), *components.TRACING]
        operation = _operation(view, [*in_path, *in_query, *in_header], is_limited)
        for status, example in _problem_examples(rule, view, is_limited).items():
            meaning = (components.PROBLEMS | problem_descriptions)[status]
            operation["responses"][str(status)] = _problem(status, meaning, example, problem_base_url) | {
                "headers": _headers(status, is_limited)
            }
        spec.path(_path(rule, base_path), operations={method: operation})
    document = spec.to_dict()
    return {part: document[part] for part in ("openapi", "info", "servers", "tags", "paths", "components")}


def _documented(app: Flask) -> Iterator[tuple[Rule, str, Any]]:
    for rule in sorted(app.url_map.iter_rules(), key=str):
        view = app.view_functions[rule.endpoint]
        if hasattr(view, "documentation"):
            for method in (rule.methods or set()) - {"HEAD"}:
                yield rule, method.lower(), view


def _operation(view: Any, parameters: list[Json], is_limited: bool) -> Json:
    documentation: Documentation = view.documentation
    body_schema = getattr(view, "body_schema", None)
    scope = getattr(view, "required_scope", None)
    summary, _, description = inspect.cleandoc(view.__doc__).partition("\n\n")
    if scope:
        # Not in `security`, where linters accept scopes for OAuth 2 only.
        description += f"\n\nThe token needs the scope `{scope}`."
    responses: dict[str, Json] = {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "headers": _headers(status, is_limited) | documentation.headers,
            "content": {documentation.media_type: {"schema": schema, "example": example}},
        }
        for status, (schema, example) in documentation.responses.items()
    }
    operation: Json = {
        "operationId": view.__name__,
        "tags": [documentation.tag],
        "summary": summary,
        "description": description,
        "security": [{"bearer": []}],
        "parameters": parameters,
        "responses": responses,
    }
    if body_schema:
        content = {"application/json": {"schema": body_schema, "example": documentation.request_example}}
        operation["requestBody"] = {"description": components.REQUEST_BODY, "required": True, "content": content}
    return operation


def _problem_examples(rule: Rule, view: Any, is_limited: bool) -> dict[int, Json]:
    """Return the problems of an operation by status: the members of an example that differ from the default."""
    own: Mapping[int, Json] = view.documentation.problems
    statuses = {*_ALWAYS, *own}
    if hasattr(view, "body_schema"):
        statuses.update(_WITH_BODY)
    if is_limited:
        statuses.update(_LIMITED)
    instance = re.sub(r"<\w+>", _EXAMPLE_ID, rule.rule)
    return {status: {"instance": instance, **own.get(status, {})} for status in sorted(statuses)}


def _problem(status: int, meaning: str, example: Json, base_url: str) -> Json:
    """Return a problem response. All share one schema; description and example state the status's type and title."""
    fixed = {"type": problems.type_of(status, base_url), "title": problems.title(status), "status": status}
    usual = {"detail": components.DETAILS.get(status, problems.title(status)), "trace_id": "abc123-def456-ghi789"}
    members = {**fixed, **usual, **example}
    if status in _FROM_PROXY:
        del members["instance"]
    order = ("type", "title", "status", "detail", "instance", "trace_id", "errors")
    content = {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "example": {name: members[name] for name in order if name in members},
    }
    return {
        "description": f"{fixed['title']}. {meaning} `type` is `{fixed['type']}`.",
        "content": {"application/problem+json": content},
    }


def _headers(status: int, is_limited: bool) -> Json:
    """Return the headers of a response: required ones by reference, others in place."""
    required = [*components.ON_EVERY_RESPONSE]
    optional = []
    if status == 401:
        required.append("WWW-Authenticate")
    if status == 415:
        optional.append("Accept-Encoding")
    if status in _RETRYABLE:
        required.append("Retry-After")
    if is_limited:
        of_limit = [name for name in components.HEADERS if name.startswith("X-RateLimit")]
        required += of_limit if status in _ALWAYS_LIMITED else []
        optional += of_limit if status in _SOMETIMES_LIMITED else []
    references = {name: {"$ref": f"#/components/headers/{name}"} for name in required}
    return references | {name: components.HEADERS[name] for name in optional}


def _path(rule: Rule, base_path: str) -> str:
    return re.sub(r"<(\w+)>", r"{\1}", rule.rule.removeprefix(base_path))


def _path_parameter(name: str, documentation: Json) -> Json:
    schema = {"type": "string", "format": "uuid"}
    return {"name": name, "in": "path", "required": True, **documentation, "schema": schema}


def _own_schema(converter: Any, field: ma.fields.Field[Any], **_options: Any) -> Json:
    """Return the JSON Schema of a field type of our own, or a reference to it if the schema has a name."""
    schema: Json = dict(getattr(field, "json_schema", {}))
    name = getattr(field, "json_schema_name", None)
    if name:
        if name not in converter.spec.components.schemas:
            converter.spec.components.schema(name, schema)
        reference = {"$ref": f"#/components/schemas/{name}"}
        return {"anyOf": [reference, {"type": "null"}]} if field.allow_none else reference
    if schema and field.allow_none:
        schema["type"] = [schema["type"], "null"]
    return schema


def _query_parameter(parameter: Json) -> Json:
    """Drop null, which a query cannot express, and move the example to where tools look for it."""
    schema = dict(parameter["schema"])
    if "anyOf" in schema:
        schema |= schema.pop("anyOf")[0]
    if isinstance(schema.get("type"), list):
        schema["type"] = schema["type"][0]
    example = {"example": schema.pop("example")} if "example" in schema else {}
    return parameter | example | {"schema": schema}
