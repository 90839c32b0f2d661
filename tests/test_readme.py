"""The README stays true: its lines are pasted into a shell, against `make run`, and its answers compared."""

import gzip
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from config import table
from snapshots.capture import SCOPE
from tests.running import Run
from tools import demo, local

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES: list[tuple[str, str]] = re.findall(r"```sh\n(curl .*?)```\n```json\n(.*?)```", README, re.DOTALL)
# What differs from run to run.
NEW_EACH_TIME = ("id", "created_at", "trace_id")


def comparable(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: comparable(value) for name, value in answer.items() if name not in NEW_EACH_TIME}
    return [comparable(value) for value in answer] if isinstance(answer, list) else answer


def test_every_request_of_the_readme_is_answered_as_it_says(run: Run) -> None:
    assert len(EXAMPLES) == 5
    for command, shown in EXAMPLES:
        done = subprocess.run(
            ["bash", "-c", command.replace("curl ", "curl -sS ", 1)],
            env=run.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        assert comparable(json.loads(done.stdout)) == comparable(json.loads(shown)), command


def test_the_commands_of_the_readme_work_on_the_database_of_make_run(run: Run, tmp_path: Path) -> None:
    def flask(command: str) -> str:
        make = ["make", "-s", "flask", f"CMD={command}"]
        done = subprocess.run(make, cwd=ROOT, env=run.environ, capture_output=True, text=True, check=True)
        return f"{done.stdout}{done.stderr}"

    import_, export, erase = re.findall(r"^flask --app commands (.+?)(?:  +#.*| > .*)?$", README, re.MULTILINE)
    assert 'make flask CMD="snapshots export --user ..."' in README
    (tmp_path / "balances.csv").write_text(flask(export).partition(" snapshots")[0].rpartition("\n")[0] + "\n")
    (tmp_path / "more.ndjson.gz").write_bytes(gzip.compress(b""))
    files = " ".join(f"{tmp_path}/{name}" for name in import_.split()[2:])

    assert re.search(r"balances\.csv: \d,\d+ rows, 0 new", flask(f"snapshots import {files}"))
    assert re.fullmatch(r"Removed [5-9] accounts and \d,\d+ snapshots.\n", flask(f"{erase} --yes"))
    assert not re.search(r"\b0 new", flask(f"snapshots import {tmp_path}/balances.csv"))


def test_the_token_of_the_readme_is_one_that_make_prints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert f"make -s token SUB={demo.USER} SCOPE={SCOPE}" in README
    environ = {**os.environ, "STATE_DIR": str(tmp_path)}
    command = ["make", "-s", "token", f"SUB={demo.USER}", f"SCOPE={SCOPE}"]

    printed = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout

    monkeypatch.setattr(local, "STATE", tmp_path)
    assert len(printed.split(".")) == len(local.token(demo.USER, SCOPE).split(".")) == 3
    assert (tmp_path / "jwt-secret").stat().st_mode & 0o777 == 0o600


def test_the_table_of_settings_is_the_one_in_force() -> None:
    assert table() in README


@pytest.mark.parametrize(
    "document", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")), ids=lambda d: d.name
)
def test_a_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target
