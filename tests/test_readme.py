"""The README stays true: its lines are pasted into a shell, against `make run`, and its answers compared."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config import table
from snapshots.capture import SCOPE
from tests.test_run import Run
from tools import demo, local

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES: list[tuple[str, str]] = re.findall(r"```sh\n(curl .*?)```\n```json\n(.*?)```", README, re.DOTALL)
# What differs from run to run.
NEW_EACH_TIME = ("id", "created_at", "trace_id")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that the README's lines need."""
    run = Run(tmp_path_factory.mktemp("state")).wait_until_ready()
    token = re.search(r"^[\w-]+\.[\w-]+\.[\w-]+$", run.output, re.MULTILINE)
    assert token
    yield {**os.environ, "API": f"{run.base}/api/v1", "TOKEN": token[0]}
    run.end()


def comparable(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: comparable(value) for name, value in answer.items() if name not in NEW_EACH_TIME}
    return [comparable(value) for value in answer] if isinstance(answer, list) else answer


def test_every_request_of_the_readme_is_answered_as_it_says(shell: dict[str, str]) -> None:
    assert len(EXAMPLES) == 5
    for command, shown in EXAMPLES:
        done = subprocess.run(
            ["bash", "-c", command.replace("curl ", "curl -sS ", 1)],
            env=shell,
            capture_output=True,
            text=True,
            check=True,
        )
        assert comparable(json.loads(done.stdout)) == comparable(json.loads(shown)), command


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
