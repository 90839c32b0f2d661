"""A strict reading of the contract for tests: what the service may send today, without what later versions may add."""

from typing import Any

Json = dict[str, Any]


def strict_schema(contract: Json, status: int, response: Json) -> Json:
    """Return a JSON Schema for the body of a documented response.

    It admits only the members that the contract names. Problems share one schema in the contract; here they must have
    the type and the title of the contract's example for this status.
    """
    (content,) = response["content"].values()
    parts = [content["schema"]]
    if status >= 400:
        example = content["example"]
        constants = {name: {"const": example[name]} for name in ("type", "title", "status")}
        # A body that is not JSON is a 400 without a list of errors.
        required = ["errors"] if "errors" in example and status != 400 else []
        parts.append({"properties": constants, "required": required})
    return {"allOf": parts, "components": _closed(contract["components"])}


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    if closed.get("type") == "object" and "properties" in closed:
        closed["additionalProperties"] = False
    return closed
