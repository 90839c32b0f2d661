"""The API's documentation: /openapi.json and /docs (Swagger UI, from a package)."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, abort

from service import openapi, static_files
from service.auth import public

_FILES = Path(str(files("flask_swagger_ui"))) / "dist"
_FILE_NAMES = {path.name for path in _FILES.iterdir()}
# Their URLs stay the same when the package is updated.
LIFETIME_SECONDS = 3600
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
        if file not in _FILE_NAMES:
            abort(404)
        return static_files.send(_FILES / file, LIFETIME_SECONDS)

    app.register_blueprint(blueprint)
