"""Answers as sheets: CSV (RFC 4180) for who asks for it, safe to open in a spreadsheet."""

import csv
import io
import json
import re
from typing import Any

from flask import Response, request
from werkzeug.datastructures import MIMEAccept

from schemas import examples
from schemas.answers import Snapshot

JSON, CSV = "application/json", "text/csv"
COLUMNS = tuple(Snapshot().fields)
# What a spreadsheet would take for a formula. A negative number is none.
_FORMULA = re.compile(r"[=+@\t\r]|-(?![0-9]+(\.[0-9]+)?$)")


def as_asked(answer: Response, file_name: str) -> Response:
    """An answer in JSON whose `snapshots` are sent as CSV to who prefers that (RFC 9110, 12.5.1), else as it is."""
    answer.vary.add("Accept")
    # Whatever a client says of a charset, there is one.
    asked = MIMEAccept([(value.partition(";")[0], quality) for value, quality in request.accept_mimetypes])
    if asked.best_match([JSON, CSV], JSON) == CSV:
        answer.set_data(_sheet(json.loads(answer.get_data(), parse_float=str)["snapshots"]))
        answer.content_type = f"{CSV}; charset=utf-8; header=present"
        answer.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return answer


def _sheet(snapshots: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    rows.writerows([cell(snapshot[name]) for name in COLUMNS] for snapshot in snapshots)
    return text.getvalue()


def cell(value: str | None) -> str:
    """The text of a cell; null is empty. What would be run as a formula is made text by an apostrophe."""
    if value is None:
        return ""
    return f"'{value}" if _FORMULA.match(value) else value


_SHEET = {
    "schema": {"type": "string"},
    "example": _sheet(json.loads(json.dumps(examples.HISTORY["snapshots"]), parse_float=str)),
}
# What the contract says of it.
IN_CONTRACT = (
    {CSV: _SHEET},
    {
        "Vary": {"description": "`Accept` decides on the form.", "schema": {"type": "string"}},
        "Content-Disposition": {"description": "Of a sheet: a name to save it by.", "schema": {"type": "string"}},
    },
)
