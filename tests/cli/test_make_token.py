"""`make token`: tokens that the service accepts; it refuses to make one that no operation would accept."""

import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from flask import Flask

from tests.support import ROOT, SECRET, Caller, snapshot
from tests.support.running import clean_environ
from tools import mint_token

CapturedOutput = pytest.CaptureFixture[str]


def test_the_command_prints_a_token_and_keeps_its_secret_private(tmp_path: Path) -> None:
    command = ["make", "-s", "token", f"VENV={sys.prefix}", "SUB=abc", "SCOPE=other balance-snapshots:write"]
    environ = clean_environ() | {"STATE_DIR": str(tmp_path)}

    printed = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout

    secret = tmp_path / "jwt-secret"
    claims = jwt.decode(printed.strip(), secret.read_text(), ["HS256"])
    assert (claims["sub"], claims["scope"]) == ("abc", "other balance-snapshots:write")
    assert secret.stat().st_mode & 0o777 == 0o600


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the secret of the tests, and the default algorithm."""
    monkeypatch.setenv("JWT_SECRET_KEY", SECRET)
    monkeypatch.delenv("JWT_ALGORITHM", raising=False)


def test_the_token_of_a_user_reads(app: Flask, capsys: CapturedOutput, user_id: str) -> None:
    mint_token.main([user_id.upper()])

    assert Caller(app, capsys.readouterr().out.strip()).latest().status_code == 200


def test_the_token_of_a_job_captures_whatever_the_name_of_the_job(
    app: Flask, capsys: CapturedOutput, user_id: str, account_id: str
) -> None:
    mint_token.main(["abc", "other balance-snapshots:write"])

    job = Caller(app, capsys.readouterr().out.strip())
    assert job.capture(snapshot(user_id, account_id)).status_code == 201


def test_the_token_of_a_job_may_be_for_corrections_alone(app: Flask, capsys: CapturedOutput) -> None:
    mint_token.main(["abc", "balance-snapshots:correct"])

    assert Caller(app, capsys.readouterr().out.strip()).correct().status_code == 400


@pytest.mark.parametrize("scope", ["", "balance-snapshots", "balance-snapshots:writer"])
def test_a_token_that_no_operation_would_accept_is_not_made(capsys: CapturedOutput, scope: str) -> None:
    with pytest.raises(SystemExit, match=r"^SUB=abc is not the id of a user, a UUID like .*balance-snapshots:write"):
        mint_token.main(["abc", scope])

    assert capsys.readouterr().out == ""


def test_a_token_is_not_made_for_a_service_with_another_algorithm(
    monkeypatch: pytest.MonkeyPatch, capsys: CapturedOutput, user_id: str
) -> None:
    monkeypatch.setenv("JWT_ALGORITHM", "RS256")

    with pytest.raises(SystemExit, match=r"^With JWT_ALGORITHM=RS256 the service would refuse the token, which"):
        mint_token.main([user_id])

    assert capsys.readouterr().out == ""
