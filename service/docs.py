"""The API's documentation: /openapi.json, /docs (Swagger UI, from a package), and / with links to both."""

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
# Lets the docs page load its files and call the API; other responses allow nothing.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " frame-ancestors 'none'"
)


def init_app(app: Flask, *, title: str, **contract: Any) -> None:
    """Serve the contract of this app; the other arguments are those of `service.openapi.contract`."""
    blueprint = Blueprint("docs", __name__)
    document = cache(lambda: openapi.contract(app, title=title, **contract))

    # The path of `GET http://example.com HTTP/1.1` is empty, which a strict rule would redirect.
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
        return Response(_PAGE.format(title=title), headers={"Content-Security-Policy": _CONTENT_SECURITY_POLICY})

    @blueprint.get("/docs/start.js")
    @public
    def start() -> Response:
        return Response(_START, content_type="text/javascript")

    @blueprint.get("/docs/<file>")
    @public
    def file(file: str) -> Response:
        # Caches do not store these files, so clients have nothing to revalidate or resume. If they try anyway, Werkzeug
        # would respond with 412 to `If-Match: *`, without a problem document, and with 416 to a range not in bytes.
        return send_from_directory(_FILES, file, conditional=False, etag=False)

    app.register_blueprint(blueprint)
