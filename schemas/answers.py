"""What goes out: the documented members, in the documented order. The SQL makes the answers; these describe them."""

import marshmallow as ma

from schemas.fields import SOURCES

_PERCENT = "Rounded half away from zero to two decimals. Null: there is nothing to compare with, or it was zero."


def _amount(description: str = "", *, allow_none: bool = False) -> ma.fields.String:
    pattern = ma.validate.Regexp(r"^-?[0-9]+(\.[0-9]{1,4})?$")
    return ma.fields.String(
        required=True, validate=pattern, allow_none=allow_none, metadata=_said(description, format="decimal")
    )


def _instant(description: str) -> ma.fields.String:
    pattern = ma.validate.Regexp(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z$")
    return ma.fields.String(required=True, validate=pattern, metadata=_said(description, format="date-time"))


def _said(description: str, **more: str) -> dict[str, str]:
    return {"description": description, **more} if description else more


def _source() -> ma.fields.String:
    return ma.fields.String(
        required=True, validate=ma.validate.OneOf(SOURCES), metadata={"description": "What it was captured by."}
    )


def _count(description: str) -> ma.fields.Integer:
    at_least_none = ma.validate.Range(min=0)
    return ma.fields.Integer(required=True, strict=True, validate=at_least_none, metadata={"description": description})


class Snapshot(ma.Schema):
    """A snapshot, with its change from the one before it in its series."""

    id = ma.fields.UUID(required=True, metadata={"description": "A UUIDv7: ids ascend in the order of creation."})
    account_id = ma.fields.UUID(required=True)
    balance = _amount("The account's total.")
    available_balance = _amount("What may be drawn.", allow_none=True)
    holdings_value = _amount("What is invested.", allow_none=True)
    cash_value = _amount("What is not.", allow_none=True)
    currency = ma.fields.String(
        required=True, validate=ma.validate.Regexp("^[A-Z]{3}$"), metadata={"description": "ISO 4217."}
    )
    source = _source()
    captured_at = _instant("When the balance was so.")
    created_at = _instant("When it was stored.")
    change_amount = _amount(
        "The balance less the one before it in the series. Null for a series' first, and across a change of currency.",
        allow_none=True,
    )
    change_percent = ma.fields.Float(required=True, allow_none=True, metadata={"description": _PERCENT})


class Latest(ma.Schema):
    """The newest snapshot of each account, newest first, and the balances' totals by currency."""

    snapshots = ma.fields.List(ma.fields.Nested(Snapshot), required=True)
    total_count = _count("How many snapshots these are.")
    total_balance_by_currency = ma.fields.Dict(
        keys=ma.fields.String(),
        values=_amount(),
        required=True,
        metadata={"description": "The sum of the balances shown, for each currency."},
    )


class History(ma.Schema):
    """Snapshots of an account, by a range or by a limit, and what they sum up to.

    The summary is null where nothing is returned, or several currencies are.
    """

    snapshots = ma.fields.List(ma.fields.Nested(Snapshot), required=True)
    total_count = _count("How many snapshots these are.")
    start_balance = _amount("Of the oldest snapshot returned.", allow_none=True)
    end_balance = _amount("Of the newest snapshot returned.", allow_none=True)
    total_change_amount = _amount("The end less the start.", allow_none=True)
    total_change_percent = ma.fields.Float(required=True, allow_none=True, metadata={"description": _PERCENT})
    currency = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "That of all snapshots returned."}
    )


class ReceivedSnapshot(ma.Schema):
    """What became of one item of a batch."""

    id = ma.fields.UUID(required=True, metadata={"description": "The stored snapshot's."})
    account_id = ma.fields.UUID(required=True)
    captured_at = _instant("When the balance was so.")
    source = _source()
    status = ma.fields.String(required=True, validate=ma.validate.OneOf(("created", "duplicate")))


class Receipt(ma.Schema):
    """What became of a batch, in its order."""

    snapshots = ma.fields.List(ma.fields.Nested(ReceivedSnapshot), required=True)
    created_count = _count("How many are new.")
    duplicate_count = _count("How many were stored before.")
