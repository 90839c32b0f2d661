"""The three reads. The SQL file makes the answer; a view checks what is asked, and who may have it."""

from flask import Blueprint, Response
from werkzeug.exceptions import Forbidden, NotFound

from schemas import examples
from schemas.answers import History, Latest
from schemas.fields import UUID
from schemas.reads import HistoryParameters, NoParameters, RecentParameters
from service import auth, db, inputs
from service.openapi import operation
from snapshots import queries, sheets

blueprint = Blueprint("reads", __name__)

_no_parameters = NoParameters()
_history_parameters = HistoryParameters()
_recent_parameters = RecentParameters()


@blueprint.get("/balance-snapshots")
@operation(_no_parameters, {200: (Latest, examples.LATEST)}, {400: examples.UNKNOWN_PARAMETER})
def latest_snapshots() -> Response:
    """The newest snapshot of each of the caller's accounts, and their totals by currency."""
    inputs.query(_no_parameters)
    return _json(db.read(queries.get_latest_snapshots, **_who()))


@blueprint.get("/accounts/<account_id>/balance-history")
@operation(
    _history_parameters, {200: (History, examples.HISTORY)}, examples.PROBLEMS_OF_HISTORY, others=sheets.IN_CONTRACT
)
def balance_history(account_id: str) -> Response:
    """An account's snapshots from `start_date` to `end_date`, oldest first.

    With `Accept: text/csv` as a sheet: the snapshots without their summary, a header row with their members' names.
    """
    asked = inputs.query(_history_parameters) | _whose(account_id)
    answer = _answer(db.read(queries.get_balance_history, **asked))
    return sheets.as_asked(answer, f"balance-history-{account_id.lower()}.csv")


@blueprint.get("/accounts/<account_id>/balance-snapshots")
@operation(_recent_parameters, {200: (History, examples.RECENT)}, examples.PROBLEMS_OF_LIST)
def recent_snapshots(account_id: str) -> Response:
    """An account's `limit` newest snapshots, newest first."""
    asked = inputs.query(_recent_parameters) | _whose(account_id)
    return _answer(db.read(queries.list_recent_snapshots, **asked))


def _who() -> dict[str, str]:
    return {"user_id": auth.subject()}


def _whose(account_id: str) -> dict[str, str]:
    if not UUID.fullmatch(account_id):
        raise NotFound("Account not found")
    return _who() | {"account_id": account_id}


def _answer(found: queries.AccountRead | None) -> Response:
    if found is None:
        raise NotFound("Account not found")
    if not found.is_owner:
        raise Forbidden("Not authorized to access this account")
    return _json(found.body)


def _json(body: str) -> Response:
    return Response(body, content_type="application/json")
