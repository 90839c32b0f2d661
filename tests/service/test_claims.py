"""The claims of a token (rule 15)."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from config import Settings
from service import auth
from tests.support import (
    SCOPE,
    USER,
    Caller,
    assert_unauthorized,
    captured,
    claims,
    read,
    snapshot,
    token,
    user_token,
)
from tests.support.apps import serving
from tests.support.tokens import token_with_payload, without

TIMES = ("exp", "nbf", "iat")


# The claims


def test_a_token_as_the_identity_service_issues_it_works(app: Flask) -> None:
    """It has `sub`, `email`, `roles`, `iat`, `exp` and `jti`, but neither `type` nor `fresh`."""
    assert read(app, user_token(USER)).status_code == 200


def test_a_token_without_exp_is_refused(app: Flask) -> None:
    assert_unauthorized(read(app, token(without("exp"))))


@pytest.mark.parametrize(
    ("claim", "seconds"), [("exp", -1), ("nbf", 10), ("iat", 10)], ids=["just expired", "not yet", "issued ahead"]
)
def test_a_time_within_the_leeway_works(app: Flask, claim: str, seconds: int) -> None:
    assert read(app, token(claims(**{claim: int(time.time()) + seconds}))).status_code == 200


def test_a_token_that_was_verified_before_is_refused_once_it_expires(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    bearer = token(claims())
    assert read(app, bearer).status_code == 200
    # The token is valid for ten minutes, and ten seconds of leeway.
    later = time.time() + 611
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: later))
    assert_unauthorized(read(app, bearer))


@pytest.mark.parametrize(
    ("claim", "seconds"), [("exp", -11), ("nbf", 40), ("iat", 40)], ids=["expired", "not yet", "issued ahead"]
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
    assert read(app, token_with_payload(f'{{"sub": "{USER}", {times}}}')).status_code == 200


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
def test_a_time_that_is_not_a_number_below_2_to_the_53_is_refused(app: Flask, claim: str, value: str) -> None:
    times = {"exp": "4102444800", claim: value.format(good=4102444800 if claim == "exp" else 1)}
    spelled_times = ", ".join(f'"{name}": {time}' for name, time in times.items())
    assert_unauthorized(read(app, token_with_payload(f'{{"sub": "{USER}", {spelled_times}}}')))


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
def test_a_payload_that_is_not_an_object_of_claims_is_refused(app: Flask, payload: str) -> None:
    assert_unauthorized(read(app, token_with_payload(payload)))


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
def test_a_user_whose_subject_is_not_a_uuid_is_refused(app: Flask, subject: str) -> None:
    assert_unauthorized(read(app, token(claims(sub=subject))))


@pytest.mark.parametrize("scope", ["", SCOPE], ids=["read", "capture"])
@pytest.mark.parametrize("subject", ["123", "true", "null", f'["{USER}"]', "{}"])
def test_a_subject_that_is_not_a_string_is_refused(app: Flask, subject: str, scope: str) -> None:
    caller = Caller(app, token_with_payload(f'{{"sub": {subject}, "scope": "{scope}", "exp": 4102444800}}'))
    assert_unauthorized(caller.capture() if scope else caller.latest())


def test_a_token_without_a_subject_is_refused(app: Flask) -> None:
    assert_unauthorized(read(app, token(without("sub"))))
    assert_unauthorized(Caller(app, token(without("sub") | {"scope": SCOPE})).capture())


# Issuer and audience


@pytest.fixture(scope="module")
def strict_app(settings: Settings) -> Iterator[Flask]:
    """An app that requires an issuer and an audience."""
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
def test_the_configured_issuer_and_audience_work(strict_app: Flask, audience: Any) -> None:
    assert read(strict_app, token(claims(iss="https://id.example", aud=audience))).status_code == 200


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
def test_an_issuer_or_audience_other_than_the_configured_one_is_refused(
    strict_app: Flask, carried: dict[str, Any]
) -> None:
    assert_unauthorized(read(strict_app, token(claims(**carried))))


@pytest.mark.parametrize("issuer", ['["https://id.example"]', "null", "1"])
def test_an_issuer_that_is_not_a_string_is_refused(strict_app: Flask, issuer: str) -> None:
    payload = f'{{"sub": "{USER}", "exp": 4102444800, "aud": "snapshots", "iss": {issuer}}}'
    assert_unauthorized(read(strict_app, token_with_payload(payload)))
