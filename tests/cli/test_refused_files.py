"""Ambiguous files: each is refused with what was found, on which line, and what is expected."""

import gzip
from pathlib import Path

import pytest

from snapshots.rows import COLUMNS
from tests.support import USER, snapshot
from tests.support.command_line import DATA_FAULT, Flasks, Stored, as_csv, as_ndjson, series

TEXT = as_csv(*series(USER, USER))
EXPECTED = "expected commas, as in user_id,account_id,balance,currency,source,captured_at."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            TEXT.replace(",", ";").encode(),
            f"line 1: The columns are separated by semicolons; {EXPECTED} Found 'user_id;account_id;balance;",
            id="semicolons",
        ),
        pytest.param(
            TEXT.replace(",", '";"').encode(), "line 1: The columns are separated by semicolons", id="semicolons quoted"
        ),
        pytest.param(
            TEXT.replace(".", ",").replace(",", ";").encode(), "are separated by semicolons", id="a German file"
        ),
        pytest.param(TEXT.replace(",", "\t").encode(), "line 1: The columns are separated by tabs", id="tabs"),
        pytest.param(TEXT.replace(",", "|").encode(), "line 1: The columns are separated by vertical bars", id="bars"),
        pytest.param(f"sep=;\n{TEXT.replace(',', ';')}".encode(), f"line 1: Found 'sep=;'; {EXPECTED}", id="sep=;"),
        pytest.param(f"sep=\t\n{TEXT}".encode(), f"line 1: Found 'sep='; {EXPECTED}", id="sep=tab"),
        pytest.param(
            as_csv(columns=(*COLUMNS, " Balance")).encode(),
            "line 1: The header row names a column twice: 'balance', ' Balance'.",
            id="two columns of one name",
        ),
        pytest.param(
            f",{TEXT}".encode(), "line 1: The header row has no name for column 1.", id="a column without a name"
        ),
        pytest.param(
            TEXT.partition("\n")[2].encode(),
            "line 1: Expected a header row, with the columns user_id, account_id, balance, currency, source,"
            f" captured_at at least. Found '{USER},d3",
            id="no header",
        ),
        pytest.param(
            f'{TEXT}"caf\N{LATIN SMALL LETTER E WITH ACUTE}'.encode("latin-1"),
            "line 5: Is not UTF-8: found the byte 0xE9 ('\N{LATIN SMALL LETTER E WITH ACUTE}' in Windows-1252);"
            " save the file as UTF-8.",
            id="Latin-1",
        ),
        pytest.param(
            TEXT.encode("utf-16"), "line 1: The file is UTF-16; save it as CSV in UTF-8.", id="UTF-16 with a mark"
        ),
        pytest.param(
            TEXT.encode("utf-16-le"), "line 1: The file is UTF-16 or not text; save it", id="UTF-16 without a mark"
        ),
        pytest.param(
            b"PK\x03\x04\x14\x00\x06\x00\x08\x00\xff\xff", "line 1: The file is an Excel workbook", id="a workbook"
        ),
        pytest.param(gzip.compress(TEXT.encode()), "line 1: The file is gzipped; its name must end in .gz.", id="gzip"),
        pytest.param(
            f'{TEXT}"{USER}\n{TEXT}'.encode(),
            "line 5: The quotation marks of this row do not match: unexpected end of data.",
            id="an open quotation mark",
        ),
        pytest.param(
            b'[{"balance": "1"}]\n',
            'line 1: Is not a JSON object. Found \'[{"balance": "1"}]\'.',
            id="a JSON array on one line",
        ),
        pytest.param(
            b'[\n  {"balance": "1"}\n]\n',
            "line 1: Is not valid JSON; expected an object on each line. Found '['.",
            id="a JSON array",
        ),
    ],
)
def test_an_ambiguous_file_is_refused_with_what_was_found_and_what_is_expected(
    flask: Flasks, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "real.csv"
    path.write_bytes(content)

    done = flask("snapshots", "import", str(path))

    assert done.returncode == DATA_FAULT
    assert f"{path}, line" in done.stderr
    assert message in done.stderr


AMOUNT = 'balance: Must be a string like "-1234.56": up to 15 digits before the point and up to 4 after it. Found '
POINT = 'write a point before the decimals and nothing between the thousands, as in "1234.56".'
TIME = "captured_at: Must be a date and time in ISO 8601, like 2025-12-26T10:00:00Z. Found "
YEAR_FIRST = 'write the year first, as in "2025-12-26", because some files put the day first and others the month.'


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("balance", "1234,56", f"{AMOUNT}'1234,56': {POINT}"),
        ("balance", "1.234,56", f"{AMOUNT}'1.234,56': {POINT}"),
        ("balance", "1,234.56", f"{AMOUNT}'1,234.56': {POINT}"),
        ("balance", "1 234.56", f"{AMOUNT}'1 234.56': {POINT}"),
        ("balance", "1\N{NO-BREAK SPACE}234.56", f"{AMOUNT}'1\\xa0234.56': {POINT}"),
        ("balance", "1'234.56", f'{AMOUNT}"1\'234.56": {POINT}'),
        ("balance", "1.234.567", f"{AMOUNT}'1.234.567': {POINT}"),
        ("balance", "$5.00", f"{AMOUNT}'$5.00': leave out the currency."),
        ("balance", "5.00 EUR", f"{AMOUNT}'5.00 EUR': leave out the currency."),
        ("balance", "5.00 kr.", f"{AMOUNT}'5.00 kr.': leave out the currency."),
        ("balance", "US$ 5", f"{AMOUNT}'US$ 5': leave out the currency."),
        ("balance", "2025-01-01T00:00:00Z", f"{AMOUNT}'2025-01-01T00:00:00Z'."),
        ("balance", "\N{EURO SIGN}5", f"{AMOUNT}'\N{EURO SIGN}5': leave out the currency."),
        ("balance", "$1,234.56", f"{AMOUNT}'$1,234.56': {POINT.rstrip('.')}; leave out the currency."),
        ("balance", "(5.00)", f"{AMOUNT}'(5.00)': write a negative amount as in \"-1234.56\"."),
        ("balance", "5.00-", f"{AMOUNT}'5.00-': write a negative amount as in \"-1234.56\"."),
        (
            "balance",
            "\N{MINUS SIGN}5.00",
            f"{AMOUNT}'\N{MINUS SIGN}5.00': write a negative amount as in \"-1234.56\".",
        ),
        ("balance", "+5.00", f"{AMOUNT}'+5.00': leave out the plus sign."),
        ("balance", "1.23E+05", f"{AMOUNT}'1.23E+05': write all digits instead of an exponent."),
        ("balance", "N/A", f"{AMOUNT}'N/A'."),
        ("balance", " ", AMOUNT.replace("Found ", "It is empty.")),
        ("captured_at", "26/12/2025", f"{TIME}'26/12/2025': {YEAR_FIRST}"),
        ("captured_at", "12/26/25 10:00", f"Found '12/26/25 10:00': {YEAR_FIRST}"),
        ("captured_at", "3.4.2025", f"{TIME}'3.4.2025': {YEAR_FIRST}"),
        ("captured_at", "2025/12/26", f"{TIME}'2025/12/26': write hyphens, as in \"2025-12-26\"."),
        ("captured_at", "46017", f"{TIME}'46017': a spreadsheet counts days like this; write the date"),
        ("captured_at", "1735689600", f"{TIME}'1735689600': write the date instead of the seconds since 1970"),
        ("captured_at", "2025-12-26 10:00", "Found '2025-12-26 10:00': write a T before the time"),
        ("captured_at", "26 Dec 2025", f"{TIME}'26 Dec 2025'."),
        ("currency", "usd", "has a minor unit. Found 'usd': write \"USD\"."),
        ("currency", "US Dollar", "has a minor unit. Found 'US Dollar'."),
        ("source", "Holdings Sync", "Found 'Holdings Sync': write \"holdings_sync\"."),
        ("source", "bank", "initial_connection. Found 'bank'."),
        ("account_id", f"{{{USER}}}", f"account_id: Must be a UUID. Found '{{{USER}}}'."),
    ],
)
def test_a_malformed_value_is_refused_with_the_value_and_how_to_write_it(
    flask: Flasks, tmp_path: Path, stored: Stored, user_id: str, account_id: str, field: str, value: str, message: str
) -> None:
    good, bad = series(user_id, account_id, 2)
    path = tmp_path / "real.csv"
    path.write_text(as_csv(good, bad | {field: value}), encoding="utf-8")

    done = flask("snapshots", "import", str(path))

    assert done.returncode == DATA_FAULT
    assert f"{path}, line 3, {field}: " in done.stderr
    assert message in done.stderr
    assert stored() == []


def test_a_decimal_comma_that_splits_its_cell_is_refused_with_the_row(flask: Flasks, tmp_path: Path) -> None:
    path = tmp_path / "real.csv"
    path.write_text("balance,currency,user_id,account_id,source,captured_at\n100,50,USD,u,a,account_sync,2025-01-01\n")

    done = flask("snapshots", "import", str(path))

    assert (
        "line 2: Has 7 cells; the header has 6: a cell that contains a comma must be in quotation marks."
        " Found '100,50,USD,u,a,account_sync,2025-01-01'." in done.stderr
    )


@pytest.mark.parametrize("amount", ["1234,56", "1,234.56"])
def test_a_comma_in_an_amount_is_refused_although_the_last_cells_are_blank(
    flask: Flasks, tmp_path: Path, stored: Stored, user_id: str, account_id: str, amount: str
) -> None:
    """If blank cells beyond the header were ignored, the row would be valid, with two amounts made of one."""
    path = tmp_path / "real.csv"
    path.write_text(
        "user_id,account_id,currency,source,captured_at,balance,available_balance\n"
        f"{user_id},{account_id},USD,account_sync,2025-01-01,{amount},\n"
    )

    done = flask("snapshots", "import", str(path))

    assert (
        "line 2: Has 8 cells; the header has 7: a cell that contains a comma must be in quotation marks." in done.stderr
    )
    assert f"2025-01-01,{amount},'." in done.stderr
    assert stored() == []


def test_a_value_of_an_ndjson_file_is_shown_as_json(
    flask: Flasks, tmp_path: Path, user_id: str, account_id: str
) -> None:
    path = tmp_path / "real.ndjson"
    path.write_text(as_ndjson(snapshot(user_id, account_id) | {"balance": 12.5, "currency": ["USD"]}))

    done = flask("snapshots", "import", str(path))

    assert "up to 4 after it. Found 12.5.\n" in done.stderr
    assert 'has a minor unit. Found ["USD"].\n' in done.stderr


@pytest.mark.parametrize("place", ["value", "header", "row", "line of JSON", "name of JSON"])
def test_no_control_character_of_a_file_reaches_the_terminal(flask: Flasks, tmp_path: Path, place: str) -> None:
    evil = "\x1b[2J\x07\x9b\N{RIGHT-TO-LEFT OVERRIDE}\x7f"
    item = snapshot(USER, USER)
    content = {
        "value": as_csv(item | {"currency": evil}),
        "header": as_csv(columns=(*COLUMNS, evil)),
        "row": f"{as_csv(item)}{evil},{evil}\n",
        "line of JSON": f'{{"{evil}',
        "name of JSON": as_ndjson({evil: 1}),
    }[place]
    path, errors = tmp_path / "real.csv", tmp_path / "errors.csv"
    path.write_text(content, encoding="utf-8")

    done = flask("snapshots", "import", str(path), "--errors", str(errors))

    assert "\\x1b[2J\\x07\\x9b\\u202e\\x7f" in done.stderr
    for output in done.stderr, errors.read_text(encoding="utf-8"):
        assert not set(evil) - set("[2J") & set(output)


def test_a_long_value_is_shortened(flask: Flasks, tmp_path: Path) -> None:
    path = tmp_path / "real.csv"
    path.write_text(as_csv(snapshot(USER, USER) | {"balance": "9" * 5000}))

    done = flask("snapshots", "import", str(path))

    assert f"Found '{'9' * 60}...'." in done.stderr
