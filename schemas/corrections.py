"""The request body of a batch of corrections (rule 32)."""

import marshmallow as ma

from schemas.batch import Item, Items
from schemas.capture import CaptureItem
from schemas.fields import Instant, Reason, Source, Uuid


class Replacement(CaptureItem):
    """The values that the snapshot should have had; an omitted amount is null."""

    class Meta:
        exclude = ("user_id", "account_id", "source", "captured_at")


class CorrectionItem(Item):
    """A wrong snapshot, identified by its id and its key, and its replacement."""

    id = Uuid(required=True, metadata={"description": "Id of the snapshot."})
    user_id = Uuid(required=True)
    account_id = Uuid(required=True)
    source = Source(required=True)
    captured_at = Instant(required=True, metadata={"description": "When the balance was observed, in ISO 8601."})
    reason = Reason(
        required=True, metadata={"description": "Why the snapshot is wrong. The account's owner can read this."}
    )
    replacement = ma.fields.Nested(
        Replacement, required=True, allow_none=True, metadata={"description": "Null withdraws the snapshot."}
    )


class CorrectionBatch(ma.Schema):
    """A batch of corrections, stored as a whole or not at all."""

    corrections = Items(CorrectionItem, "corrections")
