"""Streaming readers and writers of snapshot files: CSV (RFC 4180) and NDJSON, one row per snapshot.

A row has the fields of `schemas.importing.ImportItem`; a file may leave out those that a capture does not have. In CSV
an empty cell is null.
"""

import contextlib
import csv
import gzip
import io
import itertools
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple, TextIO

from schemas.capture import CaptureItem
from schemas.importing import ImportItem
from service import strict_json

# The columns of a capture, and all columns of an import.
COLUMNS = tuple(CaptureItem().fields)
ALL_COLUMNS = tuple(ImportItem().fields)
# In characters; a snapshot takes a few hundred.
MAX_ROW_LENGTH = 100_000
REQUIRED = tuple(name for name, field in CaptureItem().fields.items() if field.required)


class FileError(Exception):
    """A file that violates its format, from some line on."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Row(NamedTuple):
    line: int
    """First line of the row, from 1."""
    item: Any = None
    """Value to be loaded: a dict, unless an NDJSON line holds something else."""
    fault: str = ""
    """Why there is no item to load; empty if there is one."""


class Source:
    """An open file: its rows, and the position up to which they have been read."""

    def __init__(self, name: str, raw: IO[bytes], size: int | None) -> None:
        self.name = name
        self.size = size
        """Bytes on disk; None when unknown."""
        self._raw = raw

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._raw.tell() if self.size is not None else 0

    def rows(self) -> Iterator[Row]:
        """Yield the rows. Raises FileError."""
        name = self.name.lower().removesuffix(".gz")
        unpacked: Any = gzip.GzipFile(fileobj=self._raw) if name != self.name.lower() else self._raw
        with io.TextIOWrapper(unpacked, encoding="utf-8-sig", newline="") as text:
            lines = _Lines(text)
            try:
                # Standard input has no extension, and no CSV header starts with a brace.
                is_json = name.endswith((".ndjson", ".jsonl")) or lines.peek().startswith("{")
                yield from _json_rows(lines) if is_json else _csv_rows(lines)
            except UnicodeDecodeError:
                raise FileError(lines.number + 1, "This line or one after it is not UTF-8.") from None
            except (gzip.BadGzipFile, zlib.error, EOFError) as error:
                raise FileError(lines.number + 1, f"{error}.") from None
            except csv.Error as error:
                raise FileError(lines.number, f"{error}.") from None


@contextlib.contextmanager
def open_source(path: str) -> Iterator[Source]:
    """Open a file; `-` is standard input. Raises OSError."""
    if path == "-":
        yield Source("-", sys.stdin.buffer, None)
        return
    with Path(path).open("rb") as raw:
        yield Source(path, raw, Path(path).stat().st_size if Path(path).is_file() else None)


def write(rows: Iterable[tuple[str | None, ...]], columns: tuple[str, ...], out: TextIO, form: str) -> int:
    """Write rows of these columns as csv or ndjson; return their number."""
    write_row: Callable[[tuple[str | None, ...]], Any]
    if form == "csv":
        writer = csv.writer(out)
        writer.writerow(columns)
        write_row = writer.writerow
    else:

        def write_row(row: tuple[str | None, ...]) -> None:
            out.write(json.dumps(dict(zip(columns, row, strict=True)), separators=(",", ":")) + "\n")

    number = 0
    for number, row in enumerate(rows, 1):  # noqa: B007 - the last number is returned
        write_row(row)
    return number


class _Lines:
    """Numbered lines of a text. Rejects a row that is too long before it fills the memory."""

    def __init__(self, text: TextIO) -> None:
        self._lines = iter(partial(text.readline, MAX_ROW_LENGTH + 1), "")
        self.number = 0
        self._length = 0

    def peek(self) -> str:
        """Return the next line without consuming it."""
        line = next(self._lines, "")
        self._lines = itertools.chain([line] if line else [], self._lines)
        return line

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self._length += len(line)
        if self._length > MAX_ROW_LENGTH:
            raise FileError(self.number, f"The row is longer than {MAX_ROW_LENGTH:,} characters.")
        return line

    def begin_row(self) -> int:
        """Return the number of the line that the next row begins on."""
        self._length = 0
        return self.number + 1


def _csv_rows(lines: _Lines) -> Iterator[Row]:
    reader = csv.reader(lines, strict=True)
    header = next(reader, [])
    _validate_header(header)
    nullable = [name not in REQUIRED for name in header]
    line = lines.begin_row()
    for cells in reader:
        if len(cells) == len(header):
            yield Row(
                line,
                {
                    name: None if may_be_null and cell == "" else cell
                    for name, cell, may_be_null in zip(header, cells, nullable, strict=True)
                },
            )
        elif cells:
            yield Row(line, fault=f"Has {len(cells)} cells; the header has {len(header)}.")
        line = lines.begin_row()


def _validate_header(header: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    unknown = [name for name in header if name not in ALL_COLUMNS]
    if missing or unknown or len(set(header)) < len(header):
        problems = [f"lacks {', '.join(missing)}"] if missing else []
        problems += [f"has {', '.join(map(repr, unknown))}, which a snapshot does not have"] if unknown else []
        raise FileError(1, f"The header row {' and '.join(problems) or 'names a column twice'}.")


def _json_rows(lines: _Lines) -> Iterator[Row]:
    for line in lines:
        if line.strip():
            try:
                item = strict_json.loads(line)
            except (ValueError, RecursionError):
                yield Row(lines.number, fault="Is not valid JSON, or names a member twice.")
            else:
                yield Row(lines.number, item)
        lines.begin_row()
