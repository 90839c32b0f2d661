"""Histories as CSV (RFC 4180), safe to open in a spreadsheet."""

import csv
import io
import json
import re
from typing import Any

from flask import Response

from schemas import examples
from schemas.responses import Snapshot
from snapshots.csv_times import time_columns, with_microseconds

MEDIA_TYPE = "text/csv"
COLUMNS = tuple(Snapshot().fields)
_TIMES = time_columns(Snapshot())
# Text that a spreadsheet would evaluate as a formula; a negative number is not one.
_FORMULA = re.compile(r"[=+@\t\r]|-(?![0-9]+(\.[0-9]+)?$)")


def csv_response(body: str, file_name: str) -> Response:
    """Return the `snapshots` of a response body in JSON as a CSV file with a header row."""
    response = Response(
        to_csv(json.loads(body, parse_float=str)["snapshots"]),
        content_type=f"{MEDIA_TYPE}; charset=utf-8; header=present",
    )
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return response


def to_csv(snapshots: list[dict[str, Any]]) -> str:
    """Return a row for each snapshot, under a header row with the names of the members."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for snapshot in snapshots:
        times = {name: with_microseconds(snapshot[name]) for name in _TIMES}
        rows.writerow([times.get(name) or cell(snapshot[name]) for name in COLUMNS])
    return text.getvalue()


def cell(value: str | None) -> str:
    """Return the text of a cell, empty for null. An apostrophe keeps a formula from being evaluated."""
    if value is None:
        return ""
    return f"'{value}" if _FORMULA.match(value) else value


EXAMPLE = to_csv(json.loads(json.dumps(examples.HISTORY["snapshots"]), parse_float=str))
# The headers of the response, for the contract.
HEADERS = {"Content-Disposition": {"description": "Suggested file name.", "schema": {"type": "string"}}}
