"""The capture of snapshots by sync jobs (rulings 20 to 25)."""

import json

from flask import Blueprint, Response
from prometheus_client import Counter

from schemas import examples
from schemas.answers import Receipt
from schemas.capture import CaptureBatch
from schemas.reads import NoParameters
from service import db, inputs
from service.auth import requires_scope
from service.openapi import operation
from service.problems import Fault, Refusal
from snapshots import batch
from snapshots.queries import Match

SCOPE = "balance-snapshots:write"

blueprint = Blueprint("capture", __name__)

_CAPTURED = Counter("snapshots_captured", "Captured snapshots, newly created or duplicates.", ["status"])
_CREATED = _CAPTURED.labels("created")
_DUPLICATES = _CAPTURED.labels("duplicate")
_batch = CaptureBatch()
_no_parameters = NoParameters()
_ANSWERS = {200: (Receipt, examples.DUPLICATE), 201: (Receipt, examples.CREATED)}
_MESSAGES = {
    "contradicts_stored": "A snapshot of this account, time and source is stored with other values.",
    "contradicts_batch": "The batch holds snapshots of this account, time and source with different values.",
    "other_owner": "The account belongs to another user.",
}


@blueprint.post("/balance-snapshots")
@requires_scope(SCOPE)
@operation(_no_parameters, _ANSWERS, examples.PROBLEMS_OF_CAPTURE, body=(CaptureBatch, examples.BATCH))
def capture_snapshots() -> Response:
    """Stores a batch: 201 when anything was new, 200 when all of it was stored already, 409 when it contradicts."""
    items = inputs.json_body(_batch)["snapshots"]
    inputs.query(_no_parameters)
    try:
        with db.writing() as connection:
            matches = batch.store(connection, items)
    except batch.ContradictionError as error:
        raise _conflict(error) from None
    return _answer(matches)


def _conflict(error: batch.ContradictionError) -> Refusal:
    faults = [Fault(f"/snapshots/{n}", _MESSAGES[status]) for n, status in error.statuses.items()]
    return Refusal(409, "The batch contradicts what is stored, or itself; nothing was stored.", faults)


def _answer(matches: list[Match]) -> Response:
    created = sum(match.status == "created" for match in matches)
    _CREATED.inc(created)
    _DUPLICATES.inc(len(matches) - created)
    receipt = {
        "snapshots": [
            {
                "id": match.id,
                "account_id": match.account_id,
                "captured_at": match.captured_at,
                "source": match.source,
                "status": match.status,
            }
            for match in matches
        ],
        "created_count": created,
        "duplicate_count": len(matches) - created,
    }
    body = json.dumps(receipt, separators=(",", ":"))
    return Response(body, 201 if created else 200, content_type="application/json")
