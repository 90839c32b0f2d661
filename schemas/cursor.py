"""The opaque cursor of a paged list: where its next page begins, and which list it belongs to (rule 30)."""

import base64
import binascii
import json
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Self

import marshmallow as ma

from schemas.fields import Instant, Source, Uuid

_members = ma.fields.Tuple((ma.fields.String(), Uuid(), Source(allow_none=True), Instant(), Uuid()))


class Cursor(NamedTuple):
    """The last snapshot of a page; the next page begins with the one that follows it in the list."""

    list_name: str
    """The list's name in the path."""
    account_id: str
    source: str | None
    at: datetime
    """When it was captured or, in the list of corrections, superseded."""
    id: str

    def encode(self) -> str:
        """Return the cursor as text that needs no escaping in a URL."""
        members = json.dumps([self.list_name, self.account_id, self.source, self.at.isoformat(), self.id])
        return base64.urlsafe_b64encode(members.encode()).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> Self:
        """Return the cursor that `encode` made. Raises ValueError for any other text."""
        try:
            members = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
            cursor = cls(*_members.deserialize(members))
        except (binascii.Error, ma.ValidationError, RecursionError):
            raise ValueError from None
        if cursor.encode() != text:
            raise ValueError
        return cursor


class CursorField(ma.fields.Field[Cursor]):
    """A cursor, taken from the `Link` header of the previous page."""

    json_schema: ClassVar[dict[str, Any]] = {"type": "string", "format": "cursor"}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Cursor:
        try:
            return Cursor.decode(value)
        except ValueError:
            raise ma.ValidationError("Must be the cursor of a next link, unchanged.") from None
