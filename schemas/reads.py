"""Query parameters of the reads. A parameter that a schema does not name is refused (rule 11)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import marshmallow as ma

from schemas.fields import Instant, Limit, Source

_FORMS = "ISO 8601; UTC without an offset, midnight UTC for a date alone. Write + as %2B."
_SOURCE = {"description": "Restrict to one source; changes are computed within it."}


class NoParameters(ma.Schema):
    """Schema of an operation that takes no query parameters."""


@dataclass(frozen=True, kw_only=True)
class HistoryParams:
    start_date: datetime
    end_date: datetime
    source: str | None


class HistoryParameters(ma.Schema):
    """Loads HistoryParams."""

    start_date = Instant(required=True, metadata={"description": f"First instant of the range. {_FORMS}"})
    end_date = Instant(required=True, metadata={"description": f"Last instant of the range, after the first. {_FORMS}"})
    source = Source(load_default=None, metadata=_SOURCE)

    @ma.validates_schema
    def _validate_range(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["start_date"] >= data["end_date"]:
            raise ma.ValidationError("Must be before end_date.", "start_date")

    @ma.post_load
    def _make_params(self, data: dict[str, Any], **kwargs: Any) -> HistoryParams:
        return HistoryParams(**data)


@dataclass(frozen=True, kw_only=True)
class ListParams:
    limit: int
    source: str | None


class ListParameters(ma.Schema):
    """Loads ListParams."""

    limit = Limit(100, load_default=30, metadata={"description": "Maximum number of snapshots to return."})
    source = Source(load_default=None, metadata=_SOURCE)

    @ma.post_load
    def _make_params(self, data: dict[str, Any], **kwargs: Any) -> ListParams:
        return ListParams(**data)
