"""Examples for the contract: requests, responses and problems."""

from typing import Any

from schemas.responses import Snapshot

# A user and an account of the demo portfolio, so that requests tried out in the documentation find something.
_USER_ID = "d3300000-0000-4000-8000-000000000001"
DEMO_ACCOUNT_ID = "d3300000-0000-4000-8000-00000000000b"
ACCOUNT_ID = "123e4567-e89b-12d3-a456-426614174000"


def _snapshot(number: int, captured_at: str, source: str, **values: Any) -> dict[str, Any]:
    """Return a snapshot whose members are null unless they are set here or by the caller."""
    return {
        **dict.fromkeys(Snapshot().fields),
        "id": f"550e8400-e29b-41d4-a716-44665544000{number}",
        "account_id": ACCOUNT_ID,
        "cash_value": "3000.00",
        "currency": "USD",
        "source": source,
        "captured_at": captured_at,
        "created_at": captured_at,
        **values,
    }


_FIRST = _snapshot(
    1,
    "2025-01-15T10:00:00Z",
    "account_sync",
    balance="20000.00",
    available_balance="19500.00",
    holdings_value="17000.00",
    change_amount=None,
    change_percent=None,
)
_SECOND = _snapshot(
    2,
    "2025-06-15T10:00:00Z",
    "holdings_sync",
    balance="22500.00",
    available_balance="22000.00",
    holdings_value="19500.00",
    change_amount="2500.00",
    change_percent=12.5,
)
_SUMMARY = {
    "total_count": 2,
    "start_balance": "20000.00",
    "end_balance": "22500.00",
    "total_change_amount": "2500.00",
    "total_change_percent": 12.5,
    "currency": "USD",
}

_NEWEST = _snapshot(
    0,
    "2025-12-26T10:00:00Z",
    "holdings_sync",
    balance="25000.00",
    available_balance="24500.00",
    holdings_value="22000.00",
    change_amount="500.00",
    change_percent=2.04,
)
LATEST = {
    "snapshots": [_NEWEST],
    "total_count": 1,
    "total_balance_by_currency": {"USD": "25000.00"},
}
HISTORY = {"snapshots": [_FIRST, _SECOND], **_SUMMARY}
RECENT = {"snapshots": [_SECOND, _FIRST], **_SUMMARY}
PORTFOLIO = {
    "interval": "month",
    "time_zone": "Europe/Berlin",
    "series": [
        {
            "currency": "USD",
            "points": [
                {
                    "starts_at": "2025-10-31T23:00:00Z",
                    "ends_at": "2025-11-30T23:00:00Z",
                    "is_complete": True,
                    "balance": "24500.00",
                    "change_amount": "-120.50",
                    "change_percent": -0.49,
                    "entered_amount": "0.00",
                    "account_count": 2,
                    "observed_count": 2,
                    "oldest_captured_at": "2025-11-30T10:00:00Z",
                },
                {
                    "starts_at": "2025-11-30T23:00:00Z",
                    "ends_at": "2025-12-31T23:00:00Z",
                    "is_complete": True,
                    "balance": "25000.00",
                    "change_amount": "500.00",
                    "change_percent": 2.04,
                    "entered_amount": "300.00",
                    "account_count": 3,
                    "observed_count": 2,
                    "oldest_captured_at": "2025-11-30T10:00:00Z",
                },
            ],
            "start_balance": "24500.00",
            "end_balance": "25000.00",
            "total_change_amount": "500.00",
            "total_change_percent": 2.04,
        }
    ],
    "total_count": 2,
}

BATCH = {
    "snapshots": [
        {
            "user_id": _USER_ID,
            "account_id": ACCOUNT_ID,
            "balance": "25000.00",
            "available_balance": "24500.00",
            "holdings_value": "22000.00",
            "cash_value": "3000.00",
            "currency": "USD",
            "source": "holdings_sync",
            "captured_at": "2025-12-26T10:00:00Z",
        }
    ]
}
_RECEIVED = {
    "id": "550e8400-e29b-41d4-a716-446655440000",
    "account_id": ACCOUNT_ID,
    "captured_at": "2025-12-26T10:00:00Z",
    "source": "holdings_sync",
}
CREATED = {"snapshots": [_RECEIVED | {"status": "created"}], "created_count": 1, "duplicate_count": 0}
DUPLICATE = {"snapshots": [_RECEIVED | {"status": "duplicate"}], "created_count": 0, "duplicate_count": 1}

_CORRECTED_ID, _REPLACEMENT_ID = _RECEIVED["id"], "01978f21-6f4a-7c11-9d0e-2f6b7c1a55e0"
CORRECTIONS = {
    "corrections": [
        {
            "id": _CORRECTED_ID,
            "user_id": _USER_ID,
            "account_id": ACCOUNT_ID,
            "source": "holdings_sync",
            "captured_at": "2025-12-26T10:00:00Z",
            "reason": "The provider sent cents as dollars.",
            "replacement": {
                "balance": "250.00",
                "available_balance": "245.00",
                "holdings_value": "220.00",
                "cash_value": "30.00",
                "currency": "USD",
            },
        }
    ]
}
CORRECTED = {
    "corrections": [{"id": _CORRECTED_ID, "status": "corrected", "replaced_by": _REPLACEMENT_ID}],
    "corrected_count": 1,
    "withdrawn_count": 0,
    "duplicate_count": 0,
}
SUPERSEDED = {
    "corrections": [
        {name: value for name, value in _NEWEST.items() if not name.startswith("change_")}
        | {
            "reason": "The provider sent cents as dollars.",
            "superseded_at": "2025-12-27T08:30:00.250000Z",
            "superseded_by": "corrections-job",
            "replaced_by": _REPLACEMENT_ID,
        }
    ],
    "total_count": 1,
}


def _invalid(detail: str, field: str, message: str) -> dict[str, Any]:
    return {"detail": detail, "errors": [{"field": field, "message": message}]}


UNKNOWN_PARAMETER = _invalid("The query is not valid.", "limit", "Unknown field.")
_ACCOUNT_PROBLEMS = {403: {"detail": "Not authorized to access this account"}, 404: {"detail": "Account not found"}}
HISTORY_PROBLEMS = _ACCOUNT_PROBLEMS | {
    400: _invalid("The query is not valid.", "start_date", "Must be before end_date.")
}
PORTFOLIO_PROBLEMS = {
    400: _invalid(
        "The query is not valid.",
        "interval",
        "The range has more than 1,100 intervals; shorten it or ask for a longer interval.",
    )
}
LIST_PROBLEMS = _ACCOUNT_PROBLEMS | {
    400: _invalid("The query is not valid.", "limit", "Must be a whole number from 1 to 100.")
}
CORRECTION_PROBLEMS = {
    400: _invalid("The body is not valid.", "/corrections/0/reason", "Must be a string of 1 to 500 characters."),
    403: {"detail": "The token lacks the scope balance-snapshots:correct."},
    409: _invalid(
        "The batch contradicts stored snapshots, or itself; nothing was stored.",
        "/corrections/0",
        f"Another correction has superseded the snapshot; the current snapshot is {_REPLACEMENT_ID}.",
    ),
    415: {"detail": "Send the body as application/json."},
}
CAPTURE_PROBLEMS = {
    400: _invalid("The body is not valid.", "/snapshots/0/captured_at", "Must not be in the future."),
    403: {"detail": "The token lacks the scope balance-snapshots:write."},
    409: _invalid(
        "The batch contradicts stored snapshots, or itself; nothing was stored.",
        "/snapshots/0",
        "A snapshot of this account, time and source is stored with different values.",
    ),
    415: {"detail": "Send the body as application/json."},
}
