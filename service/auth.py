"""Who is asking: bearer tokens (RFC 6750, rulings 15 and 16).

Every route is closed. One opens to a user's token by itself, to a token with a scope by `@requires_scope`, to
everybody by `@public`. A token is verified before anything else is looked at and before any connection is taken,
and whatever is wrong with it, the answer is a 401.

A caller comes again and again with one token: what was verified once is kept, and only its expiry is looked at anew.
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
# Verified tokens that a worker keeps; a token of the identity service is less than a kibibyte.
KEPT_TOKENS = 2048
_BEARER = re.compile(r"bearer +(?P<token>[A-Za-z0-9._~+/-]+=*)", re.IGNORECASE | re.ASCII)

_View = TypeVar("_View", bound=Callable[..., Any])
_Claims = Mapping[str, Any]
_Verify = Callable[[str], _Claims]
# What changes whenever another key may have come or gone; None: no token verified now is to be kept.
_Edition = Callable[[], float | None]
_log = structlog.get_logger(__name__)


def public(view: _View) -> _View:
    """Opens a route to everybody."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def requires_scope(scope: str) -> Callable[[_View], _View]:
    """Opens a route to tokens, of whatever subject, whose `scope` claim holds this scope; 403 to others."""

    def mark(view: _View) -> _View:
        view.required_scope = scope  # type: ignore[attr-defined]
        return view

    return mark


def subject() -> str:
    """The verified `sub` of the request's token; a user's is a UUID in lower case."""
    return str(g.subject)


def init_app(app: Flask, settings: Settings) -> None:
    """Closes every route of the app; registered before the limiter, which counts by `subject()`."""
    app.config["JWT_ALGORITHM"] = settings.jwt_algorithm
    app.config["JWT_DECODE_LEEWAY"] = LEEWAY_SECONDS
    app.config["JWT_DECODE_ISSUER"] = settings.jwt_issuer
    app.config["JWT_DECODE_AUDIENCE"] = settings.jwt_audience
    manager = JWTManager(app)
    edition: _Edition = lambda: 0.0  # noqa: E731 - one key for ever
    if settings.jwt_jwks_url:
        key_set = KeySet(settings.jwt_jwks_url, settings.jwt_algorithm)
        manager.decode_key_loader(lambda header, _claims: key_set.key(header["kid"]))
        edition = key_set.version
    else:
        key = settings.verification_key
        manager.decode_key_loader(lambda _header, _claims: key)

    app.before_request(partial(_authenticate, _keeping(edition)))


def _authenticate(verify: _Verify) -> None:
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


def _verified_claims(verify: _Verify) -> _Claims:
    bearer = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    if bearer is None:
        raise _Unauthorized("Send a bearer token in the Authorization header.")
    try:
        return verify(bearer["token"])
    except ExpiredSignatureError:
        raise _Unauthorized("The token has expired.") from None
    except Exception as error:  # Whatever a hostile token sets off in a parser or a key is the token's fault.
        _log.info("token_refused", reason=type(error).__name__)
        raise _Unauthorized("The token is not valid.") from None


def _keeping(edition: _Edition) -> _Verify:
    """Verifies a token once for each edition of the keys; refused ones are not kept."""

    @lru_cache(KEPT_TOKENS)
    def kept(token: str, _edition: float) -> _Claims:
        return _verify(token)

    def verify(token: str) -> _Claims:
        current = edition()
        claims = _verify(token) if current is None else kept(token, current)
        if int(claims["exp"]) <= time.time() - LEEWAY_SECONDS:
            raise ExpiredSignatureError
        return claims

    return verify


def _verify(token: str) -> _Claims:
    claims = decode_token(token)
    _check(claims)
    return MappingProxyType(claims)


def _check(claims: dict[str, Any]) -> None:
    """What the library leaves unchecked: the times' types and ranges, and that `exp` is there at all."""
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
    if user_id != subject.lower():  # Python's reader also takes braces, URNs and digits without dashes.
        raise _Unauthorized("The token is not a user's.")
    return user_id


def _scopes(claims: _Claims) -> list[str]:
    scope = claims.get("scope")
    return scope.split(" ") if isinstance(scope, str) else []


class _Unauthorized(Unauthorized):
    """A 401 with the challenge that RFC 9110 asks for."""

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **kwargs), ("WWW-Authenticate", "Bearer")]
