"""Tokens that differ from those of the identity service."""

from typing import Any

import jwt

from tests.support import SECRET, claims


def without(claim: str) -> dict[str, Any]:
    """Return the claims of a user, except one."""
    return {name: value for name, value in claims().items() if name != claim}


def token_with_payload(payload: str) -> str:
    """Return a correctly signed token whose payload is this text, JSON or not."""
    return jwt.PyJWS().encode(payload.encode(), SECRET, algorithm="HS256")
