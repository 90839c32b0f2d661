"""What schemathesis is to know beyond the contract's schemas: which instants there are, and which accounts."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import schemathesis
from hypothesis import strategies as st

from schemas.fields import UUID
from tools import demo

_OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# Of the past, because the future is refused where it is captured; both forms that RFC 3339 has of UTC.
_FIRST = datetime(1, 1, 3)  # noqa: DTZ001 - the strategy adds the time zone
_LAST = datetime(2026, 1, 1)  # noqa: DTZ001
_INSTANTS = st.datetimes(_FIRST, _LAST, timezones=st.just(UTC) | _OFFSETS).map(
    lambda instant: instant.isoformat().replace("+00:00", "Z")
)

schemathesis.openapi.format("date-time", _INSTANTS)


@schemathesis.hook
def before_call(_context: Any, case: schemathesis.Case[Any], _options: Any) -> None:
    """Makes valid requests more so than schemas can say: a range goes forward, and half of the accounts exist."""
    account_id = case.path_parameters.get("account_id")
    if isinstance(account_id, str) and UUID.fullmatch(account_id) and account_id[-1] in "01234567":
        case.path_parameters["account_id"] = demo.BROKERAGE
    try:
        start, end = (datetime.fromisoformat(case.query[name]) for name in ("start_date", "end_date"))
        if start >= end:
            case.query |= {"start_date": end.isoformat(), "end_date": (start + timedelta(1)).isoformat()}
    except (KeyError, TypeError, ValueError, OverflowError):
        pass  # The request is invalid for other reasons.
