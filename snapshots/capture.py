"""Capture of snapshots (rules 20 to 25)."""

import json
from typing import Any

from flask import Blueprint, Response
from prometheus_client import Counter

from schemas import examples
from schemas.capture import CaptureBatch
from schemas.responses import CaptureResult
from service import db
from service.auth import requires_scope
from service.openapi import documented
from service.problems import Fault, Refusal
from service.request_parsing import json_body, no_query_parameters
from snapshots import batch
from snapshots.queries import Match

SCOPE = "balance-snapshots:write"

blueprint = Blueprint("capture", __name__)

_CAPTURED = Counter("snapshots_captured", "Captured snapshots, newly created or duplicates.", ["status"])
_CREATED = _CAPTURED.labels("created")
_DUPLICATES = _CAPTURED.labels("duplicate")


@blueprint.post("/balance-snapshots")
@requires_scope(SCOPE)
@json_body(CaptureBatch)
@no_query_parameters
@documented(
    "Capture",
    {200: (CaptureResult, examples.DUPLICATE), 201: (CaptureResult, examples.CREATED)},
    examples.CAPTURE_PROBLEMS,
    request_example=examples.BATCH,
)
def capture_snapshots(body: dict[str, Any]) -> Response:
    """Store a batch of snapshots, as a whole or not at all.

    The key of a snapshot is its account, `captured_at` and `source`. A batch may be sent again: a snapshot that is
    already stored with the same values is a duplicate. The status is 201 if any snapshot is new, else 200. Different
    values under a stored key are a 409.
    """
    try:
        matches = db.write(batch.store, body["snapshots"])
    except batch.ContradictionError as error:
        faults = [Fault(f"/snapshots/{n}", batch.CONTRADICTIONS[status]) for n, status in error.statuses.items()]
        raise Refusal(409, "The batch contradicts stored snapshots, or itself; nothing was stored.", faults) from None
    created = sum(match.status == "created" for match in matches)
    _CREATED.inc(created)
    _DUPLICATES.inc(len(matches) - created)
    return _result(matches, created)


def _result(matches: list[Match], created: int) -> Response:
    result = {
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
    body = json.dumps(result, separators=(",", ":"))
    return Response(body, 201 if created else 200, content_type="application/json")
