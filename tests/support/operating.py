"""Run the commands of docs/operating.md as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tests.support.documents import examples
from tools import postgres

PAGE = (ROOT / "docs" / "operating.md").read_text()


def commands(heading: str) -> str:
    """Return the commands between a heading and the next one."""
    section = re.search(rf"^##+ {heading}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, heading
    found = "".join(example.text for example in examples(section[1]))
    assert found, heading
    return found


def run(*headings: str, **variables: str) -> None:
    """Run the commands below these headings in one shell, with PostgreSQL's programs and ours in its path."""
    path = [str(Path(postgres.program("psql")).parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    done = subprocess.run(
        [*postgres.as_ordinary_user(), "bash", "-euo", "pipefail", "-c", "\n".join(map(commands, headings))],
        cwd=ROOT,
        env={**os.environ, **variables, "PATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{headings}: {done.stdout}{done.stderr}"
