"""docs/integrating.md stays true: its examples run against `make run`, and print what it says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from snapshots.capture import SCOPE
from tests.running import Run
from tests.support import SECRET, user_token
from tools import demo
from tools.processes import free_port

GUIDE = (Path(__file__).parent.parent / "docs" / "integrating.md").read_text()
LINES: list[str] = re.findall(r"```sh\n(curl .*?)```", GUIDE, re.DOTALL)
PROGRAMS: list[tuple[str, str]] = re.findall(r"```python\n(.*?)```\n```text\n(.*?)```", GUIDE, re.DOTALL)


def test_each_use_has_an_example_in_curl_and_one_in_python() -> None:
    assert (len(LINES), len(PROGRAMS)) == (3, 3)


@pytest.mark.parametrize("number", range(3))
def test_a_line_of_curl_answers(run: Run, number: int) -> None:
    line = LINES[number].replace("curl ", "curl --fail-with-body ", 1)
    done = subprocess.run(["bash", "-c", line], env=run.environ, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["snapshots"]


@pytest.mark.parametrize("number", range(3))
def test_a_program_prints_what_the_guide_says(run: Run, number: int) -> None:
    program, printed = PROGRAMS[number]
    done = subprocess.run(
        [sys.executable, "-c", program], env=run.environ, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.stdout, done.stderr) == (printed, "")


def test_the_jobs_retries_outlast_a_service_that_is_not_there_yet(tmp_path: Path) -> None:
    port = free_port()
    token = user_token(demo.USER, scope=SCOPE)
    environ = {**os.environ, "API": f"http://127.0.0.1:{port}/api/v1", "TOKEN": token}
    program, _ = PROGRAMS[0]

    job = subprocess.Popen([sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE, text=True)
    run = Run(tmp_path, PORT=str(port), JWT_SECRET_KEY=SECRET)
    try:
        printed, _ = job.communicate(timeout=60)
    finally:
        job.kill()
        run.end()

    assert printed == "created 1\n"
