"""The request body of a capture (rule 20)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import marshmallow as ma

from schemas.batch import Item, Items
from schemas.fields import Currency, Instant, Money, Source, Uuid

# How far a caller's clock may be ahead of ours.
CLOCK_TOLERANCE = timedelta(seconds=60)


class CapturedAt(Instant):
    """An instant that is at most CLOCK_TOLERANCE in the future."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> datetime:
        instant = super()._deserialize(value, *args, **kwargs)
        if instant > datetime.now(UTC) + CLOCK_TOLERANCE:
            raise ma.ValidationError("Must not be in the future.")
        return instant


class CaptureItem(Item):
    """A snapshot as a sync job sends it."""

    user_id = Uuid(required=True, metadata={"description": "Id of the account's owner."})
    account_id = Uuid(
        required=True,
        metadata={"description": "Id of the account, which belongs to the user for whom it was first captured."},
    )
    balance = Money(required=True)
    available_balance = Money(load_default=None, allow_none=True)
    holdings_value = Money(load_default=None, allow_none=True)
    cash_value = Money(load_default=None, allow_none=True)
    currency = Currency(required=True)
    source = Source(required=True)
    captured_at = CapturedAt(
        required=True,
        metadata={
            "description": "When the balance was observed, in ISO 8601, at most 60 s in the future. `account_id`,"
            " `captured_at` and `source` are the snapshot's key."
        },
    )


# The names of the amounts, in the order of captured_amounts in the database.
AMOUNTS = tuple(name for name, field in CaptureItem().fields.items() if isinstance(field, Money))


class CaptureBatch(ma.Schema):
    """A batch of snapshots, stored as a whole or not at all."""

    snapshots = Items(CaptureItem, "snapshots")
