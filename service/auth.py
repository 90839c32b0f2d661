"""Authentication by bearer tokens (RFC 6750, rules 15 and 16).

Every route needs a user's token, unless its view is marked with `@requires_scope` or `@public`. The token is verified
before anything else is checked and before a database connection is taken; an invalid token is a 401.
"""

import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import UUID

import structlog
from flask import Flask, current_app, g, request
from flask_jwt_extended import JWTManager, decode_token
from jwt import ExpiredSignatureError
from werkzeug.exceptions import Forbidden, Unauthorized

from config import Settings
from service.jwks import KeySet

LEEWAY_SECONDS = 10
# The identity service's tokens are smaller than 1 KiB each, so a full cache takes a few megabytes.
MAX_CACHED_TOKENS = 2048
_BEARER = re.compile(r"bearer +(?P<token>[A-Za-z0-9._~+/-]+=*)", re.IGNORECASE | re.ASCII)

_View = TypeVar("_View", bound=Callable[..., Any])
_Claims = Mapping[str, Any]
_Verifier = Callable[[str], _Claims]
# Returns a number that changes whenever the keys may have changed; None while no verified token may be cached.
_KeyVersion = Callable[[], int | None]
_log = structlog.get_logger(__name__)


def public(view: _View) -> _View:
    """Open a route to requests without a token."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def requires_scope(scope: str) -> Callable[[_View], _View]:
    """Open a route to tokens of any subject whose `scope` claim contains this scope; others get a 403."""

    def mark(view: _View) -> _View:
        view.required_scope = scope  # type: ignore[attr-defined]
        return view

    return mark


def subject() -> str:
    """Return the verified `sub` of the request's token; a user's is a UUID in lower case."""
    return str(g.subject)


def init_app(app: Flask, settings: Settings) -> None:
    """Require a token on every route of the app. Call it before `limits.init_app`, which needs `subject()`."""
    app.config["JWT_ALGORITHM"] = settings.jwt_algorithm
    app.config["JWT_DECODE_LEEWAY"] = LEEWAY_SECONDS
    app.config["JWT_DECODE_ISSUER"] = settings.jwt_issuer
    app.config["JWT_DECODE_AUDIENCE"] = settings.jwt_audience
    manager = JWTManager(app)
    if settings.jwt_jwks_url:
        key_set = KeySet(settings.jwt_jwks_url, settings.jwt_algorithm)
        manager.decode_key_loader(lambda header, _claims: key_set.key(header["kid"]))
        verifier = _cached_verifier(key_set.version)
    else:
        key = settings.verification_key
        manager.decode_key_loader(lambda _header, _claims: key)
        verifier = _cached_verifier(lambda: 1)

    app.before_request(partial(_authenticate, verifier))


def _authenticate(verify: _Verifier) -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or hasattr(view, "is_public"):
        return
    claims = _verified_claims(verify)
    g.subject = claims["sub"]
    scope = getattr(view, "required_scope", None)
    if scope is None:
        g.subject = _user_id(g.subject)
    elif scope not in _scopes(claims):
        raise Forbidden(f"The token lacks the scope {scope}.")


def _verified_claims(verify: _Verifier) -> _Claims:
    bearer = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    if bearer is None:
        raise _Unauthorized("Send a bearer token in the Authorization header.")
    try:
        return verify(bearer["token"])
    except ExpiredSignatureError:
        raise _Unauthorized("The token has expired.") from None
    except Exception as error:  # A hostile token can make the parsers and the key lookup raise anything.
        _log.info("token_refused", reason=type(error).__name__)
        raise _Unauthorized("The token is not valid.") from None


def _cached_verifier(key_version: _KeyVersion) -> _Verifier:
    """Return a function that verifies a token once for each version of the keys, and checks its expiry every time.

    Clients send one token with many requests, and verifying it takes 8 % of a read's processor time (62 of 772 us).
    """

    @lru_cache(MAX_CACHED_TOKENS)
    def cached(token: str, _key_version: int) -> _Claims:
        return _verify(token)

    def verify(token: str) -> _Claims:
        version = key_version()
        claims = _verify(token) if version is None else cached(token, version)
        if int(claims["exp"]) <= time.time() - LEEWAY_SECONDS:
            raise ExpiredSignatureError
        return claims

    return verify


def _verify(token: str) -> _Claims:
    claims = decode_token(token)
    _check(claims)
    return MappingProxyType(claims)


def _check(claims: dict[str, Any]) -> None:
    """Check what the library does not: the type and range of the times, the presence of `exp`, the `type`."""
    times = {"exp": None} | {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    for value in times.values():
        if isinstance(value, bool) or not isinstance(value, int | float) or not -(2**53) < value < 2**53:
            raise ValueError
    if claims["type"] != "access":
        raise ValueError


def _user_id(subject: str) -> str:
    try:
        user_id = str(UUID(subject))
    except ValueError:
        user_id = None
    if user_id != subject.lower():  # Python also accepts braces, URNs and digits without dashes.
        raise _Unauthorized("The `sub` of the token is not a user's UUID.")
    return user_id


def _scopes(claims: _Claims) -> list[str]:
    scope = claims.get("scope")
    return scope.split(" ") if isinstance(scope, str) else []


class _Unauthorized(Unauthorized):
    """A 401 with the challenge that RFC 9110 requires."""

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **kwargs), ("WWW-Authenticate", "Bearer")]
