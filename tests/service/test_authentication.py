"""Which requests are authenticated: the header, the signature, the routes (rule 15)."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from config import Settings
from tests.support import API, SECRET, USER, Caller, assert_unauthorized, claims, private_key, read, snapshot, token
from tests.support.apps import serving
from tests.support.tokens import without

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


LONG_SECRET = SECRET * 2


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


def test_a_token_outside_the_header_is_ignored(anonymous: FlaskClient) -> None:
    bearer = token(claims())
    anonymous.set_cookie("access_token_cookie", bearer)
    assert_unauthorized(anonymous.get(f"{API}/balance-snapshots", query_string={"access_token": bearer, "jwt": bearer}))


# The signature


@pytest.fixture(scope="module")
def by_long_secret(settings: Settings) -> Iterator[Flask]:
    """An app whose secret is long enough for HS512."""
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


# The routes, and what comes before authentication


OPEN = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/",
    "/openapi.json",
    "/docs",
    "/docs/<requested_version>/<name>",
    "/assets/<requested_version>/<name>",
)


def test_every_route_needs_a_token_unless_it_is_listed_as_open(app: Flask) -> None:
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
def test_the_probes_and_the_metrics_need_no_token(anonymous: FlaskClient, path: str) -> None:
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
    requested = cut_off.extensions["pool"].get_stats().get("requests_num", 0)
    assert_unauthorized(Caller(cut_off, bearer()).send(method, "/balance-snapshots"))
    assert cut_off.extensions["pool"].get_stats().get("requests_num", 0) == requested


def test_the_lack_of_a_scope_takes_no_database_connection(cut_off: Flask) -> None:
    assert Caller(cut_off, token(claims())).capture(snapshot(USER, USER)).status_code == 403
