"""Cross-origin requests from pages of other web origins (CORS), as the Fetch standard defines them.

Pages send a bearer token, which they hold themselves, so no credentials of the browser are allowed.
"""

from flask import Flask, Response, request
from flask_cors import CORS

METHODS = ("GET", "HEAD", "POST")
# What a page may send beyond the headers that need no permission.
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Content-Encoding",
    "Prefer",
    "traceparent",
    "tracestate",
    "X-Trace-Id",
)
# What a page may read beyond the headers that every page may read; deploy/nginx.conf has the same.
EXPOSED_HEADERS = (
    "Content-Disposition",
    "Link",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Trace-Id",
)
_OF_PREFLIGHT = ("Origin", "Access-Control-Request-Method")
# How long a browser may keep the answer to a preflight; Chromium keeps none for longer.
MAX_AGE_SECONDS = 7200


def init_app(app: Flask, origins: tuple[str, ...]) -> None:
    """Let pages of these origins read every response. Call it before `auth.init_app`: a preflight has no token.

    Without origins nothing changes.
    """
    if not origins:
        return

    @app.before_request
    def _answer_preflight() -> Response | None:
        if request.method != "OPTIONS" or not all(name in request.headers for name in _OF_PREFLIGHT):
            return None
        response = Response(status=204)
        del response.headers["Content-Type"]
        return response

    @app.after_request
    def _vary_by_origin(response: Response) -> Response:
        # The library does so only for an origin that it allows.
        response.vary.add("Origin")
        return response

    CORS(
        app,
        origins=list(origins),
        methods=list(METHODS),
        allow_headers=list(REQUEST_HEADERS),
        expose_headers=list(EXPOSED_HEADERS),
        max_age=MAX_AGE_SECONDS,
        supports_credentials=False,
        # By default a request without an Origin is answered with all origins.
        always_send=False,
        vary_header=False,
    )
