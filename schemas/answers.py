"""What goes out: the documented members, in the documented order. The SQL makes the answers; these describe them."""

import marshmallow as ma

from schemas.fields import SOURCES

_UTC = ma.validate.Regexp(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$")
_AMOUNT = ma.validate.Regexp(r"^-?\d+(\.\d{1,4})?$")


def _amount(*, allow_none: bool = False) -> ma.fields.String:
    return ma.fields.String(required=True, validate=_AMOUNT, allow_none=allow_none)


class Snapshot(ma.Schema):
    """A snapshot, with its change from the one before it in its series."""

    id = ma.fields.UUID(required=True)
    account_id = ma.fields.UUID(required=True)
    balance = _amount()
    available_balance = _amount(allow_none=True)
    holdings_value = _amount(allow_none=True)
    cash_value = _amount(allow_none=True)
    currency = ma.fields.String(required=True, validate=ma.validate.Length(equal=3))
    source = ma.fields.String(required=True, validate=ma.validate.OneOf(SOURCES))
    captured_at = ma.fields.String(required=True, validate=_UTC)
    created_at = ma.fields.String(required=True, validate=_UTC)
    change_amount = _amount(allow_none=True)
    change_percent = ma.fields.Float(required=True, allow_none=True)


class Latest(ma.Schema):
    """The newest snapshot of each account, and the balances' totals by currency."""

    snapshots = ma.fields.List(ma.fields.Nested(Snapshot), required=True)
    total_count = ma.fields.Integer(required=True, strict=True)
    total_balance_by_currency = ma.fields.Dict(keys=ma.fields.String(), values=_amount(), required=True)


class History(ma.Schema):
    """Snapshots of an account, by a range or by a limit, and what they sum up to."""

    snapshots = ma.fields.List(ma.fields.Nested(Snapshot), required=True)
    total_count = ma.fields.Integer(required=True, strict=True)
    start_balance = _amount(allow_none=True)
    end_balance = _amount(allow_none=True)
    total_change_amount = _amount(allow_none=True)
    total_change_percent = ma.fields.Float(required=True, allow_none=True)
    currency = ma.fields.String(required=True, allow_none=True)
