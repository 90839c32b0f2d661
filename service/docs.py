"""The API's documentation: /openapi.json and /docs (Swagger UI, from a package)."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response

from service import openapi, static_files
from service.auth import public

_SWAGGER_UI = Path(str(files("flask_swagger_ui"))) / "dist"
_PAGE = Path(__file__).parent / "docs_page"
_ASSETS = [
    *(_SWAGGER_UI / name for name in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")),
    *(_PAGE / name for name in ("docs.css", "docs.js")),
]
# Lets the docs page load its files and call the API; responses of the API allow nothing.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " frame-ancestors 'none'"
)


def init_app(app: Flask, **contract: Any) -> None:
    """Serve the contract of this app and its docs page; the other arguments are those of `service.openapi.contract`."""
    blueprint = Blueprint("docs", __name__)
    document = cache(lambda: openapi.contract(app, **contract))
    assets = static_files.serve(blueprint, "/docs", _ASSETS)
    html = (_PAGE / "index.html").read_text(encoding="utf-8")
    html = html.replace("{assets}", assets).replace("{title}", contract["info"]["title"])

    @blueprint.get("/openapi.json")
    @public
    def openapi_json() -> dict[str, Any]:
        return document()

    @blueprint.get("/docs")
    @public
    def page() -> Response:
        return Response(html, headers={"Content-Security-Policy": _CONTENT_SECURITY_POLICY})

    app.register_blueprint(blueprint)
