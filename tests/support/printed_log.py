"""The log that the service prints."""

import contextlib
import io
import json
from collections.abc import Iterator
from typing import Any, TextIO

from service import logs

# Amounts whose digits occur nowhere by accident.
AMOUNT, OTHER_AMOUNT = "918273645.12", "564738291.34"


class Output:
    """The output of the service."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines, without those of the connection pool, which come at any time. Fails if one is not JSON."""
        lines: list[dict[str, Any]] = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if line["logger"] != "psycopg.pool"]


@contextlib.contextmanager
def printing_to(stream: TextIO) -> Iterator[None]:
    """Configure the log on another standard output, as at startup."""
    try:
        with contextlib.redirect_stdout(stream):
            logs.configure("INFO")
            yield
    finally:
        logs.configure("INFO")


@contextlib.contextmanager
def printing() -> Iterator[Output]:
    """Record what goes to standard output until the context ends."""
    stream = io.StringIO()
    with printing_to(stream):
        yield Output(stream)
