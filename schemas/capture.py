"""The request body of a capture (rule 20)."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import marshmallow as ma

from schemas.fields import Currency, Instant, Money, Source, Uuid

MAX_BATCH_SIZE = 1000
# How far a sender's clock may be ahead of ours.
CLOCK_TOLERANCE = timedelta(seconds=60)


class CapturedAt(Instant):
    """An instant that is not in the future."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> datetime:
        instant = super()._deserialize(value, *args, **kwargs)
        if instant > datetime.now(UTC) + CLOCK_TOLERANCE:
            raise ma.ValidationError("Must not be in the future.")
        return instant


class CaptureItem(ma.Schema):
    """A snapshot as a sync job saw it."""

    user_id = Uuid(required=True, metadata={"description": "Owner of the account."})
    account_id = Uuid(required=True, metadata={"description": "Belongs to the user it was first captured for."})
    balance = Money(required=True)
    available_balance = Money(load_default=None, allow_none=True)
    holdings_value = Money(load_default=None, allow_none=True)
    cash_value = Money(load_default=None, allow_none=True)
    currency = Currency(required=True)
    source = Source(required=True)
    captured_at = CapturedAt(
        required=True,
        metadata={"description": "ISO 8601, at most 60 s ahead. With account and source it is the snapshot's key."},
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._loaders: list[tuple[str, ma.fields.Field[Any], Callable[..., Any]]] = [
            (name, field, field._deserialize) for name, field in self.fields.items()
        ]

    def load(self, data: Any, **options: Any) -> Any:
        """Load an item; leave an invalid one to marshmallow, which lists every fault."""
        try:
            return self.load_valid(data)
        except ma.ValidationError:
            return super().load(data, **options)

    def load_valid(self, data: Any) -> dict[str, Any]:
        """Load an item, without saying what is wrong with an invalid one.

        A batch has a thousand items: marshmallow takes 80 microseconds for one, this takes 15. Raises
        marshmallow.ValidationError.
        """
        if type(data) is not dict:
            raise _NOT_VALID
        item = {}
        known = 0
        for name, field, deserialize in self._loaders:
            if name not in data:
                if field.required:
                    raise _NOT_VALID
                item[name] = field.load_default
                continue
            known += 1
            if data[name] is not None:
                item[name] = deserialize(data[name], name, data)
            elif field.allow_none:
                item[name] = None
            else:
                raise _NOT_VALID
        if known < len(data):
            raise _NOT_VALID
        return item


_NOT_VALID = ma.ValidationError("Not valid.")
_item = CaptureItem()


class _Items(ma.fields.List[Any]):
    """A list that checks its length before it validates its items."""

    json_schema: ClassVar[dict[str, Any]] = {"type": "array", "minItems": 1, "maxItems": MAX_BATCH_SIZE}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, list):
            if not 1 <= len(value) <= MAX_BATCH_SIZE:
                raise ma.ValidationError(f"Must hold 1 to {MAX_BATCH_SIZE} snapshots.")
            with contextlib.suppress(ma.ValidationError):
                return [_item.load_valid(item) for item in value]
        return super()._deserialize(value, *args, **kwargs)


class CaptureBatch(ma.Schema):
    """A batch, stored or rejected as a whole."""

    snapshots = _Items(ma.fields.Nested(CaptureItem), required=True)
