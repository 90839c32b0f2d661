"""Histories as CSV (RFC 4180) on request, safe to open in a spreadsheet."""

import csv
import io
import json
import re
from typing import Any

from flask import Response, request
from werkzeug.datastructures import MIMEAccept

from schemas import examples
from schemas.responses import Snapshot

JSON, CSV = "application/json", "text/csv"
COLUMNS = tuple(Snapshot().fields)
# What a spreadsheet would evaluate as a formula; a negative number is not one.
_FORMULA = re.compile(r"[=+@\t\r]|-(?![0-9]+(\.[0-9]+)?$)")


def negotiate(response: Response, file_name: str) -> Response:
    """Return the response, or its `snapshots` as CSV to clients that prefer it (RFC 9110, 12.5.1)."""
    response.vary.add("Accept")
    # Parameters such as a charset do not matter.
    accepted = MIMEAccept([(value.partition(";")[0], quality) for value, quality in request.accept_mimetypes])
    if accepted.best_match([JSON, CSV], JSON) == CSV:
        response.set_data(_csv(json.loads(response.get_data(), parse_float=str)["snapshots"]))
        response.content_type = f"{CSV}; charset=utf-8; header=present"
        response.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return response


def _csv(snapshots: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    rows.writerows([cell(snapshot[name]) for name in COLUMNS] for snapshot in snapshots)
    return text.getvalue()


def cell(value: str | None) -> str:
    """Return the text of a cell, empty for null. An apostrophe keeps a formula from being evaluated."""
    if value is None:
        return ""
    return f"'{value}" if _FORMULA.match(value) else value


_CSV_EXAMPLE = {
    "schema": {"type": "string"},
    "example": _csv(json.loads(json.dumps(examples.HISTORY["snapshots"]), parse_float=str)),
}
# What the contract says about it.
OPENAPI = (
    {CSV: _CSV_EXAMPLE},
    {
        "Vary": {"description": "Varies by Accept.", "schema": {"type": "string"}},
        "Content-Disposition": {"description": "Suggested file name (CSV only).", "schema": {"type": "string"}},
    },
)
