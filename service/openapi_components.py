"""Parts of the contract that every operation shares: headers, parameters, and what each problem means."""

from typing import Any

# The meaning of each status, and what to do about it; views add their own.
PROBLEMS = {
    400: "The query or the body is not valid. Fix the request: `errors` lists every fault, unless the body could not be"
    " parsed.",
    401: "The token is missing, expired or not valid. Send a new one.",
    413: "The body is larger than 1 MiB, as sent or decompressed. Send it as several smaller requests.",
    414: "The URL is too long.",
    415: "The body is not `application/json`, or its `Content-Encoding` is not `gzip` (then the response has"
    " `Accept-Encoding`).",
    429: "The user has used up the rate limit or has too many reads in progress. Wait `Retry-After` seconds and retry.",
    431: "The headers are too large.",
    500: "An unexpected error occurred. Report the `trace_id`.",
    502: "The service cannot be reached. Wait `Retry-After` seconds and retry.",
    503: "The database is unavailable, or the service is busy. Wait `Retry-After` seconds and retry.",
    504: "The service did not respond in time. Wait `Retry-After` seconds and retry.",
}
# `detail` in the examples of operations that do not give their own.
DETAILS = {
    401: "Send a bearer token in the Authorization header.",
    413: "The body is larger than 1 MiB.",
    414: "The URL is too long.",
    429: "The user's limit of 100 reads per minute, over all read endpoints together, is used up. The next read is"
    " possible in 1 second.",
    431: "The headers are too large.",
    500: "An unexpected error occurred. It has been logged.",
    502: "The service cannot be reached at the moment.",
    503: "The database is temporarily unavailable.",
    504: "The service did not respond in time.",
}
HEADERS: dict[str, dict[str, Any]] = {
    "X-Trace-Id": {
        "description": "Trace id of the request, also in the logs and in every problem.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"},
    },
    "X-RateLimit-Limit": {
        "description": "Reads that the user's token bucket holds when it is full.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "X-RateLimit-Remaining": {
        "description": "Reads left in the user's token bucket.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "X-RateLimit-Reset": {
        "description": "Unix time in seconds at which the user's token bucket is full again.",
        "schema": {"type": "integer"},
    },
    "Retry-After": {
        "description": "Seconds to wait before a retry.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Cache-Control": {"schema": {"type": "string", "const": "private, no-store"}},
    "Content-Security-Policy": {"schema": {"type": "string"}},
    "X-Content-Type-Options": {"schema": {"type": "string", "const": "nosniff"}},
    "Referrer-Policy": {"schema": {"type": "string", "const": "no-referrer"}},
    "Accept-Encoding": {
        "description": "The supported content coding; sent if the body had another one.",
        "schema": {"type": "string", "const": "gzip"},
    },
    "WWW-Authenticate": {"description": "Authentication challenge.", "schema": {"type": "string", "const": "Bearer"}},
}
# Headers that are optional wherever they occur; they are described in place.
NEVER_REQUIRED = {"Accept-Encoding"}
ON_EVERY_RESPONSE = (
    "X-Trace-Id",
    "Cache-Control",
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "Referrer-Policy",
)
REQUEST_BODY = (
    "Up to 1 MiB of JSON. It may be compressed, with `Content-Encoding: gzip`; the limit then applies both before and"
    " after decompression."
)
TRACING = [
    {
        "name": "traceparent",
        "in": "header",
        "description": "W3C Trace Context. Its trace id becomes that of the request.",
        "schema": {"type": "string"},
    },
    {
        "name": "X-Trace-Id",
        "in": "header",
        "description": "Trace id of the request if there is no valid `traceparent`: 1 to 64 letters, digits and"
        " dashes.",
        "schema": {"type": "string"},
    },
]
CONSISTENCY = [
    {
        "name": "Prefer",
        "in": "header",
        "description": "`consistency=strong`: include everything that was stored before this request (RFC 7240)."
        " Without it, the response may be a few seconds old.",
        "schema": {"type": "string"},
    },
]
PROBLEM_SCHEMAS: dict[str, dict[str, Any]] = {
    "Fault": {
        "type": "object",
        "description": "What is wrong with one field.",
        "required": ["field", "message"],
        "properties": {
            "field": {"type": "string", "description": "Name of a parameter, or JSON pointer into the body."},
            "message": {"type": "string"},
        },
    },
    "Problem": {
        "type": "object",
        "description": "Problem details (RFC 9457).",
        "required": ["type", "title", "status", "detail", "trace_id"],
        "properties": {
            "type": {
                "type": "string",
                "format": "uri",
                "description": "The same for all problems of one status.",
            },
            "title": {"type": "string", "description": "The phrase of the HTTP status."},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string", "description": "Path of the request. Absent from the proxy's problems."},
            "trace_id": {"type": "string", "description": "Trace id of the request, also in the logs."},
            "errors": {
                "type": "array",
                "description": "The faults, field by field.",
                "items": {"$ref": "#/components/schemas/Fault"},
            },
        },
    },
}
