"""The reads. SQL builds the response; a view validates the request and checks ownership."""

from datetime import datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request
from werkzeug.exceptions import Forbidden, NotFound

from schemas import examples
from schemas.cursor import Cursor
from schemas.fields import UUID
from schemas.reads import (
    CorrectionsParameters,
    CorrectionsParams,
    HistoryParameters,
    HistoryParams,
    LatestParameters,
    LatestParams,
    ListParameters,
    ListParams,
    PortfolioParameters,
    PortfolioParams,
)
from schemas.responses import Corrections, History, Latest, PortfolioHistory
from service import auth, db
from service.openapi import documented
from service.problems import Fault, Refusal
from service.request_parsing import query_parameters
from snapshots import csv_response, queries
from snapshots.buckets import TooManyBucketsError, bucket_bounds

# Limits of one history (rules 26 to 28).
MAX_SNAPSHOTS = 10_000
MAX_BUCKETS = 4_000
MAX_PORTFOLIO_BUCKETS = 1_100
# Balances in a portfolio's history, one for each account and bucket: 100,000 take half a second of a core.
MAX_PORTFOLIO_BALANCES = 100_000

blueprint = Blueprint("reads", __name__)

_LINK = {
    "Link": {
        "description": 'Link to the next page, with `rel="next"` (RFC 8288). The last page has none.',
        "schema": {"type": "string"},
    }
}


class AccountNotFound(NotFound):
    """A 404 for an account of which no snapshot has been captured."""

    description = "Account not found"


class NotTheOwner(Forbidden):
    """A 403 for another user's account."""

    description = "Not authorized to access this account"


@blueprint.get("/balance-snapshots")
@query_parameters(LatestParameters)
@documented("Balances", {200: (Latest, examples.LATEST)}, {400: examples.UNKNOWN_PARAMETER})
def latest_snapshots(params: LatestParams) -> Response:
    """Return the latest snapshot of each of the caller's accounts, and their totals by currency.

    With `as_of`, ignore snapshots captured after that instant.
    """
    body = db.read(queries.get_latest_snapshots, user_id=auth.subject(), as_of=params.as_of)
    return _json_response(body)


@blueprint.get("/balance-history")
@query_parameters(PortfolioParameters)
@documented("Balances", {200: (PortfolioHistory, examples.PORTFOLIO)}, examples.PORTFOLIO_PROBLEMS)
def portfolio_history(params: PortfolioParams) -> Response:
    """Return the value of all the caller's accounts over time, one series per currency.

    A point's balance is the sum of each account's last balance before the point ends; an account keeps its balance
    until its next snapshot. If no account is in the currency, the balance is null, never zero. A range may
    have up to 1,100 points and 100,000 balances, one for each account and point.
    """
    bounds = _bucket_bounds(
        params.start_date, params.end_date, params.interval, params.time_zone, MAX_PORTFOLIO_BUCKETS
    )
    body = db.read(
        queries.get_portfolio_history,
        user_id=auth.subject(),
        bounds=bounds,
        end_date=params.end_date,
        interval=params.interval,
        time_zone=params.time_zone.key,
        maximum=MAX_PORTFOLIO_BALANCES,
    )
    if body is None:
        message = (
            f"The range has more than {MAX_PORTFOLIO_BALANCES:,} balances, one for each account and interval;"
            " shorten it or ask for a longer interval."
        )
        raise Refusal(400, "The query is not valid.", [Fault("interval", message)])
    return _json_response(body)


@blueprint.get("/accounts/<account_id>/balance-history")
@query_parameters(HistoryParameters)
@documented("Balances", {200: (History, examples.HISTORY)}, examples.HISTORY_PROBLEMS)
def balance_history(params: HistoryParams, account_id: str) -> Response:
    """Return an account's snapshots in a date range, oldest first.

    With `interval`, return the last snapshot of each calendar day, week, month, quarter or year in `time_zone`, with
    changes from row to row. A range may have up to 4,000 intervals or, without `interval`, 10,000 snapshots.
    """
    return _json_response(_read_history(params, account_id))


@blueprint.get("/accounts/<account_id>/balance-history.csv")
@query_parameters(HistoryParameters)
@documented(
    "Balances",
    {200: ({"type": "string"}, csv_response.EXAMPLE)},
    examples.HISTORY_PROBLEMS,
    media_type=csv_response.MEDIA_TYPE,
    headers=csv_response.HEADERS,
)
def balance_history_csv(params: HistoryParams, account_id: str) -> Response:
    """Return an account's snapshots in a date range as CSV.

    It takes the same parameters as the history in JSON and returns the same snapshots, without the summary.
    """
    body = _read_history(params, account_id)
    return csv_response.csv_response(body, f"balance-history-{account_id.lower()}.csv")


def _read_history(params: HistoryParams, account_id: str) -> str:
    if params.interval is None:
        _validate_account_id(account_id)
        history = db.read(
            queries.get_balance_history,
            user_id=auth.subject(),
            account_id=account_id,
            start_date=params.start_date,
            end_date=params.end_date,
            source=params.source,
            maximum=MAX_SNAPSHOTS,
        )
    else:
        bounds = _bucket_bounds(params.start_date, params.end_date, params.interval, params.time_zone, MAX_BUCKETS)
        _validate_account_id(account_id)
        history = db.read(
            queries.get_balance_history_by_interval,
            user_id=auth.subject(),
            account_id=account_id,
            bounds=bounds,
            end_date=params.end_date,
            source=params.source,
        )
    if history is None:
        raise AccountNotFound
    if not history.is_owner:
        raise NotTheOwner
    if history.is_too_long:
        message = f"The range holds more than {MAX_SNAPSHOTS:,} snapshots; shorten it or ask for an interval."
        raise Refusal(400, "The query is not valid.", [Fault("end_date", message)])
    return history.body


def _bucket_bounds(start: datetime, end: datetime, interval: str, zone: ZoneInfo, maximum: int) -> list[datetime]:
    try:
        return bucket_bounds(start, end, interval, zone, maximum)
    except TooManyBucketsError:
        message = f"The range has more than {maximum:,} intervals; shorten it or ask for a longer interval."
        raise Refusal(400, "The query is not valid.", [Fault("interval", message)]) from None


@blueprint.get("/accounts/<account_id>/balance-snapshots")
@query_parameters(ListParameters)
@documented("Balances", {200: (History, examples.RECENT)}, examples.LIST_PROBLEMS, headers=_LINK)
def recent_snapshots(params: ListParams, account_id: str) -> Response:
    """Return an account's snapshots, newest first.

    If there are more than `limit`, the `Link` header leads to the next page. Following it to the end returns every
    snapshot once, even while new ones are captured.
    """
    cursor = params.cursor
    _validate_cursor(cursor, "balance-snapshots", account_id, params.source)
    _validate_account_id(account_id)
    page = db.read(
        queries.list_recent_snapshots,
        user_id=auth.subject(),
        account_id=account_id,
        limit=params.limit,
        source=params.source,
        before_captured_at=cursor and cursor.at,
        before_id=cursor and cursor.id,
    )
    if page is None:
        raise AccountNotFound
    if not page.is_owner:
        raise NotTheOwner
    response = _json_response(page.body)
    if page.last_at and page.last_id:
        cursor = Cursor("balance-snapshots", account_id.lower(), params.source, page.last_at, page.last_id)
        response.headers["Link"] = _next_link(cursor)
    return response


@blueprint.get("/accounts/<account_id>/corrections")
@query_parameters(CorrectionsParameters)
@documented("Corrections", {200: (Corrections, examples.SUPERSEDED)}, examples.LIST_PROBLEMS, headers=_LINK)
def account_corrections(params: CorrectionsParams, account_id: str) -> Response:
    """Return an account's superseded snapshots, newest correction first.

    Each has its wrong values, the reason, and the id of its replacement, if it has one. If there are more than `limit`,
    the `Link` header leads to the next page.
    """
    cursor = params.cursor
    _validate_cursor(cursor, "corrections", account_id, None)
    _validate_account_id(account_id)
    page = db.read(
        queries.list_corrections,
        user_id=auth.subject(),
        account_id=account_id,
        limit=params.limit,
        before_superseded_at=cursor and cursor.at,
        before_id=cursor and cursor.id,
    )
    if page is None:
        raise AccountNotFound
    if not page.is_owner:
        raise NotTheOwner
    response = _json_response(page.body)
    if page.last_at and page.last_id:
        response.headers["Link"] = _next_link(
            Cursor("corrections", account_id.lower(), None, page.last_at, page.last_id)
        )
    return response


def _validate_cursor(cursor: Cursor | None, list_name: str, account_id: str, source: str | None) -> None:
    if cursor and (cursor.list_name, cursor.account_id, cursor.source) != (list_name, account_id.lower(), source):
        message = "Belongs to another list, account or source; follow the next link unchanged."
        raise Refusal(400, "The query is not valid.", [Fault("cursor", message)])


def _next_link(cursor: Cursor) -> str:
    """Return a link to the same request with this cursor, without the host, whose public name may be unknown."""
    query = urlencode(request.args.to_dict() | {"cursor": cursor.encode()})
    return f'<{request.path}?{query}>; rel="next"'


def _validate_account_id(account_id: str) -> None:
    # A converter in the route would return its 404 before authentication (rules 9 and 10).
    if not UUID.fullmatch(account_id):
        raise AccountNotFound


def _json_response(body: str) -> Response:
    return Response(body, content_type="application/json")
