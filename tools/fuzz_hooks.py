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


# What any HTTP server says, of the connection and the body.
_OF_HTTP = {"server", "date", "connection", "content-type", "content-length", "allow"}


@schemathesis.check
def no_undocumented_header(_context: Any, response: schemathesis.Response, case: schemathesis.Case[Any]) -> None:
    """A header that the contract does not name for this status is a fault."""
    answers = case.operation.definition.raw["responses"]
    status = str(response.status_code)
    if status == "405":
        return  # It is the answer to a method that is no operation.
    documented = {name.lower() for name in answers[status]["headers"]}
    undocumented = {name.lower() for name in response.headers} - documented - _OF_HTTP
    assert not undocumented, f"{status} has headers that the contract does not name: {undocumented}"


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
