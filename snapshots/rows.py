"""The rows of a snapshot file: CSV (RFC 4180, with commas) and NDJSON, read line by line.

A row has the fields of `schemas.importing.ImportItem`; a file may omit those that a capture does not have. In CSV an
empty cell is null.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, TextIO

from schemas.capture import CaptureItem
from schemas.fields import Text
from schemas.hints import printable, printable_row
from schemas.importing import ImportItem
from service import strict_json

# The columns of a capture, and all columns of an import.
COLUMNS = tuple(CaptureItem().fields)
ALL_COLUMNS = tuple(ImportItem().fields)
# In characters; a snapshot takes a few hundred.
MAX_ROW_LENGTH = 100_000
REQUIRED = tuple(name for name, field in CaptureItem().fields.items() if field.required)

_NULLABLE = {name for name in ALL_COLUMNS if name not in REQUIRED}
_TEXTS = {name for name, field in ImportItem().fields.items() if isinstance(field, Text)}
# Names as a header may write them: "Captured At" is captured_at.
_NAMES = {name.replace("_", ""): name for name in ALL_COLUMNS}
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# A line that only Excel writes, before the header.
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_EXPECTED = f"expected commas, as in {','.join(REQUIRED)}"


class FileError(Exception):
    """A file that cannot be read any further, because a line violates the format."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Row(NamedTuple):
    line: int
    """First line of the row, from 1."""
    item: dict[str, Any] | None = None
    """Members, not validated yet."""
    fault: str = ""
    """Why there is no item to load; empty if there is one."""


class Lines:
    """Numbered lines of a text. Rejects a row that is too long before it fills the memory."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._peeked = ""
        self.number = 0
        self.row_start = 1
        """Number of the line on which the current row begins."""
        self._length = 0

    def peek(self) -> str:
        """Return the next line without consuming it."""
        self._peeked = self._peeked or self._read()
        return self._peeked

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, self._peeked = self._peeked or self._read(), ""
        if not line:
            raise StopIteration
        self.number += 1
        self._length += len(line)
        if self._length > MAX_ROW_LENGTH:
            reason = " A quotation mark may be open." if self.number > self.row_start else ""
            raise FileError(self.row_start, f"The row is longer than {MAX_ROW_LENGTH:,} characters.{reason}")
        return line

    def _read(self) -> str:
        return self._text.readline(MAX_ROW_LENGTH + 1)

    def begin_row(self) -> None:
        """Note that the next line begins a row."""
        self._length = 0
        self.row_start = self.number + 1


def csv_rows(lines: Lines) -> Iterator[Row]:
    """Yield the rows of a CSV file. Raises FileError."""
    try:
        header, width = _read_header(lines)
        for cells in csv.reader(lines, strict=True):
            row = _csv_row(lines.row_start, header, width, cells)
            lines.begin_row()
            if row:
                yield row
    except csv.Error as error:
        raise FileError(lines.row_start, f"The quotation marks of this row do not match: {error}.") from None


def _csv_row(line: int, header: list[str], width: int, cells: list[str]) -> Row | None:
    """Return the row of these cells; None if all are blank, as on lines that a spreadsheet appends.

    `width`: the number of cells in the header, including blank ones at its end. A row must not have more, not even
    blank ones: where the last columns are blank, a decimal comma would turn one amount into two unnoticed.
    """
    if not any(cell.strip() for cell in cells):
        return None
    is_too_long = len(cells) > width or any(cell.strip() for cell in cells[len(header) :])
    if is_too_long or len(cells) < len(header):
        hint = ": a cell that contains a comma must be in quotation marks" if is_too_long else ""
        return Row(line, fault=f"Has {len(cells)} cells; the header has {width}{hint}. Found {printable_row(cells)}.")
    item: dict[str, str | None] = {}
    for name, cell in zip(header, cells, strict=False):
        value = cell if name in _TEXTS else cell.strip()
        item[name] = None if value == "" and name in _NULLABLE else value
    return Row(line, item)


def _read_header(lines: Lines) -> tuple[list[str], int]:
    """Read the header row; return the names of its columns as snapshots have them, and the number of its cells."""
    while (text := lines.peek()) and not text.strip():
        next(lines)
        lines.begin_row()
    if declared := _SEPARATOR_LINE.fullmatch(text):
        next(lines)
        if declared[1] != ",":
            raise FileError(lines.number, f"Found {printable(text.strip())}; {_EXPECTED}.")
        text = lines.peek()
    lines.begin_row()
    if "\0" in text:
        raise FileError(lines.row_start, "The file is UTF-16 or not text; save it as CSV in UTF-8.")
    for separator, name in _OTHER_SEPARATORS.items():
        if sum(_column(cell) in ALL_COLUMNS for cell in text.split(separator)) > 1:
            found = printable(text.strip())
            raise FileError(lines.row_start, f"The columns are separated by {name}; {_EXPECTED}. Found {found}.")
    cells = next(csv.reader(lines, strict=True), [])
    width = len(cells)
    # A spreadsheet appends empty columns too.
    while cells and not cells[-1].strip():
        cells.pop()
    header = [_column(cell) for cell in cells]
    _validate_header(lines.row_start, header, cells)
    lines.begin_row()
    return header, width


def _column(cell: str) -> str:
    """Return the column that a cell of the header names, whatever its case, spaces and underscores."""
    name = "".join(cell.split()).strip('"')
    return _NAMES.get(name.replace("_", "").lower(), cell)


def _validate_header(line: int, header: list[str], cells: list[str]) -> None:
    found = f" Found {printable(','.join(cells))}." if cells else " Found nothing."
    if not any(name in ALL_COLUMNS for name in header):
        raise FileError(line, f"Expected a header row, with the columns {', '.join(REQUIRED)} at least.{found}")
    missing = [name for name in REQUIRED if name not in header]
    unknown = [printable(name) for name in header if name.strip() and name not in ALL_COLUMNS]
    nameless = [str(number) for number, name in enumerate(header, 1) if not name.strip()]
    counts = Counter(name for name in header if name.strip())
    repeated = [printable(cell) for name, cell in zip(header, cells, strict=True) if counts[name] > 1]
    problems = [f"lacks {', '.join(missing)}"] if missing else []
    problems += [f"has {_join_first(unknown)}, which a snapshot does not have"] if unknown else []
    problems += [f"names a column twice: {_join_first(repeated)}"] if repeated else []
    problems += [f"has no name for column {_join_first(nameless)}"] if nameless else []
    if problems:
        raise FileError(line, f"The header row {' and '.join(problems)}.{found if missing else ''}")


def _join_first(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def json_rows(lines: Lines) -> Iterator[Row]:
    """Yield the rows of an NDJSON file. Raises FileError."""
    for line in lines:
        if line.strip():
            try:
                item = strict_json.loads(line)
            except strict_json.MalformedJsonError as error:
                yield Row(lines.number, fault=f"This line {error}. Found {printable(line.strip())}.")
            except (ValueError, RecursionError):
                fault = f"Is not valid JSON; expected an object on each line. Found {printable(line.strip())}."
                yield Row(lines.number, fault=fault)
            else:
                is_object = isinstance(item, dict)
                fault = "" if is_object else f"Is not a JSON object. Found {printable(line.strip())}."
                yield Row(lines.number, item if is_object else None, fault)
        lines.begin_row()
