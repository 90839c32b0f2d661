"""Authentication: which tokens are accepted (rules 15 and 16)."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from config import Settings
from tests.conftest import serving
from tests.support import (
    API,
    SECRET,
    USER,
    Caller,
    assert_unauthorized,
    captured,
    claims,
    private_key,
    read,
    snapshot,
    token,
    until,
    user_token,
)

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
SCOPE = "balance-snapshots:write"
LONG_SECRET = SECRET * 2
TIMES = ("exp", "nbf", "iat")


def without(claim: str) -> dict[str, Any]:
    return {name: value for name, value in claims().items() if name != claim}


def spelled(payload: str) -> str:
    """A well-signed token whose payload is this text, whatever a JSON writer would make of it."""
    return jwt.PyJWS().encode(payload.encode(), SECRET, algorithm="HS256")


# The header


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEARer"])
def test_the_scheme_is_bearer_in_any_case(anonymous: FlaskClient, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {token(claims())}"}
    assert anonymous.get(f"{API}/balance-snapshots", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(None, id="no header"),
        pytest.param("", id="empty"),
        pytest.param("{token}", id="no scheme"),
        pytest.param("Basic {token}", id="another scheme"),
        pytest.param("Bearertoken {token}", id="a longer scheme"),
        pytest.param("Bearer", id="no token"),
        pytest.param("Bearer ", id="blank token"),
        pytest.param("Bearer{token}", id="no space"),
        pytest.param("Bearer {token} {token}", id="two tokens"),
        pytest.param("Bearer {token}, Bearer {token}", id="two headers as one"),
        pytest.param("Bearer garbage", id="garbage"),
        pytest.param("Bearer a.b.c", id="garbage in three parts"),
        pytest.param("Bearer ..", id="three empty parts"),
        pytest.param("Bearer {token}.e30", id="a fourth part"),
        pytest.param("Bearer {token}\xff", id="not ASCII"),
    ],
)
def test_anything_but_one_bearer_token_is_refused(anonymous: FlaskClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.format(token=token(claims()))}
    assert_unauthorized(anonymous.get(f"{API}/balance-snapshots", headers=headers))


def test_a_token_outside_the_header_is_no_token(anonymous: FlaskClient) -> None:
    bearer = token(claims())
    anonymous.set_cookie("access_token_cookie", bearer)
    assert_unauthorized(anonymous.get(f"{API}/balance-snapshots", query_string={"access_token": bearer, "jwt": bearer}))


# The signature


@pytest.fixture(scope="module")
def by_long_secret(settings: Settings) -> Iterator[Flask]:
    """An app whose secret would do for HS512."""
    with serving(replace(settings, jwt_secret_key=LONG_SECRET)) as app:
        yield app


def unsigned(algorithm: str) -> str:
    parts = ({"alg": algorithm, "typ": "JWT"}, claims())
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def with_payload_of_another(subject: str) -> str:
    head, _, signature = token(claims(), key=LONG_SECRET).split(".")
    return ".".join((head, token(claims(sub=subject)).split(".")[1], signature))


@pytest.mark.parametrize(
    "bearer",
    [
        pytest.param(lambda: token(claims()), id="another key"),
        pytest.param(lambda: with_payload_of_another(str(uuid4())), id="another payload"),
        pytest.param(lambda: token(claims(), key=LONG_SECRET).rpartition(".")[0] + ".", id="no signature"),
        pytest.param(lambda: token(claims(), key=LONG_SECRET, algorithm="HS384"), id="HS384"),
        pytest.param(lambda: token(claims(), key=LONG_SECRET, algorithm="HS512"), id="HS512"),
        pytest.param(lambda: token(claims(), key=private_key("RS256"), algorithm="RS256"), id="RS256"),
        pytest.param(lambda: unsigned("none"), id="alg none"),
        pytest.param(lambda: unsigned("NONE"), id="alg NONE"),
        pytest.param(lambda: unsigned("HS256"), id="alg HS256 without a signature"),
    ],
)
def test_a_token_not_signed_by_the_secret_with_hs256_is_refused(
    by_long_secret: Flask, bearer: Callable[[], str]
) -> None:
    assert_unauthorized(read(by_long_secret, bearer()))


def test_a_token_signed_by_the_secret_with_hs256_works(by_long_secret: Flask) -> None:
    assert read(by_long_secret, token(claims(), key=LONG_SECRET)).status_code == 200


# The claims


def test_a_token_as_the_identity_service_issues_it_works(app: Flask) -> None:
    """`sub`, `email`, `roles`, `iat`, `exp`, `jti`; no `type`, no `fresh`."""
    assert read(app, user_token(USER)).status_code == 200


def test_a_token_without_exp_is_refused(app: Flask) -> None:
    assert_unauthorized(read(app, token(without("exp"))))


@pytest.mark.parametrize(
    ("claim", "seconds"), [("exp", -5), ("nbf", 10), ("iat", 10)], ids=["just expired", "not yet", "issued ahead"]
)
def test_a_time_within_the_leeway_works(app: Flask, claim: str, seconds: int) -> None:
    assert read(app, token(claims(**{claim: int(time.time()) + seconds}))).status_code == 200


def test_a_token_that_was_verified_before_expires(app: Flask) -> None:
    bearer = token(claims(exp=int(time.time()) - 8))  # with the leeway, in two seconds at the most
    assert read(app, bearer).status_code == 200
    until(lambda: read(app, bearer).status_code == 401, 5)


@pytest.mark.parametrize(
    ("claim", "seconds"), [("exp", -11), ("nbf", 15), ("iat", 15)], ids=["expired", "not yet", "issued ahead"]
)
def test_a_time_beyond_the_leeway_is_refused(app: Flask, claim: str, seconds: int) -> None:
    assert_unauthorized(read(app, token(claims(**{claim: int(time.time()) + seconds}))))


@pytest.mark.parametrize(
    "times",
    [
        pytest.param('"exp": 9007199254740991', id="exp just below 2^53"),
        pytest.param('"exp": 4102444800.5', id="exp a fraction"),
        pytest.param('"exp": 4102444800, "nbf": 1.5', id="nbf a fraction"),
        pytest.param('"exp": 4102444800, "iat": 0', id="iat zero"),
    ],
)
def test_a_finite_number_below_2_to_the_53_works(app: Flask, times: str) -> None:
    assert read(app, spelled(f'{{"sub": "{USER}", {times}}}')).status_code == 200


@pytest.mark.parametrize("claim", TIMES)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param('"{good}"', id="string"),
        pytest.param('"soon"', id="word"),
        pytest.param("true", id="true"),
        pytest.param("false", id="false"),
        pytest.param("null", id="null"),
        pytest.param("[{good}]", id="list"),
        pytest.param("{{}}", id="object"),
        pytest.param("9007199254740992", id="2^53"),
        pytest.param("9007199254740992.0", id="2^53 as a float"),
        pytest.param("1" + "0" * 400, id="10^400"),
        pytest.param("1" + "0" * 5000, id="10^5000"),
        pytest.param("1e400", id="1e400"),
        pytest.param("-1e400", id="-1e400"),
        pytest.param("Infinity", id="Infinity"),
        pytest.param("NaN", id="NaN"),
    ],
)
def test_a_time_that_is_no_number_below_2_to_the_53_is_refused(app: Flask, claim: str, value: str) -> None:
    times = {"exp": "4102444800", claim: value.format(good=4102444800 if claim == "exp" else 1)}
    spelled_times = ", ".join(f'"{name}": {time}' for name, time in times.items())
    assert_unauthorized(read(app, spelled(f'{{"sub": "{USER}", {spelled_times}}}')))


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("[]", id="list"),
        pytest.param('"text"', id="string"),
        pytest.param("null", id="null"),
        pytest.param("{", id="not JSON"),
        pytest.param('{"exp": 4102444800, "sub": ' + "[" * 100_000 + "]" * 100_000 + "}", id="deep nesting"),
    ],
)
def test_a_payload_that_is_no_object_of_claims_is_refused(app: Flask, payload: str) -> None:
    assert_unauthorized(read(app, spelled(payload)))


def test_the_type_access_works(app: Flask) -> None:
    assert read(app, token(claims(type="access"))).status_code == 200


@pytest.mark.parametrize("kind", ["refresh", "Access", "", "access ", None, 1, ["access"]], ids=repr)
def test_a_type_other_than_access_is_refused(app: Flask, kind: Any) -> None:
    assert_unauthorized(read(app, token(claims(type=kind))))


def test_a_subject_in_upper_case_is_the_same_user(app: Flask, sync_job: Caller, user_id: str, account_id: str) -> None:
    captured(sync_job, snapshot(user_id, account_id))
    response = read(app, user_token(user_id.upper()))
    assert [s["account_id"] for s in json.loads(response.text)["snapshots"]] == [account_id]


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param("", id="empty"),
        pytest.param("sync-job", id="a name"),
        pytest.param(f"{{{USER}}}", id="braces"),
        pytest.param(f"urn:uuid:{USER}", id="urn"),
        pytest.param(USER.replace("-", ""), id="no dashes"),
        pytest.param(f" {USER}", id="space before"),
        pytest.param(f"{USER}\n", id="line break after"),
        pytest.param(USER.replace("3", "\uff13"), id="full-width digits"),
        pytest.param(USER.replace("3300", "3_00"), id="underscore"),
        pytest.param(USER[:-1], id="a digit short"),
        pytest.param("\ud800", id="lone surrogate"),
    ],
)
def test_a_user_whose_subject_is_no_uuid_is_refused(app: Flask, subject: str) -> None:
    assert_unauthorized(read(app, token(claims(sub=subject))))


@pytest.mark.parametrize("scope", ["", SCOPE], ids=["read", "capture"])
@pytest.mark.parametrize("subject", ["123", "true", "null", f'["{USER}"]', "{}"])
def test_a_subject_that_is_no_string_is_refused(app: Flask, subject: str, scope: str) -> None:
    caller = Caller(app, spelled(f'{{"sub": {subject}, "scope": "{scope}", "exp": 4102444800}}'))
    assert_unauthorized(caller.capture() if scope else caller.latest())


def test_a_token_without_a_subject_is_refused(app: Flask) -> None:
    assert_unauthorized(read(app, token(without("sub"))))
    assert_unauthorized(Caller(app, token(without("sub") | {"scope": SCOPE})).capture())


# Issuer and audience


@pytest.fixture(scope="module")
def choosy(settings: Settings) -> Iterator[Flask]:
    """An app that wants an issuer and an audience."""
    with serving(replace(settings, jwt_issuer="https://id.example", jwt_audience="snapshots")) as app:
        yield app


@pytest.mark.parametrize(
    "carried",
    [{"iss": "https://elsewhere.example"}, {"aud": "elsewhere"}, {"aud": ["one", "two"]}, {"iss": "x", "aud": "y"}],
    ids=str,
)
def test_issuer_and_audience_are_ignored_when_none_is_configured(app: Flask, carried: dict[str, Any]) -> None:
    assert read(app, token(claims(**carried))).status_code == 200


@pytest.mark.parametrize("audience", ["snapshots", ["another", "snapshots"]], ids=str)
def test_the_configured_issuer_and_audience_work(choosy: Flask, audience: Any) -> None:
    assert read(choosy, token(claims(iss="https://id.example", aud=audience))).status_code == 200


@pytest.mark.parametrize(
    "carried",
    [
        pytest.param({}, id="neither"),
        pytest.param({"iss": "https://id.example"}, id="no audience"),
        pytest.param({"aud": "snapshots"}, id="no issuer"),
        pytest.param({"iss": "https://id.example/", "aud": "snapshots"}, id="a longer issuer"),
        pytest.param({"iss": "https://id", "aud": "snapshots"}, id="a part of the issuer"),
        pytest.param({"iss": "https://id.example", "aud": "snap"}, id="a part of the audience"),
        pytest.param({"iss": "https://id.example", "aud": ["others"]}, id="other audiences"),
        pytest.param({"iss": "https://id.example", "aud": []}, id="no audiences"),
        pytest.param({"iss": "https://id.example", "aud": {"snapshots": 1}}, id="audience an object"),
    ],
)
def test_another_issuer_or_audience_than_configured_is_refused(choosy: Flask, carried: dict[str, Any]) -> None:
    assert_unauthorized(read(choosy, token(claims(**carried))))


@pytest.mark.parametrize("issuer", ['["https://id.example"]', "null", "1"])
def test_an_issuer_that_is_no_string_is_refused(choosy: Flask, issuer: str) -> None:
    payload = f'{{"sub": "{USER}", "exp": 4102444800, "aud": "snapshots", "iss": {issuer}}}'
    assert_unauthorized(read(choosy, spelled(payload)))


# Scope


@pytest.mark.parametrize("scope", [SCOPE, f"openid {SCOPE}", f"{SCOPE} email", f"a {SCOPE} b"])
def test_the_scope_among_others_allows_capture(app: Flask, user_id: str, account_id: str, scope: str) -> None:
    response = Caller(app, token(claims(scope=scope))).capture(snapshot(user_id, account_id))
    assert response.status_code == 201


@pytest.mark.parametrize(
    "carried",
    [
        pytest.param({}, id="no scope"),
        *(
            pytest.param({"scope": scope}, id=str(scope))
            for scope in (
                "",
                None,
                1,
                [SCOPE],
                {SCOPE: True},
                "balance-snapshots",
                "balance-snapshots:read",
                f"{SCOPE}-all",
                f"{SCOPE}:all",
                f"my-{SCOPE}",
                f"other:{SCOPE}",
                f"{SCOPE},email",
                SCOPE.upper(),
            )
        ),
        pytest.param({"scp": SCOPE, "scopes": [SCOPE], "roles": [SCOPE]}, id="in other claims"),
    ],
)
def test_capture_without_the_scope_is_forbidden(
    app: Flask, user_id: str, account_id: str, carried: dict[str, Any]
) -> None:
    response = Caller(app, token(claims(**carried))).capture(snapshot(user_id, account_id))
    assert response.status_code == 403
    assert response.content_type == "application/problem+json"


def test_reads_need_no_scope_and_mind_none(app: Flask) -> None:
    assert read(app, token(claims(scope=SCOPE))).status_code == 200


@pytest.mark.parametrize("subject", ["sync-job", "", "Große Bank", "\ud800", "\0", "x" * 1000, USER], ids=ascii)
def test_the_subject_of_a_capture_may_be_any_string(app: Flask, user_id: str, account_id: str, subject: str) -> None:
    response = Caller(app, token(claims(sub=subject, scope=SCOPE))).capture(snapshot(user_id, account_id))
    assert response.status_code == 201


# Every route, and nothing before authentication


OPEN = ("/healthz", "/readyz", "/metrics", "/", "/openapi.json", "/docs", "/docs/start.js", "/docs/<file>")


def test_every_route_but_the_probes_and_the_documents_needs_a_token(app: Flask) -> None:
    urls = app.url_map.bind("localhost")
    closed = {
        (method, rule.rule): urls.build(rule.endpoint, dict.fromkeys(rule.arguments, USER), method=method)
        for rule in app.url_map.iter_rules()
        if rule.rule not in OPEN
        for method in rule.methods or ()
    }
    assert closed.keys() >= {
        ("GET", "/api/v1/balance-snapshots"),
        ("POST", "/api/v1/balance-snapshots"),
        ("GET", "/api/v1/accounts/<account_id>/balance-history"),
        ("GET", "/api/v1/accounts/<account_id>/balance-snapshots"),
    }
    for (method, _), path in closed.items():
        assert_unauthorized(app.test_client().open(path, method=method))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_the_probes_need_no_token(anonymous: FlaskClient, path: str) -> None:
    assert anonymous.get(path).status_code == 200


@pytest.fixture(scope="module")
def cut_off(settings: Settings) -> Iterator[Flask]:
    """An app whose database cannot be reached."""
    with serving(replace(settings, database_url=NOWHERE)) as app:
        yield app


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "bearer",
    [
        pytest.param(lambda: "garbage", id="garbage"),
        pytest.param(lambda: token(claims(exp=1)), id="expired"),
        pytest.param(lambda: token(without("sub")), id="no subject"),
    ],
)
def test_a_refusal_takes_no_database_connection(cut_off: Flask, method: str, bearer: Callable[[], str]) -> None:
    asked = cut_off.extensions["pool"].get_stats().get("requests_num", 0)
    assert_unauthorized(Caller(cut_off, bearer()).send(method, "/balance-snapshots"))
    assert cut_off.extensions["pool"].get_stats().get("requests_num", 0) == asked


def test_the_lack_of_a_scope_takes_no_database_connection(cut_off: Flask) -> None:
    assert Caller(cut_off, token(claims())).capture(snapshot(USER, USER)).status_code == 403
