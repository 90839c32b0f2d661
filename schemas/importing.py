"""The rows of an imported file: current snapshots, in the form of a capture, and superseded ones."""

from typing import Any

import marshmallow as ma

from schemas.capture import CapturedAt, CaptureItem
from schemas.fields import Reason, Text, Uuid

_SUPERSEDED_ONLY = ("reason", "superseded_at", "superseded_by", "replaced_by")
_REQUIRED_IF_SUPERSEDED = ("id", "created_at", "reason")


class ImportItem(CaptureItem):
    """A row: a superseded snapshot if it has a `superseded_at`, else a current one."""

    id = Uuid(load_default=None, allow_none=True)
    created_at = CapturedAt(load_default=None, allow_none=True)
    reason = Reason(load_default=None, allow_none=True)
    superseded_at = CapturedAt(load_default=None, allow_none=True)
    superseded_by = Text(load_default=None, allow_none=True)
    replaced_by = Uuid(load_default=None, allow_none=True)

    def load(self, data: Any, **options: Any) -> Any:
        """Load a row. Raises marshmallow.ValidationError."""
        item = super().load(data, **options)
        faults = {}
        if item["id"] is not None and item["id"][14] != "7":
            faults["id"] = ["Must be a UUIDv7."]
        if item["superseded_at"] is None:
            faults |= {
                name: ["Is for superseded snapshots only."] for name in _SUPERSEDED_ONLY if item[name] is not None
            }
        else:
            faults |= {
                name: ["Is required for a superseded snapshot."]
                for name in _REQUIRED_IF_SUPERSEDED
                if item[name] is None
            }
            # CSV cannot distinguish an empty subject from a missing one.
            item["superseded_by"] = item["superseded_by"] or ""
        if faults:
            raise ma.ValidationError(faults)
        return item
