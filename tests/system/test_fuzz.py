"""`make fuzz`, with few examples."""

import subprocess
import sys

import hypothesis

from tests.support import ROOT
from tests.support.stack_client import CONTRACT


def test_the_running_service_keeps_its_contract() -> None:
    """Schemathesis runs all of its checks over HTTP, with valid and invalid requests; `make fuzz` does so at length."""
    examples_of_each = hypothesis.settings().max_examples // 6
    done = subprocess.run(
        [sys.executable, "-m", "tools.fuzz", "1", str(examples_of_each)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    count = sum(len(operations) for operations in CONTRACT["paths"].values())
    assert f"{count} selected / {count} total" in done.stdout
