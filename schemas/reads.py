"""Query parameters of the reads. A parameter that a schema does not name is refused (rule 11)."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import marshmallow as ma

from schemas.cursor import Cursor, CursorField
from schemas.fields import Instant, Interval, Limit, Source, TimeZone

_FORMS = "ISO 8601; a time without an offset is in UTC, and a date alone is its midnight in UTC."
_CURSOR = {"description": "Where the page begins. Take it, unchanged, from the `Link` header of the previous page."}
_SOURCE = {"description": "Restrict to one source; changes are computed within it."}


class QueryInstant(Instant):
    """An instant in a URL, where an unescaped + is a space (rule 8)."""

    _SPACE_FOR_PLUS = re.compile(r".*\d \d\d(:?\d\d)?", re.ASCII | re.DOTALL)

    def describe_form(self, value: Any) -> str:
        if self._SPACE_FOR_PLUS.fullmatch(value):
            return "Has a space in place of the sign of an offset. In a URL, write + as %2B."
        return super().describe_form(value)


@dataclass(frozen=True, kw_only=True)
class LatestParams:
    as_of: datetime | None


class LatestParameters(ma.Schema):
    """Loads LatestParams."""

    as_of = QueryInstant(
        load_default=None,
        metadata={"description": f"Ignore snapshots captured after this instant. {_FORMS}"},
    )

    @ma.post_load
    def _make_params(self, data: dict[str, Any], **kwargs: Any) -> LatestParams:
        return LatestParams(**data)


class _DateRange(ma.Schema):
    """A range of time, both ends included."""

    start_date = QueryInstant(
        required=True,
        metadata={"description": f"First instant of the range. {_FORMS}", "example": "2025-12-01T00:00:00Z"},
    )
    end_date = QueryInstant(
        required=True,
        metadata={
            "description": f"Last instant of the range, later than `start_date`. {_FORMS}",
            "example": "2025-12-31T23:59:59Z",
        },
    )

    @ma.validates_schema
    def _validate_range(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["start_date"] >= data["end_date"]:
            raise ma.ValidationError("Must be before end_date.", "start_date")


@dataclass(frozen=True, kw_only=True)
class HistoryParams:
    start_date: datetime
    end_date: datetime
    source: str | None
    interval: str | None
    time_zone: ZoneInfo
    """UTC unless the request names another one."""


class HistoryParameters(_DateRange):
    """Loads HistoryParams."""

    source = Source(load_default=None, metadata=_SOURCE)
    interval = Interval(
        load_default=None,
        metadata={
            "description": "Return only the last snapshot of each calendar day, ISO week, month, quarter or year."
            " Each change is relative to the row before."
        },
    )
    time_zone = TimeZone(
        load_default=None,
        metadata={"description": "IANA name of the time zone whose calendar `interval` follows; UTC by default."},
    )

    @ma.validates_schema
    def _validate_time_zone(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["time_zone"] is not None and data["interval"] is None:
            raise ma.ValidationError("Requires an interval.", "time_zone")

    @ma.post_load
    def _make_params(self, data: dict[str, Any], **kwargs: Any) -> HistoryParams:
        return HistoryParams(**data | {"time_zone": data["time_zone"] or ZoneInfo("UTC")})


@dataclass(frozen=True, kw_only=True)
class PortfolioParams:
    start_date: datetime
    end_date: datetime
    interval: str
    time_zone: ZoneInfo


class PortfolioParameters(_DateRange):
    """Loads PortfolioParams."""

    interval = Interval(
        load_default="day",
        metadata={"description": "Calendar interval of each point: a day, an ISO week, a month, a quarter or a year."},
    )
    time_zone = TimeZone(
        load_default=None,
        metadata={"description": "IANA name of the time zone whose calendar the points follow; UTC by default."},
    )

    @ma.post_load
    def _make_params(self, data: dict[str, Any], **kwargs: Any) -> PortfolioParams:
        return PortfolioParams(**data | {"time_zone": data["time_zone"] or ZoneInfo("UTC")})


@dataclass(frozen=True, kw_only=True)
class ListParams:
    limit: int
    source: str | None
    cursor: Cursor | None


class ListParameters(ma.Schema):
    """Loads ListParams."""

    limit = Limit(100, load_default=30, metadata={"description": "Maximum number of snapshots to return."})
    source = Source(load_default=None, metadata=_SOURCE)
    cursor = CursorField(load_default=None, metadata=_CURSOR)

    @ma.post_load
    def _make_params(self, data: dict[str, Any], **kwargs: Any) -> ListParams:
        return ListParams(**data)


@dataclass(frozen=True, kw_only=True)
class CorrectionsParams:
    limit: int
    cursor: Cursor | None


class CorrectionsParameters(ma.Schema):
    """Loads CorrectionsParams."""

    limit = Limit(100, load_default=30, metadata={"description": "Maximum number of corrections to return."})
    cursor = CursorField(load_default=None, metadata=_CURSOR)

    @ma.post_load
    def _make_params(self, data: dict[str, Any], **kwargs: Any) -> CorrectionsParams:
        return CorrectionsParams(**data)
