"""Static files, which browsers and proxies may cache: each has a lifetime and an ETag."""

import hashlib
import mimetypes
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, abort, request

from service.auth import public

LIFETIME_SECONDS = 365 * 24 * 3600


def serve(blueprint: Blueprint, prefix: str, files: Iterable[Path]) -> str:
    """Serve files under a URL that changes with their content, and return that URL.

    A browser keeps them for a year, and never mixes two versions.
    """
    assets = {file.name: file for file in files}
    version = digest(*assets.values())

    @blueprint.get(f"{prefix}/<requested_version>/<name>")
    @public
    def asset(requested_version: str, name: str) -> Response:
        if requested_version != version or name not in assets:
            abort(404)
        return _send(assets[name])

    return f"{prefix}/{version}"


def _send(file: Path) -> Response:
    """Return a file, or a 304 if the client has it."""
    etag = digest(file)
    # Not Werkzeug's comparison, which makes `If-Match: *` a 412, and a range in a unit other than bytes a 416.
    if request.if_none_match.contains_weak(etag):
        response = Response(status=304)
    else:
        response = Response(file.read_bytes(), content_type=_content_type(file))
    response.set_etag(etag)
    response.headers["Cache-Control"] = f"public, max-age={LIFETIME_SECONDS}, immutable"
    return response


@cache
def digest(*files: Path) -> str:
    """Return a short digest of the content of files, which do not change while the service runs."""
    content = hashlib.sha256()
    for file in files:
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()[:16]


def _content_type(file: Path) -> str:
    if file.suffix == ".js":
        return "text/javascript; charset=utf-8"
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type
