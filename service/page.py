"""The web page at /: one HTML file and its assets."""

from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Flask, Response

from service import static_files
from service.auth import public

_ASSET_SUFFIXES = {".js", ".css", ".svg"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def chart_library() -> list[Path]:
    """Return the files of uPlot that the package youplot bundles, without importing the package."""
    package = find_spec("youplot")
    assert package is not None
    assert package.submodule_search_locations
    folder = Path(package.submodule_search_locations[0]) / "vendor"
    return [folder / "uplot.iife.min.js", folder / "uplot.min.css"]


def init_app(app: Flask, folder: Path) -> None:
    """Serve the folder's index.html at /, with `{assets}` replaced by the URL of the other files."""
    blueprint = Blueprint("page", __name__)
    files = [file for file in (*sorted(folder.iterdir()), *chart_library()) if file.suffix in _ASSET_SUFFIXES]
    assets = static_files.serve(blueprint, "/assets", files)
    html = (folder / "index.html").read_text(encoding="utf-8").replace("{assets}", assets)

    # `GET http://example.com HTTP/1.1` has an empty path, which a strict rule would redirect.
    @blueprint.get("/", strict_slashes=False)
    @public
    def index() -> Response:
        return Response(html, headers={"Content-Security-Policy": _POLICY})

    app.register_blueprint(blueprint)
