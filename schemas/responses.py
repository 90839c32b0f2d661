"""Response bodies: the documented members, in the documented order. SQL builds them; these schemas document them."""

import marshmallow as ma

from schemas.fields import Currency, Interval, Source

_PERCENT = (
    "The change in percent of the absolute value of the earlier balance, rounded half away from zero to two decimals."
    " Null if the change is null or the earlier balance is zero."
)
_NO_SUMMARY = "Null if no snapshot is returned, or if the returned snapshots have several currencies."


def _amount(description: str = "", *, allow_none: bool = False) -> ma.fields.String:
    pattern = ma.validate.Regexp(r"^-?[0-9]+(\.[0-9]{1,4})?$")
    return ma.fields.String(
        required=True, validate=pattern, allow_none=allow_none, metadata=_metadata(description, format="decimal")
    )


def _instant(description: str, *, allow_none: bool = False) -> ma.fields.String:
    pattern = ma.validate.Regexp(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z$")
    return ma.fields.String(
        required=True, validate=pattern, allow_none=allow_none, metadata=_metadata(description, format="date-time")
    )


def _metadata(description: str, **more: str) -> dict[str, str]:
    return {"description": description, **more} if description else more


def _count(description: str) -> ma.fields.Integer:
    at_least_zero = ma.validate.Range(min=0)
    return ma.fields.Integer(required=True, strict=True, validate=at_least_zero, metadata={"description": description})


class _Response(ma.Schema):
    """A response, to which a later version may add members: clients must ignore those that they do not know."""

    class Meta:
        unknown = ma.EXCLUDE


class Snapshot(_Response):
    """A snapshot, and its change from the previous one in its series."""

    id = ma.fields.UUID(required=True, metadata={"description": "A UUIDv7: ids ascend in the order of creation."})
    account_id = ma.fields.UUID(required=True)
    balance = _amount("Total account balance.")
    available_balance = _amount("Amount available to spend or withdraw.", allow_none=True)
    holdings_value = _amount("Market value of holdings.", allow_none=True)
    cash_value = _amount("Uninvested cash.", allow_none=True)
    currency = Currency(required=True)
    source = Source(required=True)
    captured_at = _instant("When the balance was observed.")
    created_at = _instant("When the snapshot was stored.")
    change_amount = _amount(
        "Balance minus the previous balance in the series. A series is the account's snapshots, or those of one"
        " `source` if that is given; with `interval`, only the last of each interval. Null for the first snapshot of a"
        " series and across a change of currency.",
        allow_none=True,
    )
    change_percent = ma.fields.Float(required=True, allow_none=True, metadata={"description": _PERCENT})


class Latest(_Response):
    """The latest snapshot of each account, newest first, and their total balance by currency."""

    snapshots = ma.fields.List(ma.fields.Nested(Snapshot), required=True)
    total_count = _count("Number of snapshots returned.")
    total_balance_by_currency = ma.fields.Dict(
        keys=ma.fields.String(),
        values=_amount(),
        required=True,
        metadata={"description": "Sum of the returned balances per currency."},
    )


class History(_Response):
    """Snapshots of an account and their summary."""

    snapshots = ma.fields.List(ma.fields.Nested(Snapshot), required=True)
    total_count = _count("Number of snapshots returned.")
    start_balance = _amount(f"Balance of the oldest returned snapshot. {_NO_SUMMARY}", allow_none=True)
    end_balance = _amount(f"Balance of the newest returned snapshot. {_NO_SUMMARY}", allow_none=True)
    total_change_amount = _amount(f"end_balance minus start_balance. {_NO_SUMMARY}", allow_none=True)
    total_change_percent = ma.fields.Float(required=True, allow_none=True, metadata={"description": _PERCENT})
    currency = Currency(
        required=True,
        allow_none=True,
        metadata={"description": "Currency shared by all returned snapshots, else null."},
    )


class PortfolioPoint(_Response):
    """The value of the accounts of one currency at the end of a calendar interval."""

    starts_at = _instant("Start of the calendar interval, or of the range if that is later.")
    ends_at = _instant(
        "End of the calendar interval, exclusive. The balance is the last one before it, or up to `end_date` if"
        " that is earlier."
    )
    is_complete = ma.fields.Boolean(
        required=True, metadata={"description": "Whether the interval has ended and the range covers its end."}
    )
    balance = _amount(
        "Sum of the accounts' last balances, however old. Null if no account is in this currency.", allow_none=True
    )
    change_amount = _amount(
        "Balance minus the previous point's balance; for the first point, minus the value just before the range. Null"
        " if either is null.",
        allow_none=True,
    )
    change_percent = ma.fields.Float(required=True, allow_none=True, metadata={"description": _PERCENT})
    entered_amount = _amount(
        "Part of the change that comes from accounts joining or leaving the series. The rest is like for like. Null if"
        " the change is null.",
        allow_none=True,
    )
    account_count = _count("Number of accounts in the balance.")
    observed_count = _count("Number of those accounts that have a snapshot within the interval.")
    oldest_captured_at = _instant(
        "When the oldest balance in the sum was observed. Null if the balance is null.", allow_none=True
    )


class PortfolioSeries(_Response):
    """The value of the accounts of one currency over time."""

    currency = Currency(required=True)
    points = ma.fields.List(ma.fields.Nested(PortfolioPoint), required=True)
    start_balance = _amount("First balance that is not null.")
    end_balance = _amount("Balance of the last point.", allow_none=True)
    total_change_amount = _amount("end_balance minus start_balance. Null if end_balance is null.", allow_none=True)
    total_change_percent = ma.fields.Float(required=True, allow_none=True, metadata={"description": _PERCENT})


class PortfolioHistory(_Response):
    """The value of all accounts over time, one series per currency, each with the same points."""

    interval = Interval(required=True)
    time_zone = ma.fields.String(required=True)
    series = ma.fields.List(ma.fields.Nested(PortfolioSeries), required=True)
    total_count = _count("Number of points in each series.")


class SupersededSnapshot(Snapshot):
    """A wrong snapshot with its original values, and its correction."""

    class Meta(_Response.Meta):
        exclude = ("change_amount", "change_percent")

    reason = ma.fields.String(required=True, metadata={"description": "Why it is wrong."})
    superseded_at = _instant("When it was corrected.")
    superseded_by = ma.fields.String(required=True, metadata={"description": "Subject of the token that corrected it."})
    replaced_by = ma.fields.UUID(
        required=True,
        allow_none=True,
        metadata={"description": "Id of the snapshot that replaced it. Null if it was withdrawn."},
    )


class Corrections(_Response):
    """Superseded snapshots of an account."""

    corrections = ma.fields.List(ma.fields.Nested(SupersededSnapshot), required=True)
    total_count = _count("Number of corrections returned.")


class CorrectedSnapshot(_Response):
    """The outcome of one correction of a batch."""

    id = ma.fields.UUID(required=True, metadata={"description": "Id of the wrong snapshot."})
    status = ma.fields.String(required=True, validate=ma.validate.OneOf(("corrected", "withdrawn", "duplicate")))
    replaced_by = ma.fields.UUID(
        required=True,
        allow_none=True,
        metadata={"description": "Id of the snapshot that replaced it. Null if it was withdrawn."},
    )


class CorrectionResult(_Response):
    """The outcome of a batch of corrections, one entry for each, in the order of the batch."""

    corrections = ma.fields.List(ma.fields.Nested(CorrectedSnapshot), required=True)
    corrected_count = _count("Number of snapshots newly replaced.")
    withdrawn_count = _count("Number of snapshots newly withdrawn.")
    duplicate_count = _count("Number of corrections already stored with the same values, or repeated in the batch.")


class CapturedSnapshot(_Response):
    """The outcome of one snapshot of a batch."""

    id = ma.fields.UUID(
        required=True,
        metadata={
            "description": "Id of the snapshot. A duplicate has the id of the one that is already stored or superseded."
        },
    )
    account_id = ma.fields.UUID(required=True)
    captured_at = _instant("When the balance was observed.")
    source = Source(required=True)
    status = ma.fields.String(required=True, validate=ma.validate.OneOf(("created", "duplicate")))


class CaptureResult(_Response):
    """The outcome of a batch of snapshots, one entry for each, in the order of the batch."""

    snapshots = ma.fields.List(ma.fields.Nested(CapturedSnapshot), required=True)
    created_count = _count("Number of snapshots newly stored.")
    duplicate_count = _count("Number of snapshots already stored or superseded, or repeated in the batch.")
