"""The constraints of the schema: invalid data cannot be stored, even by hand."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from schemas.capture import AMOUNTS
from schemas.fields import MINOR_UNITS, SOURCES
from tests.support.sql import Connection, value

USER, ANOTHER_USER = (UUID(int=n) for n in (1, 2))


@pytest.fixture
def account(connection: Connection) -> UUID:
    """An account of USER."""
    account_id = uuid4()
    connection.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, USER])
    return account_id


def insert(connection: Connection, account: UUID, **values: Any) -> None:
    """Insert a valid snapshot, changed by these values."""
    row = {
        "user_id": USER,
        "account_id": account,
        "balance": Decimal("100.00"),
        "currency": "USD",
        "source": "account_sync",
        "captured_at": "2025-01-01T00:00:00Z",
        **values,
    }
    connection.execute(
        sql.SQL("INSERT INTO balance_snapshots ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(map(sql.Placeholder, row))
        ),
        row,
    )


# What may be stored


def all_valid_except(column: str, amount: str, currency: str) -> dict[str, str]:
    """Return values that are all valid, except perhaps this amount."""
    return {"balance": f"{1:.{MINOR_UNITS[currency]}f}", "currency": currency, column: amount}


every_amount = pytest.mark.parametrize("column", AMOUNTS)


@every_amount
@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("0.00", "USD"),
        ("-10.125", "USD"),
        ("999999999999999.9999", "USD"),
        ("-999999999999999.9999", "USD"),
        ("1500", "JPY"),
        ("1500.5", "JPY"),
        ("1.234", "KWD"),
        ("1.2340", "CLF"),
    ],
)
def test_an_amount_with_the_digits_that_reads_return_is_stored(
    amount: str, currency: str, column: str, connection: Connection, account: UUID
) -> None:
    insert(connection, account, **all_valid_except(column, amount, currency))


@every_amount
@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("NaN", "USD"),
        ("Infinity", "USD"),
        ("-Infinity", "USD"),
        ("1000000000000000.00", "USD"),
        ("-1000000000000000.00", "USD"),
        ("1.00001", "USD"),
        ("25", "USD"),
        ("25.0", "USD"),
        ("25.000", "USD"),
        ("25.1250", "USD"),
        ("1500.0", "JPY"),
        ("1.2", "KWD"),
        ("1.234", "CLF"),
    ],
)
def test_any_other_amount_is_refused(
    amount: str, currency: str, column: str, connection: Connection, account: UUID
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        insert(connection, account, **all_valid_except(column, amount, currency))

    assert caught.value.diag.constraint_name == f"balance_snapshots_{column}_is_amount"


@pytest.mark.parametrize("column", ["captured_at", "created_at"])
@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_an_instant_with_a_year_of_four_digits_is_stored(
    instant: str, column: str, connection: Connection, account: UUID
) -> None:
    insert(connection, account, **{column: instant})


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"currency": "ZZZ", "balance": "1.25"}, "currency_is_iso_4217"),
        ({"currency": "usd", "balance": "1.25"}, "currency_is_iso_4217"),
        ({"currency": "XAU", "balance": "1.25"}, "currency_is_iso_4217"),
        ({"currency": "", "balance": "1.25"}, "currency_is_iso_4217"),
        ({"id": UUID("550e8400-e29b-41d4-a716-446655440000")}, "id_is_uuid_v7"),
        ({"id": UUID(int=0)}, "id_is_uuid_v7"),
        *(
            ({column: instant}, "times_have_four_digit_years")
            for column in ("captured_at", "created_at")
            for instant in ("infinity", "-infinity", "10000-01-01T00:00:00Z", "0001-12-31T23:59:59Z BC")
        ),
    ],
    ids=str,
)
def test_an_invalid_currency_id_or_year_is_refused(
    values: dict[str, Any], constraint: str, connection: Connection, account: UUID
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        insert(connection, account, **values)

    assert caught.value.diag.constraint_name == f"balance_snapshots_{constraint}"


def test_an_unknown_source_is_refused(connection: Connection, account: UUID) -> None:
    with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="snapshot_source"):
        insert(connection, account, source="bank_sync")


@pytest.mark.parametrize(
    "column", ["id", "user_id", "account_id", "balance", "currency", "source", "captured_at", "created_at"]
)
def test_a_snapshot_without_a_required_value_is_refused(column: str, connection: Connection, account: UUID) -> None:
    with pytest.raises(psycopg.errors.NotNullViolation) as caught:
        insert(connection, account, **{column: None})

    assert caught.value.diag.column_name == column


@pytest.mark.parametrize("row", [(None, USER), (uuid4(), None)], ids=["no id", "no user"])
def test_an_account_without_an_id_or_a_user_is_refused(
    row: tuple[UUID | None, UUID | None], connection: Connection
) -> None:
    with pytest.raises(psycopg.errors.NotNullViolation):
        connection.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", row)


def test_an_account_has_one_user(connection: Connection, account: UUID) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        connection.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account, ANOTHER_USER])

    assert caught.value.diag.constraint_name == "accounts_pkey"


@pytest.mark.parametrize(
    "values", [{"user_id": ANOTHER_USER}, {"account_id": uuid4()}], ids=["another user's", "nobody's"]
)
def test_a_snapshot_belongs_to_an_account_of_its_user(
    values: dict[str, UUID], connection: Connection, account: UUID
) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation) as caught:
        insert(connection, account, **values)

    assert caught.value.diag.constraint_name == "balance_snapshots_account_of_user"


def test_an_account_has_one_snapshot_for_each_instant_and_source(connection: Connection, account: UUID) -> None:
    insert(connection, account)
    insert(connection, account, source="manual_sync")
    insert(connection, account, captured_at="2025-01-01T00:00:00.000001Z")

    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        insert(connection, account, balance="7.00", captured_at="2025-01-01T01:00:00+01:00")

    assert caught.value.diag.constraint_name == "balance_snapshots_natural_key"


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE balance_snapshots SET balance = 7.00 WHERE account_id = %s", "balance_snapshots_stay_as_captured"),
        ("UPDATE balance_snapshots SET id = id WHERE account_id = %s", "balance_snapshots_stay_as_captured"),
        ("UPDATE accounts SET user_id = gen_random_uuid() WHERE id = %s", "accounts_keep_their_owner"),
        ("UPDATE accounts SET id = gen_random_uuid() WHERE id = %s", "accounts_keep_their_owner"),
    ],
)
def test_stored_rows_are_never_updated(statement: str, constraint: str, connection: Connection, account: UUID) -> None:
    insert(connection, account)

    with pytest.raises(psycopg.errors.IntegrityConstraintViolation) as caught:
        connection.execute(statement.encode(), [account])

    assert caught.value.diag.constraint_name == constraint


def test_an_account_with_snapshots_is_not_deleted(connection: Connection, account: UUID) -> None:
    insert(connection, account)

    with pytest.raises(psycopg.errors.ForeignKeyViolation) as caught:
        connection.execute("DELETE FROM accounts WHERE id = %s", [account])

    assert caught.value.diag.constraint_name == "balance_snapshots_account_of_user"


def test_every_unique_key_of_snapshots_holds_the_user(connection: Connection) -> None:
    """Otherwise the table could not be partitioned by user."""
    keys = connection.execute(
        "SELECT constraint_name::text, bool_or(column_name = 'user_id') FROM information_schema.key_column_usage"
        " JOIN information_schema.table_constraints USING (constraint_name, table_name)"
        " WHERE table_name = 'balance_snapshots' AND constraint_type IN ('PRIMARY KEY', 'UNIQUE')"
        " GROUP BY constraint_name"
    ).fetchall()

    assert dict(keys) == {"balance_snapshots_pkey": True, "balance_snapshots_natural_key": True}


def test_a_snapshot_that_is_inserted_by_hand_gets_an_id_and_a_creation_time(
    connection: Connection, account: UUID
) -> None:
    insert(connection, account)

    rows = connection.execute(
        "SELECT id, created_at BETWEEN transaction_timestamp() AND clock_timestamp() FROM balance_snapshots"
        " WHERE account_id = %s",
        [account],
    ).fetchall()
    assert [(uuid.version, is_now) for uuid, is_now in rows] == [(7, True)]


# Lists that both the code and the database hold


def test_the_database_knows_every_currency_that_capture_accepts(connection: Connection) -> None:
    rows = connection.execute("SELECT code, minor_unit(code) FROM unnest(%s::text[]) AS code", [list(MINOR_UNITS)])

    assert dict(rows.fetchall()) == MINOR_UNITS


def test_the_database_has_the_sources_of_the_api(connection: Connection) -> None:
    assert value(connection, "enum_range(NULL::snapshot_source)::text[]") == list(SOURCES)
