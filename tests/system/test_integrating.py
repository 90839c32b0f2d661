"""docs/integrating.md stays true: what it shows is pasted into a shell while `make run` is up."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from snapshots.capture import SCOPE
from tests.support import ROOT, SECRET, user_token
from tests.support.documents import assert_shown, checkout, examples, paste
from tests.support.gunicorn_server import serving
from tests.support.running import Run
from tools import demo, postgres
from tools.processes import free_port

PAGE = (ROOT / "docs" / "integrating.md").read_text()
EXAMPLES = examples(PAGE)
# They share a file, and need jq.
DATA_TOOL_EXAMPLES = examples(PAGE[PAGE.index("### With jq") : PAGE.index("## Capture")])
PROGRAMS = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
needs_jq = pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed: apt-get install jq")


@needs_jq
def test_the_examples_of_data_tools_print_what_the_page_shows(run: Run, tmp_path: Path) -> None:
    environ = run.environ | PROGRAMS
    assert len(DATA_TOOL_EXAMPLES) == 4
    for example, printed in paste(DATA_TOOL_EXAMPLES, tmp_path, environ, run.address):
        assert_shown(example, printed)


def test_every_other_example_prints_what_the_page_shows(run: Run, tmp_path: Path) -> None:
    with postgres.running(run.state / "postgres") as database_url:
        environ = run.environ | PROGRAMS | {"DATABASE_URL": database_url}
        others = [example for example in EXAMPLES if example not in DATA_TOOL_EXAMPLES]
        for example, printed in paste(others, checkout(tmp_path / "checkout"), environ, run.address):
            assert_shown(example, printed)


def test_the_page_shows_the_output_of_eight_examples_in_curl_and_nine_in_python() -> None:
    shown = [example for example in EXAMPLES if example.shown]

    assert sum(example.text.startswith("curl") for example in shown) == 8
    assert sum(example.language == "python" for example in shown) == 9


def test_the_sync_job_retries_until_the_service_has_started(migrated_database_url: str, tmp_path: Path) -> None:
    port = free_port()
    token = user_token(demo.USER, scope=SCOPE)
    environ = {**os.environ, "API": f"http://127.0.0.1:{port}/api/v1", "TOKEN": token}
    (job,) = [example for example in EXAMPLES if "def capture(" in example.text]

    process = subprocess.Popen([sys.executable, "-c", job.text], env=environ, stdout=subprocess.PIPE, text=True)
    try:
        with serving(tmp_path, PORT=str(port), DATABASE_URL=migrated_database_url, JWT_SECRET_KEY=SECRET):
            printed, _ = process.communicate(timeout=300)
    finally:
        process.kill()

    assert printed == job.shown
