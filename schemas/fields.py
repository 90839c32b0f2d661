"""Field types of the API: instants, amounts, UUIDs, currencies, sources, time zones.

A field's `json_schema` describes its values, as far as JSON Schema can. If the type has a `json_schema_name`,
the contract has one schema of that name, to which every field of the type refers.
"""

import calendar
import contextlib
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, available_timezones

import marshmallow as ma
from iso4217 import Currency as Iso4217

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)

# The digits of the minor unit of each current ISO 4217 code that has one; precious metals and some funds have none.
MINOR_UNITS = {currency.code: currency.exponent for currency in Iso4217 if currency.exponent is not None}

INTERVALS = ("day", "week", "month", "quarter", "year")
# The zones of the IANA database, without the entries that depend on the machine or name no place.
TIME_ZONES = available_timezones() - {"localtime", "Factory", "posixrules"}

SOURCES = ("account_sync", "holdings_sync", "manual_sync", "scheduled_sync", "initial_connection")


class Uuid(ma.fields.Field[str]):
    """A UUID with its dashes, in upper or lower case (rule 9); loads as a string in lower case."""

    json_schema: ClassVar[dict[str, Any]] = {"type": "string", "format": "uuid"}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or not UUID.fullmatch(value):
            raise ma.ValidationError("Must be a UUID.")
        return value.lower()


class Money(ma.fields.Field[Decimal]):
    """An exact amount, as a string of up to 15 digits before the point and 4 after it (rule 7)."""

    _PATTERN = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,4})?")
    json_schema: ClassVar[dict[str, Any]] = {"type": "string", "format": "decimal", "pattern": f"^{_PATTERN.pattern}$"}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Decimal:
        if not isinstance(value, str) or not self._PATTERN.fullmatch(value):
            raise ma.ValidationError(
                'Must be a string like "-1234.56": up to 15 digits before the point and up to 4 after it.'
            )
        return Decimal(value)


class Currency(ma.fields.Field[str]):
    """A current ISO 4217 code that has a minor unit, in upper case (rule 20).

    The contract lists no codes: a code that ISO withdraws remains in stored snapshots, and a client generated from a
    list would fail on them.
    """

    json_schema_name: ClassVar[str] = "Currency"
    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": "^[A-Z]{3}$",
        "description": "ISO 4217 code. Only current codes that have a minor unit can be captured.",
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or value not in MINOR_UNITS:
            raise ma.ValidationError("Must be a current ISO 4217 currency code that has a minor unit.")
        return value


class Source(ma.fields.Field[str]):
    """The kind of sync that captured a snapshot: one of SOURCES."""

    json_schema_name: ClassVar[str] = "Source"
    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "enum": list(SOURCES),
        "description": "The kind of sync that captured a snapshot.",
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or value not in SOURCES:
            raise ma.ValidationError(f"Must be one of {', '.join(SOURCES)}.")
        return value


class Text(ma.fields.Field[str]):
    """A string that the database can store."""

    _UNSTORABLE = re.compile("[\0\ud800-\udfff]")

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ma.ValidationError("Must be a string.")
        if self._UNSTORABLE.search(value):
            raise ma.ValidationError("Must not contain NUL or an unpaired surrogate.")
        return value


class Reason(Text):
    """A string of 1 to 500 characters (rule 32)."""

    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "minLength": 1,
        "maxLength": 500,
        "pattern": "^[^\\u0000]*$",
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= 500:
            raise ma.ValidationError("Must be a string of 1 to 500 characters.")
        return super()._deserialize(value, *args, **kwargs)


class Instant(ma.fields.Field[datetime]):
    """A point in time in ISO 8601's usual forms, including every form of RFC 3339 (rule 8); loads in UTC.

    A time without an offset is read as UTC, a date alone as its midnight in UTC. A leap second is read as the second
    after it, as in POSIX time. A space may replace the T before a time with seconds, as RFC 3339 allows, but not before
    hours and minutes alone: in a URL, these may be an offset that has lost its plus sign.
    """

    json_schema: ClassVar[dict[str, Any]] = {"type": "string", "format": "date-time"}

    _PATTERN = re.compile(
        r"(?P<date>\d{4}-\d\d-\d\d|\d{8}|\d{4}-W\d\d-\d|\d{4}W\d{3})"
        r"(?:(?:[Tt]|[ ](?=\d\d:?\d\d:?\d\d))(?P<hour>\d\d)(?P<colon>:?)(?P<minute>\d\d)"
        r"(?:(?P=colon)(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
        r"(?:[Zz]|(?P<sign>[+-])(?P<offset_hour>[01]\d|2[0-3])(?::?(?P<offset_minute>[0-5]\d))?)?)?",
        re.ASCII,
    )
    # The form of nearly all instants, which Python parses itself.
    _USUAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3}([0-9]{3})?)?Z")

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> datetime:
        if isinstance(value, str) and self._USUAL.fullmatch(value):
            with contextlib.suppress(ValueError):
                return datetime.fromisoformat(value)
        parts = self._PATTERN.fullmatch(value) if isinstance(value, str) else None
        if parts is None:
            raise ma.ValidationError(self.describe_form(value))
        if len(parts["fraction"] or "") > 6:
            raise ma.ValidationError("Must have at most 6 fraction digits.")
        try:
            return self._in_utc(parts)
        except OverflowError:
            raise ma.ValidationError("Must be from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z.") from None
        except ValueError:
            raise ma.ValidationError("Must be a date and time that exists.") from None

    def describe_form(self, value: Any) -> str:
        """Return the message about a value that is in none of these forms."""
        return "Must be a date and time in ISO 8601, like 2025-12-26T10:00:00Z."

    @staticmethod
    def _in_utc(parts: re.Match[str]) -> datetime:
        """Return the instant. Raises ValueError if there is none, OverflowError outside the years 1 to 9999."""
        second = int(parts["second"] or 0)
        local = datetime.combine(
            date.fromisoformat(parts["date"]),
            time(
                int(parts["hour"] or 0),
                int(parts["minute"] or 0),
                min(second, 59) if second <= 60 else second,
                int((parts["fraction"] or "").ljust(6, "0")),
                UTC,
            ),
        )
        offset = timedelta(hours=int(parts["offset_hour"] or 0), minutes=int(parts["offset_minute"] or 0))
        instant = local + offset if parts["sign"] == "-" else local - offset
        if second == 60:
            month_end = calendar.monthrange(instant.year, instant.month)[1]
            if (instant.day, instant.hour, instant.minute) != (month_end, 23, 59):
                raise ValueError
            instant += timedelta(seconds=1)
        return instant


class Limit(ma.fields.Field[int]):
    """The number of items to return: a plain integer of ASCII digits from 1 to `maximum`, never clamped (rule 11)."""

    _PATTERN = re.compile(r"[1-9]\d{0,3}", re.ASCII)

    def __init__(self, maximum: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.maximum = maximum
        self.json_schema = {"type": "integer", "minimum": 1, "maximum": maximum}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        if not self._PATTERN.fullmatch(value) or int(value) > self.maximum:
            raise ma.ValidationError(f"Must be a whole number from 1 to {self.maximum}.")
        return int(value)


class Interval(ma.fields.Field[str]):
    """A calendar interval: one of INTERVALS (rule 27)."""

    json_schema_name: ClassVar[str] = "Interval"
    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "enum": list(INTERVALS),
        "description": "A calendar interval; weeks are ISO weeks.",
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if value not in INTERVALS:
            raise ma.ValidationError(f"Must be one of {', '.join(INTERVALS)}.")
        return str(value)


class TimeZone(ma.fields.Field[ZoneInfo]):
    """The name of an IANA time zone (rule 27)."""

    json_schema: ClassVar[dict[str, Any]] = {"type": "string", "format": "time-zone"}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> ZoneInfo:
        if value not in TIME_ZONES:
            raise ma.ValidationError("Must be the name of an IANA time zone, like Europe/Berlin.")
        return ZoneInfo(value)
