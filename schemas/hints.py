"""What an import says about a value that it refuses: the value itself, and how to write it instead."""

import json
import re
from typing import Any

import marshmallow as ma

from schemas.fields import MINOR_UNITS, SOURCES, Currency, Instant, Money, Source

MAX_SHOWN_LENGTH = 60

_FOR_AMOUNTS = (
    (
        re.compile(r"\d[,'\u2019\s]+\d|\.\d+\."),
        'write a point before the decimals and nothing between the thousands, as in "1234.56"',
    ),
    (re.compile(r"\d[eE][+-]?\d"), "write all digits instead of an exponent"),
    (re.compile(r"^(?=.*\d).*([^\W\d_eE]|[$¢£¤¥\u20a0-\u20bf])"), "leave out the currency"),
    (re.compile(r"^(\(.*\d\)|[\u2212\u2013]\D*\d.*|.*\d\s*-)$"), 'write a negative amount as in "-1234.56"'),
    (re.compile(r"^\+"), "leave out the plus sign"),
)
_FOR_TIMES = (
    (
        re.compile(r"\d{1,2}[/.-]\d{1,2}[/.-](\d{4}|\d\d)\b"),
        'write the year first, as in "2025-12-26", because day and month cannot be told apart',
    ),
    (re.compile(r"\d{4}[/.]\d{1,2}[/.]\d{1,2}\b"), 'write hyphens, as in "2025-12-26"'),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d$"), 'write a T before the time, as in "2025-12-26T10:00Z"'),
    (re.compile(r"\d{5}([.,]\d*)?$"), 'a spreadsheet counts days like this; write the date, as in "2025-12-26"'),
    (re.compile(r"\d{10}(\d{3})?([.,]\d*)?$"), 'write the date instead of the seconds since 1970, as in "2025-12-26"'),
)


def shown(value: Any) -> str:
    """Return a value of a file as it can be printed: shortened, a text in quotes, without control characters."""
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) > MAX_SHOWN_LENGTH:
        text = f"{text[:MAX_SHOWN_LENGTH]}..."
    # Besides control characters repr() escapes those that change the direction of a text.
    return repr(text) if isinstance(value, str) else text


def describe(field: ma.fields.Field[Any], value: Any) -> str:
    """Return the sentence about a refused value that follows the message of its field."""
    if isinstance(value, str) and not value.strip():
        return "It is empty."
    hints = _hints(field, value.strip()[:MAX_SHOWN_LENGTH]) if isinstance(value, str) else []
    return f"Found {shown(value)}{': ' if hints else ''}{'; '.join(hints)}."


def _hints(field: ma.fields.Field[Any], value: str) -> list[str]:
    match field:
        case Money():
            return [hint for pattern, hint in _FOR_AMOUNTS if pattern.search(value)]
        case Instant():
            return [hint for pattern, hint in _FOR_TIMES if pattern.match(value)]
        case Currency() if value.upper() in MINOR_UNITS:
            return [f'write "{value.upper()}"']
        case Source() if "_".join(value.lower().split()) in SOURCES:
            return [f'write "{"_".join(value.lower().split())}"']
    return []
