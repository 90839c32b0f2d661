"""Progress of the import of a file: a bar on a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import click
from click import progressbar

from snapshots.files import InputFile
from snapshots.rows import Row

# Rows per line of progress, and per move of the bar. A smaller file only gets the line with its outcome.
ROWS_PER_LINE = 100_000
ROWS_PER_MOVE = 1_000
_BAR_LENGTH = 1000
# Measured with 200,000 rows: reading and checking take three tenths of the time, storing the rest.
_SHARE_OF_READING = 0.3


def display(file: InputFile, name: str) -> "LineDisplay":
    """Return the display of a file's progress, to be entered as a context."""
    return BarDisplay(file, name) if file.size is not None and sys.stderr.isatty() else LineDisplay(file, name)


class LineDisplay:
    """Progress as lines on standard error."""

    def __init__(self, file: InputFile, name: str) -> None:
        self._file = file
        self._name = name
        self._started_at = time.monotonic()
        self._rows_read = 0

    def __enter__(self) -> "LineDisplay":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def rate(self) -> float:
        """Rows per second since the start."""
        return self._rows_read / max(time.monotonic() - self._started_at, 0.001)

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the file. Raises snapshots.rows.FileError."""
        for row in self._file.rows():
            yield row
            self._rows_read += 1
            self._after_row()

    def _after_row(self) -> None:
        if self._rows_read % ROWS_PER_LINE == 0:
            self.say(f"{self._name}: {self._rows_read:,} rows checked")

    def begin_step(self, step: str, share: float) -> None:
        """Show the next step after the reading. `share`: how much of these steps is done, from 0 to 1."""
        if self._rows_read >= ROWS_PER_LINE:
            self.say(f"{self._name}: {step}")

    def say(self, message: str) -> None:
        """Print a line."""
        click.echo(message, err=True)


class BarDisplay(LineDisplay):
    """Progress as a bar with the rows per second and the time left, over reading and storing."""

    def __init__(self, file: InputFile, name: str) -> None:
        super().__init__(file, name)
        self._bar: Any = progressbar(length=_BAR_LENGTH, label=name, file=sys.stderr)

    def __enter__(self) -> "BarDisplay":
        self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if not any(error):
            self._move(1, f"{self._rows_read:,} rows, {self.rate:,.0f}/s")
        self._bar.__exit__(*error)

    def _after_row(self) -> None:
        if self._rows_read % ROWS_PER_MOVE == 0:
            assert self._file.size is not None
            share = min(self._file.position / max(self._file.size, 1), 1)
            self._move(share * _SHARE_OF_READING, f"{self._rows_read:,} rows, {self.rate:,.0f}/s")

    def begin_step(self, step: str, share: float) -> None:
        self._move(_SHARE_OF_READING + share * (1 - _SHARE_OF_READING), step)

    def _move(self, share: float, label: str) -> None:
        self._bar.label = f"{self._name}: {label}"
        self._bar.update(max(int(share * _BAR_LENGTH) - self._bar.pos, 0))
        # update() draws nothing unless the bar gets longer.
        self._bar.render_progress()

    def say(self, message: str) -> None:
        """Print a line in place of the bar, which is drawn again below it."""
        click.echo(f"\r\x1b[K{message}", err=True)
        self._bar.render_progress()
