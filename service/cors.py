"""Cross-origin requests from pages of other web origins (CORS), as the Fetch standard defines them.

Pages send a bearer token that they hold themselves, so the browser's credentials are not allowed.
"""

from flask import Flask, Response, request
from flask_cors import CORS

METHODS = ("GET", "HEAD", "POST")
# Request headers that a page may send, beyond the CORS-safelisted ones.
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Content-Encoding",
    "Prefer",
    "traceparent",
    "tracestate",
    "X-Trace-Id",
)
# Response headers that a page may read, beyond the CORS-safelisted ones; the same as in deploy/nginx.conf.
EXPOSED_HEADERS = (
    "Content-Disposition",
    "Link",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Trace-Id",
)
_PREFLIGHT_HEADERS = ("Origin", "Access-Control-Request-Method")
# How long a browser may cache the response to a preflight: the longest that Chromium accepts.
MAX_AGE_SECONDS = 7200


def init_app(app: Flask, origins: tuple[str, ...]) -> None:
    """Let pages of these origins read every response. Call it before `auth.init_app`: a preflight has no token.

    Without origins, it does nothing.
    """
    if not origins:
        return

    @app.before_request
    def _respond_to_preflight() -> Response | None:
        if request.method != "OPTIONS" or not all(name in request.headers for name in _PREFLIGHT_HEADERS):
            return None
        response = Response(status=204)
        del response.headers["Content-Type"]
        return response

    @app.after_request
    def _vary_by_origin(response: Response) -> Response:
        # The library does this only for an origin that it allows.
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
        # By default the response to a request without an Origin names all origins.
        always_send=False,
        vary_header=False,
    )
