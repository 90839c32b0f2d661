"""Gzip compression (RFC 1952) of request bodies, and of responses where no proxy compresses them."""

import gzip
import zlib
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

# The same as in deploy/nginx.conf, which also compresses web pages and their files.
MIN_BYTES = 1024
LEVEL = 1
_MEDIA_TYPES = {"application/json", "application/problem+json", "text/csv"}

# By RFC 9110, x-gzip means gzip.
_GZIP = ("gzip", "x-gzip")
# Each member costs a copy of the rest of the body. Programs that compress in blocks, such as bgzip, write 17 for 1 MiB.
MAX_MEMBERS = 100


class UnsupportedCoding(UnsupportedMediaType):
    """A 415 whose Accept-Encoding names the coding to use; RFC 9110 forbids that header on any other 415."""

    description = "Send the body uncompressed, or compressed with gzip and with Content-Encoding: gzip."

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **kwargs), ("Accept-Encoding", "gzip")]


def init_app(app: Flask) -> None:
    """Compress long responses for clients that accept gzip."""

    @app.after_request
    def _compress(response: Response) -> Response:
        if response.mimetype not in _MEDIA_TYPES:
            return response
        response.headers.add("Vary", "Accept-Encoding")
        is_accepted = request.accept_encodings.best_match(["gzip", "identity"]) == "gzip"
        if is_accepted and (response.content_length or 0) >= MIN_BYTES:
            response.set_data(gzip.compress(response.get_data(), LEVEL, mtime=0))
            response.content_encoding = "gzip"
        return response


def is_compressed() -> bool:
    """Return whether the request's body is gzipped. Raises UnsupportedCoding for any other coding."""
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding in _GZIP:
        return True
    if coding not in ("", "identity"):
        raise UnsupportedCoding
    return False


def decompress(body: bytes, maximum: int) -> bytes:
    """Decompress a body of one or more gzip members, to `maximum` bytes at most.

    Raises RequestEntityTooLarge beyond that, without decompressing the rest, and BadRequest if the body is not
    complete gzip or has more than MAX_MEMBERS members.
    """
    inflated = bytearray()
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            inflated += member.decompress(body, maximum + 1 - len(inflated))
        except zlib.error:
            raise BadRequest("The body is not well-formed gzip.") from None
        if len(inflated) > maximum:
            raise RequestEntityTooLarge
        if not member.eof:
            raise BadRequest("The compressed body is incomplete.")
        body = member.unused_data
        if not body:
            return bytes(inflated)
    raise BadRequest(f"The compressed body has more than {MAX_MEMBERS} gzip members.")
