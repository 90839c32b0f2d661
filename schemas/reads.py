"""The query parameters of the three reads. A parameter that a schema does not name is refused (ruling 11)."""

from typing import Any

import marshmallow as ma

from schemas.fields import Instant, Limit, Source


class NoParameters(ma.Schema):
    """For what takes no parameters at all."""


class HistoryParameters(ma.Schema):
    start_date = Instant(required=True)
    end_date = Instant(required=True)
    source = Source(load_default=None)

    @ma.validates_schema
    def _check_range(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["start_date"] >= data["end_date"]:
            raise ma.ValidationError("Must be before end_date.", "start_date")


class RecentParameters(ma.Schema):
    limit = Limit(100, load_default=30)
    source = Source(load_default=None)
