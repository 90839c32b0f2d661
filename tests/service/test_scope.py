"""The scope that captures need (rule 16)."""

from typing import Any

import pytest
from flask import Flask

from tests.support import SCOPE, USER, Caller, claims, read, snapshot, token


@pytest.mark.parametrize("scope", [SCOPE, f"openid {SCOPE}", f"{SCOPE} email", f"a {SCOPE} b"])
def test_the_scope_allows_capture_alone_or_among_others(app: Flask, user_id: str, account_id: str, scope: str) -> None:
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


def test_reads_accept_a_token_with_a_scope(app: Flask) -> None:
    assert read(app, token(claims(scope=SCOPE))).status_code == 200


@pytest.mark.parametrize("subject", ["sync-job", "", "Große Bank", "\ud800", "\0", "x" * 1000, USER], ids=ascii)
def test_the_subject_of_a_capture_may_be_any_string(app: Flask, user_id: str, account_id: str, subject: str) -> None:
    response = Caller(app, token(claims(sub=subject, scope=SCOPE))).capture(snapshot(user_id, account_id))
    assert response.status_code == 201
