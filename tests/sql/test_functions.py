"""The SQL functions of the schema."""

import pytest

from tests.support.sql import Connection, value


@pytest.mark.parametrize(
    ("previous", "current", "percent"),
    [
        ("24500.00", "25000.00", "2.04"),
        ("20000.00", "22500.00", "12.5"),
        ("100.00", "90.00", "-10.0"),
        ("100.00", "100.00", "0.0"),
        ("-1000.00", "-500.00", "50.0"),
        ("-500.00", "-1000.00", "-100.0"),
        ("-100.00", "100.00", "200.0"),
        ("100.00", "0.00", "-100.0"),
        ("3.00", "4.00", "33.33"),
        ("3.00", "5.00", "66.67"),
        # half a hundredth, of both signs, and its neighbours
        ("200.00", "200.01", "0.01"),
        ("200.00", "199.99", "-0.01"),
        ("-200.00", "-199.99", "0.01"),
        ("-200.00", "-200.01", "-0.01"),
        ("200.00", "200.03", "0.02"),
        ("200.00", "200.0099", "0.0"),
        ("200.00", "199.9901", "0.0"),
        ("100000.00", "99999.9999", "0.0"),
        # exact with every digit that an amount has
        ("999999999999999.9999", "1001249999999999.9998", "0.12"),
        ("999999999999999.9999", "998750000000000.0000", "-0.12"),
        ("800000000000000.0000", "801000000000000.0000", "0.13"),
        # 1.00499999999999999..., which PostgreSQL's own division rounds to 1.005
        ("999999999999999.9999", "989950000000000.0000", "-1.0"),
        ("-999999999999999.9999", "-989950000000000.0000", "1.0"),
        ("0.0001", "999999999999999.9999", "999999999999999999800.0"),
        ("999999999999999.9999", "-999999999999999.9999", "-200.0"),
        ("0.00", "0.00", None),
        ("0.00", "5.00", None),
        ("0.00", "-5.00", None),
        (None, "5.00", None),
        ("5.00", None, None),
    ],
)
def test_a_change_in_percent_is_exact_and_rounded_half_away_from_zero(
    previous: str | None, current: str | None, percent: str | None, connection: Connection
) -> None:
    assert value(connection, "change_percent(%s, %s)::text", previous, current) == percent


@pytest.mark.parametrize(
    ("instant", "printed"),
    [
        ("2025-12-26T10:00:00Z", "2025-12-26T10:00:00Z"),
        ("2025-12-26T10:00:00.12345Z", "2025-12-26T10:00:00.123450Z"),
        ("2025-12-26T10:00:00.000001Z", "2025-12-26T10:00:00.000001Z"),
        ("2025-12-26T23:30:00-01:30", "2025-12-27T01:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("1883-11-18T12:00:00.5Z", "1883-11-18T12:00:00.500000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Apia", "America/New_York"])
@pytest.mark.parametrize("style", ["ISO, MDY", "German, DMY"])
def test_an_instant_is_printed_in_utc_whatever_the_settings_of_the_session(
    instant: str, printed: str, zone: str, style: str, connection: Connection
) -> None:
    connection.execute("SELECT set_config('TimeZone', %s, true), set_config('DateStyle', %s, true)", [zone, style])

    assert value(connection, "utc_iso8601(%s::timestamptz)", instant) == printed


def test_a_uuid_v7_holds_its_instant_and_microseconds(connection: Connection) -> None:
    uuid = value(connection, "uuid_v7('2025-12-26T10:00:00.123750Z', 0)")

    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    assert uuid.int >> 80 == 1766743200123
    assert (uuid.int >> 64) & 0xFFF == 750 * 4096 // 1000


@pytest.mark.parametrize("instant", ["2025-12-26T10:00:00Z", "2025-12-26T10:00:00.999600Z", "1970-01-01T00:00:00Z"])
def test_uuids_v7_of_one_instant_ascend_with_their_ordinals(instant: str, connection: Connection) -> None:
    rows = connection.execute(
        "SELECT uuid_v7(%s, ordinal) FROM generate_series(0, 1500) AS ordinal ORDER BY ordinal", [instant]
    ).fetchall()

    uuids = [uuid for (uuid,) in rows]
    assert uuids == sorted(set(uuids))
    assert {(uuid.version, uuid.variant) for uuid in uuids} == {(7, "specified in RFC 4122")}


def test_uuids_v7_of_one_instant_differ(connection: Connection) -> None:
    uuids = value(connection, "array_agg(uuid_v7('2025-12-26', 0)) FROM generate_series(1, 1000)")

    assert len(set(uuids)) == 1000
