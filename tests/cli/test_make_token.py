"""`make token`: tokens that the service accepts; it refuses to make one that no operation would accept."""

import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask

from tests.support import ROOT, SECRET, Caller, snapshot
from tests.support.command_line import Done
from tests.support.running import clean_environ


def make_token(state: Path, environ: dict[str, str] | None = None, **variables: str) -> Done:
    done = subprocess.run(
        ["make", "-s", "token", f"VENV={sys.prefix}", *(f"{name}={value}" for name, value in variables.items())],
        cwd=ROOT,
        env={**clean_environ(), "STATE_DIR": str(state), "JWT_SECRET_KEY": SECRET, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout.strip(), done.stderr)


def test_the_token_of_a_user_reads(app: Flask, tmp_path: Path, user_id: str) -> None:
    done = make_token(tmp_path, SUB=user_id.upper())

    assert Caller(app, done.stdout).latest().status_code == 200


def test_the_token_of_a_job_captures_whatever_its_name(
    app: Flask, tmp_path: Path, user_id: str, account_id: str
) -> None:
    done = make_token(tmp_path, SUB="abc", SCOPE="other balance-snapshots:write")

    assert Caller(app, done.stdout).capture(snapshot(user_id, account_id)).status_code == 201


def test_the_token_of_a_job_may_be_for_corrections_alone(app: Flask, tmp_path: Path) -> None:
    done = make_token(tmp_path, SUB="abc", SCOPE="balance-snapshots:correct")

    assert Caller(app, done.stdout).correct().status_code == 400


@pytest.mark.parametrize("scope", ["", "balance-snapshots", "balance-snapshots:writer"])
def test_a_token_that_no_operation_would_accept_is_refused(tmp_path: Path, scope: str) -> None:
    done = make_token(tmp_path, SUB="abc", SCOPE=scope)

    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("SUB=abc is not the id of a user, a UUID like")
    assert "SCOPE=balance-snapshots:write" in done.stderr


def test_a_token_of_another_algorithm_than_the_services_is_refused(tmp_path: Path, user_id: str) -> None:
    done = make_token(tmp_path, {"JWT_ALGORITHM": "RS256"}, SUB=user_id)

    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("With JWT_ALGORITHM=RS256 the service would refuse the token")
