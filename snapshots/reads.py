"""The reads. SQL builds the response; a view validates the request and checks ownership."""

from flask import Blueprint, Response
from werkzeug.exceptions import Forbidden, NotFound

from schemas import examples
from schemas.fields import UUID
from schemas.reads import HistoryParameters, HistoryParams, ListParameters, ListParams, NoParameters
from schemas.responses import History, Latest
from service import auth, db
from service.openapi import documented
from service.request_parsing import query_parameters
from snapshots import csv_response, queries

blueprint = Blueprint("reads", __name__)


class AccountNotFound(NotFound):
    """A 404 for an account that nobody has captured."""

    description = "Account not found"


class NotTheOwner(Forbidden):
    """A 403 for another user's account."""

    description = "Not authorized to access this account"


@blueprint.get("/balance-snapshots")
@query_parameters(NoParameters)
@documented({200: (Latest, examples.LATEST)}, {400: examples.UNKNOWN_PARAMETER})
def latest_snapshots(_params: object) -> Response:
    """Return the latest snapshot of each of the caller's accounts, and their totals by currency."""
    body = db.read(queries.get_latest_snapshots, user_id=auth.subject())
    return _json_response(body)


@blueprint.get("/accounts/<account_id>/balance-history")
@query_parameters(HistoryParameters)
@documented({200: (History, examples.HISTORY)}, examples.PROBLEMS_OF_HISTORY, extra_media_types=csv_response.OPENAPI)
def balance_history(params: HistoryParams, account_id: str) -> Response:
    """Return an account's snapshots in a date range, oldest first.

    With `Accept: text/csv`, return them as CSV with a header row and without the summary.
    """
    _validate_account_id(account_id)
    history = db.read(
        queries.get_balance_history,
        user_id=auth.subject(),
        account_id=account_id,
        start_date=params.start_date,
        end_date=params.end_date,
        source=params.source,
    )
    if history is None:
        raise AccountNotFound
    if not history.is_owner:
        raise NotTheOwner
    return csv_response.negotiate(_json_response(history.body), f"balance-history-{account_id.lower()}.csv")


@blueprint.get("/accounts/<account_id>/balance-snapshots")
@query_parameters(ListParameters)
@documented({200: (History, examples.RECENT)}, examples.PROBLEMS_OF_LIST)
def recent_snapshots(params: ListParams, account_id: str) -> Response:
    """Return an account's newest snapshots, newest first."""
    _validate_account_id(account_id)
    snapshots = db.read(
        queries.list_recent_snapshots,
        user_id=auth.subject(),
        account_id=account_id,
        limit=params.limit,
        source=params.source,
    )
    if snapshots is None:
        raise AccountNotFound
    if not snapshots.is_owner:
        raise NotTheOwner
    return _json_response(snapshots.body)


def _validate_account_id(account_id: str) -> None:
    # Not by a converter in the route, whose 404 would come before authentication (rules 9 and 10).
    if not UUID.fullmatch(account_id):
        raise AccountNotFound


def _json_response(body: str) -> Response:
    return Response(body, content_type="application/json")
