"""Files as spreadsheets and other programs write them: imported if they are unambiguous."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from snapshots.rows import MAX_ROW_LENGTH
from tests.support import Caller
from tests.support.captures import only_snapshot
from tests.support.command_line import Flasks, Stored, as_csv, series


def rewrite(text: str, form: str) -> bytes:
    """Return a CSV file of ours as another program would have written it."""
    lines = text.splitlines()
    quoted = io.StringIO()
    csv.writer(quoted, quoting=csv.QUOTE_ALL).writerows(csv.reader(lines))
    width = len(lines[0].split(","))
    blank = "," * (width - 1)
    rewritten = {
        "names in capitals": [lines[0].upper(), *lines[1:]],
        "names in mixed case with spaces": [lines[0].replace("_", " ").title().replace(",", " , "), *lines[1:]],
        "names in camel case": [lines[0].title().replace("_", ""), *lines[1:]],
        "a space before each name and value": [line.replace(",", ", ") for line in lines],
        "no-break spaces after the values": [
            lines[0],
            *(line.replace(",", "\N{NO-BREAK SPACE},") for line in lines[1:]),
        ],
        "Excel's line for commas": ["sep=,", *lines],
        "Excel's line for commas, quoted": ['"SEP=,"', *lines],
        "empty columns at the end": [f"{line},," for line in lines],
        "empty columns at the end of the header": [f"{lines[0]}, ,", *(f"{line},," for line in lines[1:])],
        "blank lines": ["", *lines[:2], "", *lines[2:], "", "  ", "\t"],
        "lines of empty cells": [*lines[:2], blank, *lines[2:], blank, f"{blank},,"],
        "every cell in quotation marks": quoted.getvalue().splitlines(),
        "dates without a time": [line.replace("T00:00:00Z", "") for line in lines],
        "no line break at the end": lines,
    }
    ending = {"line breaks of Windows": "\r\n", "line breaks of old Macs": "\r"}.get(form, "\n")
    encoding = "utf-8-sig" if form == "a byte order mark" else "utf-8"
    content = ending.join(rewritten.get(form, lines))
    return (content if "no line break" in form else content + ending).encode(encoding)


@pytest.mark.parametrize(
    "form",
    [
        "names in capitals",
        "names in mixed case with spaces",
        "names in camel case",
        "a space before each name and value",
        "no-break spaces after the values",
        "Excel's line for commas",
        "Excel's line for commas, quoted",
        "empty columns at the end",
        "empty columns at the end of the header",
        "blank lines",
        "lines of empty cells",
        "every cell in quotation marks",
        "dates without a time",
        "no line break at the end",
        "line breaks of Windows",
        "line breaks of old Macs",
        "a byte order mark",
    ],
)
def test_an_unambiguous_file_is_imported(
    flask: Flasks, tmp_path: Path, stored: Stored, user_id: str, account_id: str, form: str
) -> None:
    path = tmp_path / "real.csv"
    path.write_bytes(rewrite(as_csv(*series(user_id, account_id)), form))

    done = flask("snapshots", "import", str(path))

    assert "3 rows, 3 new, 0 duplicates, 0 with faults" in done.stderr
    assert [(row[1].isoformat(), row[3]) for row in stored()] == [
        ("2025-01-01T00:00:00+00:00", "100.50"),
        ("2025-01-02T00:00:00+00:00", "101.50"),
        ("2025-01-03T00:00:00+00:00", "102.50"),
    ]


@pytest.mark.parametrize("first_lines", ["", "sep=,\n", "\n\n"])
def test_a_fault_names_its_line_in_the_file_whatever_precedes_the_header(
    flask: Flasks, tmp_path: Path, user_id: str, account_id: str, first_lines: str
) -> None:
    items = series(user_id, account_id, 2)
    path = tmp_path / "real.csv"
    path.write_text(first_lines + as_csv(items[0], items[1] | {"balance": "?"}))

    done = flask("snapshots", "import", str(path))

    assert f"line {first_lines.count(chr(10)) + 3}, balance: " in done.stderr


def test_more_blank_lines_than_a_row_has_characters_may_precede_the_header(
    flask: Flasks, tmp_path: Path, user_id: str, account_id: str
) -> None:
    """Each blank line used to slow down the reading of the lines after it."""
    path = tmp_path / "real.csv"
    path.write_text("\n" * (MAX_ROW_LENGTH + 1) + as_csv(*series(user_id, account_id)))

    done = flask("snapshots", "import", str(path))

    assert "3 rows, 3 new, 0 duplicates, 0 with faults" in done.stderr


@pytest.mark.parametrize("spaces", ["  ", " \N{NO-BREAK SPACE}"])
def test_a_blank_optional_amount_is_null(
    flask: Flasks, tmp_path: Path, user: Caller, user_id: str, account_id: str, spaces: str
) -> None:
    item: dict[str, Any] = series(user_id, account_id, 1)[0] | {"cash_value": spaces}
    path = tmp_path / "real.csv"
    path.write_text(as_csv(item), encoding="utf-8")

    assert flask("snapshots", "import", str(path)).returncode == 0
    assert only_snapshot(user, account_id)["cash_value"] is None
