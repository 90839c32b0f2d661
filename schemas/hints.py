"""Hints about the values that an import refuses: the value itself, and how to write it instead."""

import json
import re
from typing import Any

import marshmallow as ma

from schemas.fields import MINOR_UNITS, SOURCES, Currency, Instant, Money, Source

MAX_SHOWN_LENGTH = 60
# In a row, cells are cut short, so that the two ids at its beginning leave room for the others.
MAX_SHOWN_CELLS, MAX_SHOWN_CELL_LENGTH = 20, 12

# A currency sign after up to four letters, as in US$, or up to four letters alone, as in EUR or kr.
_CURRENCY = r"([^\W\d_]{0,4}[$\u00a2-\u00a5\u20a0-\u20cf]|[^\W\d_]{1,4}\.?)"
_NUMBER = r"-?\d[\d.,'\u2019\s]*"

_AMOUNT_HINTS = (
    (
        re.compile(r"\d[,'\u2019\s]+\d|\.\d+\."),
        'write a point before the decimals and nothing between the thousands, as in "1234.56"',
    ),
    (re.compile(r"\d[eE][+-]?\d"), "write all digits instead of an exponent"),
    (re.compile(rf"^(-?{_CURRENCY}\s*{_NUMBER}|{_NUMBER}{_CURRENCY})$"), "leave out the currency"),
    (re.compile(r"^(\(.*\d\)|[\u2212\u2013]\D*\d.*|.*\d\s*-)$"), 'write a negative amount as in "-1234.56"'),
    (re.compile(r"^\+"), "leave out the plus sign"),
)
_TIME_HINTS = (
    (
        re.compile(r"\d{1,2}[/.-]\d{1,2}[/.-](\d{4}|\d\d)\b"),
        'write the year first, as in "2025-12-26", because some files put the day first and others the month',
    ),
    (re.compile(r"\d{4}[/.]\d{1,2}[/.]\d{1,2}\b"), 'write hyphens, as in "2025-12-26"'),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d$"), 'write a T before the time, as in "2025-12-26T10:00Z"'),
    (re.compile(r"\d{5}([.,]\d*)?$"), 'a spreadsheet counts days like this; write the date, as in "2025-12-26"'),
    (re.compile(r"\d{10}(\d{3})?([.,]\d*)?$"), 'write the date instead of the seconds since 1970, as in "2025-12-26"'),
)


def printable(value: Any) -> str:
    """Return a value from a file in printable form: shortened, text in quotes, without control characters."""
    text = _shortened(value if isinstance(value, str) else json.dumps(value), MAX_SHOWN_LENGTH)
    # repr() escapes control characters, and those that change the direction of text.
    return repr(text) if isinstance(value, str) else text


def printable_row(cells: list[str]) -> str:
    """Return a row of a file in printable form, with each cell shortened."""
    rest = ["..."] if len(cells) > MAX_SHOWN_CELLS else []
    return repr(",".join([_shortened(cell, MAX_SHOWN_CELL_LENGTH) for cell in cells[:MAX_SHOWN_CELLS]] + rest))


def _shortened(text: str, maximum: int) -> str:
    return f"{text[:maximum]}..." if len(text) > maximum else text


def describe(field: ma.fields.Field[Any], value: Any) -> str:
    """Return a sentence about a refused value, to follow the error message of its field."""
    if isinstance(value, str) and not value.strip():
        return "It is empty."
    hints = _hints(field, value.strip()[:MAX_SHOWN_LENGTH]) if isinstance(value, str) else []
    return f"Found {printable(value)}{': ' if hints else ''}{'; '.join(hints)}."


def _hints(field: ma.fields.Field[Any], value: str) -> list[str]:
    match field:
        case Money():
            return [hint for pattern, hint in _AMOUNT_HINTS if pattern.search(value)]
        case Instant():
            return [hint for pattern, hint in _TIME_HINTS if pattern.match(value)]
        case Currency() if value.upper() in MINOR_UNITS:
            return [f'write "{value.upper()}"']
        case Source() if "_".join(value.lower().split()) in SOURCES:
            return [f'write "{"_".join(value.lower().split())}"']
    return []
