"""Hooks for schemathesis: values that the contract's schemas do not describe, and checks beyond its own."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import schemathesis
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from schemathesis import GenerationMode

from schemas.cursor import Cursor
from schemas.fields import INTERVALS, MINOR_UNITS, TIME_ZONES, UUID
from tools import demo
from tools.strict_contract import strict_schema

_OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# In the past, because captures from the future are refused. Both forms of UTC in RFC 3339 occur: Z and +00:00.
_FIRST = datetime(1, 1, 3)  # noqa: DTZ001 - the strategy adds the time zone
_LAST = datetime(2026, 1, 1)  # noqa: DTZ001
_INSTANTS = st.datetimes(_FIRST, _LAST, timezones=st.just(UTC) | _OFFSETS).map(
    lambda instant: instant.isoformat().replace("+00:00", "Z")
)

schemathesis.openapi.format("date-time", _INSTANTS)
schemathesis.openapi.format("time-zone", st.sampled_from(sorted(TIME_ZONES)))
schemathesis.openapi.format(
    "cursor", st.just(Cursor("", demo.BROKERAGE, None, demo.FIRST_DAY, demo.BROKERAGE).encode())
)


# Headers of any HTTP response, which the contract does not list.
_GENERIC = {"server", "date", "connection", "content-type", "content-length", "content-encoding", "vary", "allow"}


@schemathesis.check
def no_undocumented_header(_context: Any, response: schemathesis.Response, case: schemathesis.Case[Any]) -> None:
    """Fail on a header that the contract does not document for this status."""
    responses = case.operation.definition.raw["responses"]
    status = str(response.status_code)
    if status == "405":
        return  # Its method belongs to no operation.
    documented = {name.lower() for name in responses[status]["headers"]}
    undocumented = {name.lower() for name in response.headers} - documented - _GENERIC
    assert not undocumented, f"{status} has headers that the contract does not document: {undocumented}"


@schemathesis.check
def no_undocumented_member(_context: Any, response: schemathesis.Response, case: schemathesis.Case[Any]) -> None:
    """Fail on a member that the contract does not name, and on a problem that belongs to another status."""
    documented = case.operation.definition.raw["responses"].get(str(response.status_code))
    if documented and response.content and "json" in response.headers["content-type"][0]:
        schema = strict_schema(case.operation.schema.raw_schema, response.status_code, documented)
        validator = Draft202012Validator(schema, validate_formats=True)
        faults = [error.message for error in validator.iter_errors(response.json())]
        assert not faults, faults


@schemathesis.hook
def before_call(_context: Any, case: schemathesis.Case[Any], _options: Any) -> None:
    """Apply the rules that schemas cannot express to valid requests, and let half of the accounts exist."""
    account_id = case.path_parameters.get("account_id")
    if isinstance(account_id, str) and UUID.fullmatch(account_id) and account_id[-1] in "01234567":
        case.path_parameters["account_id"] = demo.BROKERAGE
    with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):  # The request is invalid otherwise.
        _mend_range(case.query, is_portfolio=not case.path_parameters)
    with contextlib.suppress(KeyError, TypeError, ValueError):
        cursor = Cursor.decode(case.query["cursor"])._replace(
            list_name=case.path.rpartition("/")[2],
            account_id=case.path_parameters["account_id"].lower(),
            source=case.query.get("source"),
        )
        case.query["cursor"] = cursor.encode()
    is_valid = case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE
    if is_valid and case.query.get("time_zone", "UTC") not in TIME_ZONES:
        # Schemathesis occasionally considers any string valid, whatever its format.
        case.query["time_zone"] = "UTC"
    if is_valid:
        _mend_currencies(case.body)


def _mend_currencies(part: Any) -> None:
    """Replace unknown currency codes anywhere in a part of a body."""
    members = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for member in members:
        _mend_currencies(member)
    if isinstance(part, dict) and "currency" in part and part["currency"] not in MINOR_UNITS:
        part["currency"] = "USD"


def _mend_range(query: dict[str, Any], *, is_portfolio: bool) -> None:
    start, end = (datetime.fromisoformat(query[name]) for name in ("start_date", "end_date"))
    if start >= end:
        start, end = end, start + timedelta(days=1)
        query |= {"start_date": start.isoformat(), "end_date": end.isoformat()}
    if is_portfolio and end - start > timedelta(days=1_000):
        query["start_date"] = (end - timedelta(days=1_000)).isoformat()
    if query.get("time_zone") in TIME_ZONES and "interval" not in query:
        query["interval"] = "year"
    if query.get("interval") in INTERVALS and abs(end - start) > timedelta(3_000):
        query["interval"] = "year"
