"""Correction of snapshots (rules 31 and 32)."""

import json
from typing import Any

import structlog
from flask import Blueprint, Response
from prometheus_client import Counter

from schemas import examples
from schemas.corrections import CorrectionBatch
from schemas.responses import CorrectionResult
from service import auth, db
from service.auth import requires_scope
from service.openapi import documented
from service.problems import Fault, Refusal
from service.request_parsing import json_body, no_query_parameters
from snapshots import correcting
from snapshots.queries import CorrectionMatch

SCOPE = "balance-snapshots:correct"
STATUSES = ("corrected", "withdrawn", "duplicate")

blueprint = Blueprint("corrections", __name__)

_CORRECTIONS = Counter("corrections", "Corrections of snapshots: replacements, withdrawals and duplicates.", ["status"])
_BY_STATUS = {status: _CORRECTIONS.labels(status) for status in STATUSES}
_log = structlog.get_logger(__name__)


@blueprint.post("/balance-snapshots/corrections")
@requires_scope(SCOPE)
@json_body(CorrectionBatch)
@no_query_parameters
@documented(
    "Corrections",
    {200: (CorrectionResult, examples.CORRECTED)},
    examples.CORRECTION_PROBLEMS,
    request_example=examples.CORRECTIONS,
)
def correct_snapshots(body: dict[str, Any]) -> Response:
    """Replace or withdraw a batch of wrong snapshots, as a whole or not at all.

    A snapshot is identified by its id, which reads and captures return, and its key. Its replacement has the same key
    and a new id. Both the wrong snapshot and the reason remain in the list of the account's corrections. A batch may be
    sent again: a correction that is already stored with the same values is a duplicate.
    """
    try:
        matches = db.write(correcting.store, body["corrections"], auth.subject())
    except correcting.ContradictionError as error:
        faults = [Fault(f"/corrections/{n}", _conflict(match)) for n, match in error.matches.items()]
        raise Refusal(409, "The batch contradicts stored snapshots, or itself; nothing was stored.", faults) from None
    counts = {status: sum(match.status == status for match in matches) for status in STATUSES}
    for status, count in counts.items():
        _BY_STATUS[status].inc(count)
    _log.info("corrections_stored", subject=auth.subject(), **counts)
    result = {
        "corrections": [
            {"id": match.id, "status": match.status, "replaced_by": match.replaced_by} for match in matches
        ],
        **{f"{status}_count": count for status, count in counts.items()},
    }
    return Response(json.dumps(result, separators=(",", ":")), content_type="application/json")


def _conflict(match: CorrectionMatch) -> str:
    if match.status == "contradicts_batch":
        return "The batch contains different corrections of this snapshot."
    if match.status == "not_stored":
        current = f"; the current snapshot under its key is {match.current_id}" if match.current_id else ""
        return f"No snapshot with this id and key is stored{current}."
    current = f"the current snapshot is {match.current_id}" if match.current_id else "there is no current snapshot"
    return f"Another correction has superseded the snapshot; {current}."
