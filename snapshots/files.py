"""Snapshot files in CSV or NDJSON: reads them as a stream of rows, gzipped or not, and writes them."""

import contextlib
import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TextIO

from schemas.importing import ImportItem
from snapshots.csv_times import time_columns, with_microseconds
from snapshots.rows import FileError, Lines, Row, csv_rows, json_rows

_TIMES = time_columns(ImportItem())
# The first bytes of files that are not UTF-8, and the message about each kind.
_SIGNATURES = {
    b"\xff\xfe": "The file is UTF-16; save it as CSV in UTF-8.",
    b"\xfe\xff": "The file is UTF-16; save it as CSV in UTF-8.",
    b"PK\x03\x04": "The file is an Excel workbook or a ZIP archive; save it as CSV in UTF-8.",
    b"\x1f\x8b": "The file is gzipped; its name must end in .gz.",
}


class InputFile:
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
            lines = Lines(text)
            try:
                # Standard input has no extension, and no CSV header starts with a brace or a bracket.
                is_json = name.endswith((".ndjson", ".jsonl")) or lines.peek().startswith(("{", "["))
                yield from json_rows(lines) if is_json else csv_rows(lines)
            except UnicodeDecodeError as error:
                raise _encoding_error(lines.number, error) from None
            except (gzip.BadGzipFile, zlib.error, EOFError) as error:
                raise FileError(lines.number + 1, f"{error}.") from None


def _encoding_error(lines_read: int, error: UnicodeDecodeError) -> FileError:
    """Return the error about a file that is not UTF-8, from the part of it that could not be decoded."""
    for signature, message in _SIGNATURES.items():
        if lines_read == 0 and error.object.startswith(signature):
            return FileError(1, message)
    line = lines_read + 1 + len(re.findall(rb"\r\n|\r|\n", error.object[: error.start]))
    byte = error.object[error.start : error.start + 1]
    character = byte.decode("cp1252", errors="backslashreplace")
    return FileError(
        line,
        f"Is not UTF-8: found the byte 0x{byte.hex().upper()} ({character!r} in Windows-1252); save the file as UTF-8.",
    )


@contextlib.contextmanager
def open_input(path: str) -> Iterator[InputFile]:
    """Open a file; `-` is standard input. Raises OSError."""
    if path == "-":
        yield InputFile("-", sys.stdin.buffer, None)
        return
    with Path(path).open("rb") as raw:
        yield InputFile(path, raw, Path(path).stat().st_size if Path(path).is_file() else None)


def write(rows: Iterable[tuple[str | None, ...]], columns: tuple[str, ...], out: TextIO, form: str) -> int:
    """Write rows as csv or ndjson, cut to these columns, which come first; return the number of rows."""
    if form == "csv":
        writer = csv.writer(out)
        writer.writerow(columns)
        times = [n for n, name in enumerate(columns) if name in _TIMES]

        def write_row(row: tuple[str | None, ...]) -> None:
            cells = list(row)
            for n in times:
                if time := cells[n]:
                    cells[n] = with_microseconds(time)
            writer.writerow(cells)

    else:

        def write_row(row: tuple[str | None, ...]) -> None:
            out.write(json.dumps(dict(zip(columns, row, strict=True)), separators=(",", ":")) + "\n")

    number = 0
    for number, row in enumerate(rows, 1):  # noqa: B007 - the last number is returned
        write_row(row[: len(columns)])
    return number
