"""The query parameters of the three reads. A parameter that a schema does not name is refused (ruling 11)."""

from typing import Any

import marshmallow as ma

from schemas.fields import Instant, Limit, Source

_FORMS = "ISO 8601; without an offset it is UTC, a date alone is its midnight. Write + as %2B."
_OF_SOURCE = {"description": "The series of this source alone: its snapshots, and their changes among themselves."}


class NoParameters(ma.Schema):
    """For what takes no parameters at all."""


class HistoryParameters(ma.Schema):
    start_date = Instant(required=True, metadata={"description": f"The range's first instant. {_FORMS}"})
    end_date = Instant(required=True, metadata={"description": f"The range's last instant, after the first. {_FORMS}"})
    source = Source(load_default=None, metadata=_OF_SOURCE)

    @ma.validates_schema
    def _check_range(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["start_date"] >= data["end_date"]:
            raise ma.ValidationError("Must be before end_date.", "start_date")


class RecentParameters(ma.Schema):
    limit = Limit(100, load_default=30, metadata={"description": "How many to return at most."})
    source = Source(load_default=None, metadata=_OF_SOURCE)
