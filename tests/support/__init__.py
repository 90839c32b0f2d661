"""The vocabulary of the tests: tokens, callers, snapshots."""

import json
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from flask import Flask
from werkzeug.test import TestResponse

ROOT = Path(__file__).parent.parent.parent
SECRET = "a secret of the tests, of 32 bytes or more"
API = "/api/v1"
LATEST = f"{API}/balance-snapshots"
SCOPE = "balance-snapshots:write"


def token(claims: Mapping[str, Any], key: Any = SECRET, algorithm: str = "HS256", **headers: Any) -> str:
    """Return a signed token with exactly these claims."""
    return jwt.encode(dict(claims), key, algorithm=algorithm, headers=headers or None)


def user_token(subject: str, **claims: Any) -> str:
    """Return a token as the identity service issues it."""
    now = int(time.time())
    issued = {"email": "someone@example.com", "roles": ["user"], "iat": now, "exp": now + 600, "jti": str(uuid4())}
    return token({"sub": subject, **issued, **claims})


USER = "d3300000-0000-4000-8000-00000000000a"


def claims(**changed: Any) -> dict[str, Any]:
    """Return the minimal claims of a user's token, changed by these."""
    return {"sub": USER, "exp": int(time.time()) + 600} | changed


@cache
def private_key(algorithm: str, name: str = "first") -> Any:
    """Return the private key of this algorithm and name, generated on first use."""
    return {
        "RS256": lambda: rsa.generate_private_key(65537, 2048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }[algorithm]()


class Response(TestResponse):
    """A response whose JSON has any type, for the type checker."""

    @property
    def json(self) -> Any: ...


class Caller:
    """Somebody who calls the service with a token."""

    def __init__(self, app: Flask, bearer: str) -> None:
        self._client = app.test_client()
        self.authorization = {"Authorization": f"Bearer {bearer}"}

    def get(self, path: str, **query: Any) -> Response:
        return self.send("GET", path, query_string=query)

    def latest(self, **query: Any) -> Response:
        return self.get("/balance-snapshots", **query)

    def history(self, account_id: str, start: str = "0001-01-01", end: str = "9999-12-31", **query: Any) -> Response:
        return self.get(f"/accounts/{account_id}/balance-history", start_date=start, end_date=end, **query)

    def portfolio(self, start: str, end: str, **query: Any) -> Response:
        return self.get("/balance-history", start_date=start, end_date=end, **query)

    def recent(self, account_id: str, **query: Any) -> Response:
        return self.get(f"/accounts/{account_id}/balance-snapshots", **query)

    def capture(self, *items: Mapping[str, Any]) -> Response:
        return self.post({"snapshots": list(items)})

    def post(self, body: Any, **headers: str) -> Response:
        return self.send("POST", "/balance-snapshots", json=body, headers=headers)

    def correct(self, *items: Mapping[str, Any]) -> Response:
        return self.send("POST", "/balance-snapshots/corrections", json={"corrections": list(items)})

    def corrections(self, account_id: str, **query: Any) -> Response:
        return self.get(f"/accounts/{account_id}/corrections", **query)

    def send(self, method: str, path: str, **request: Any) -> Response:
        """Send any request with the caller's token."""
        headers = self.authorization | request.pop("headers", {})
        return cast("Response", self._client.open(API + path, method=method, headers=headers, **request))


# Far longer than anything takes, even on a busy machine: only a test that hangs waits this long.
PATIENCE_SECONDS = 60


def until(
    happens: Callable[[], bool], seconds: float = PATIENCE_SECONDS, log: Path | None = None, *, pause: float = 0.05
) -> None:
    """Wait until `happens` returns true, calling it every `pause` seconds; fail with the log after `seconds`."""
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, log.read_text() if log else f"did not happen within {seconds} s"
        time.sleep(pause)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def day(number: int) -> str:
    """Return a day of January 2025 as an instant."""
    return f"2025-01-{number:02}T00:00:00Z"


def snapshot(user_id: str, account_id: str, balance: str = "100.00", **fields: Any) -> dict[str, Any]:
    """Return an item of a capture."""
    return {
        "user_id": user_id,
        "account_id": account_id,
        "balance": balance,
        "currency": "USD",
        "source": "account_sync",
        "captured_at": "2025-01-01T00:00:00Z",
        **fields,
    }


KEY = ("user_id", "account_id", "source", "captured_at")


def correction(
    item: Mapping[str, Any], snapshot_id: str, replacement: Mapping[str, Any] | None, reason: str = "Cents as dollars."
) -> dict[str, Any]:
    """Return a correction of the snapshot that was stored for this item of a capture."""
    key = {name: item[name] for name in KEY}
    return {"id": snapshot_id, **key, "reason": reason, "replacement": replacement}


def usd(balance: str, **amounts: str) -> dict[str, Any]:
    """Return a replacement in US dollars."""
    return {"balance": balance, "currency": "USD", **amounts}


def captured(sync_job: Caller, *items: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Capture items, which must succeed; return the snapshots of the response."""
    response = sync_job.capture(*items)
    assert response.status_code in (200, 201), response.json
    return list(response.json["snapshots"])


def faults(response: Response) -> dict[str, list[str]]:
    """Return the messages of a problem's `errors`, by field."""
    found: dict[str, list[str]] = {}
    for error in response.json["errors"]:
        found.setdefault(error["field"], []).append(error["message"])
    return found


def read(app: Flask, bearer: str) -> TestResponse:
    return Caller(app, bearer).latest()


def assert_unauthorized(response: TestResponse) -> None:
    assert response.status_code == 401, response.text
    assert response.headers.getlist("WWW-Authenticate") == ["Bearer"]
    assert response.content_type == "application/problem+json"
    assert response.request.method == "HEAD" or json.loads(response.text)["title"] == "Unauthorized"
