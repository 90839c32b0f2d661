"""The query parameters of the three reads. A parameter that a schema does not name is refused (ruling 11)."""

from typing import Any

import marshmallow as ma

from schemas.base import Schema
from schemas.fields import Instant, Limit, Source

_FORMS = "ISO 8601; without an offset it is UTC, a date alone is its midnight. Write + as %2B."
_OF_SOURCE = {"description": "The series of this source alone: its snapshots, and their changes among themselves."}


class NoParameters(Schema):
    """For what takes no parameters at all."""


class HistoryParameters(Schema):
    start_date = Instant(required=True, metadata={"description": f"The range's first instant. {_FORMS}"})
    end_date = Instant(required=True, metadata={"description": f"The range's last instant, after the first. {_FORMS}"})
    source = Source(load_default=None, metadata=_OF_SOURCE)

    def is_coherent(self, loaded: dict[str, Any]) -> bool:
        return bool(loaded["start_date"] < loaded["end_date"])

    @ma.validates_schema
    def _check_range(self, data: dict[str, Any], **kwargs: Any) -> None:
        if not self.is_coherent(data):
            raise ma.ValidationError("Must be before end_date.", "start_date")


class RecentParameters(Schema):
    limit = Limit(100, load_default=30, metadata={"description": "How many to return at most."})
    source = Source(load_default=None, metadata=_OF_SOURCE)
