"""The API's documentation: /openapi.json, /docs (Swagger UI, from a package) and / with links to them."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, send_from_directory, url_for

from service import openapi
from service.auth import public

_FILES = Path(str(files("flask_swagger_ui"))) / "dist"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>{title}</title>
  <link rel="stylesheet" href="/docs/swagger-ui.css">
  <link rel="icon" href="/docs/favicon-32x32.png">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="/docs/swagger-ui-bundle.js"></script>
  <script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});
"""
# CSP of the docs page, which loads its files and calls the API; other responses allow nothing.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " frame-ancestors 'none'"
)


def init_app(app: Flask, *, title: str, **contract: Any) -> None:
    """Serve the contract of this app; the other arguments are those of `service.openapi.contract`."""
    blueprint = Blueprint("docs", __name__)
    document = cache(lambda: openapi.contract(app, title=title, **contract))

    # `GET http://example.com HTTP/1.1` has an empty path, which a strict rule would redirect.
    @blueprint.get("/", strict_slashes=False)
    @public
    def links() -> dict[str, Any]:
        return {"links": {"docs": url_for("docs.page"), "openapi": url_for("docs.openapi_json")}}

    @blueprint.get("/openapi.json")
    @public
    def openapi_json() -> dict[str, Any]:
        return document()

    @blueprint.get("/docs")
    @public
    def page() -> Response:
        return Response(_PAGE.format(title=title), headers={"Content-Security-Policy": _POLICY})

    @blueprint.get("/docs/start.js")
    @public
    def start() -> Response:
        return Response(_START, content_type="text/javascript")

    @blueprint.get("/docs/<file>")
    @public
    def file(file: str) -> Response:
        # Caches do not store it, so no client has a version or a part to compare. Werkzeug's comparison answers 412 to
        # `If-Match: *`, without a problem, and 416 to a range in another unit than bytes.
        return send_from_directory(_FILES, file, conditional=False, etag=False)

    app.register_blueprint(blueprint)
