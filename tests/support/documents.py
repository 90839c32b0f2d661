"""Run the examples of a page of documentation, as a reader would paste them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from tests.support import ROOT

DOCUMENTED_ADDRESS = "127.0.0.1:8000"
_FENCED = re.compile(r"^```(\w+)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
# Members whose values differ from run to run.
_VOLATILE = ("id", "created_at", "trace_id")


class Example(NamedTuple):
    """A fenced block of a page and the output that the page shows for it."""

    language: str
    text: str
    shown: str | None
    """The fenced block of JSON or text that follows directly, if one does."""


def examples(page: str) -> list[Example]:
    """Return the blocks of a page that are meant to be run, in order."""
    blocks = list(_FENCED.finditer(page))
    found = []
    for block, following in zip_longest(blocks, blocks[1:]):
        if block[1] in ("sh", "python"):
            is_output = following and following[1] in ("json", "text") and following.start() == block.end()
            found.append(Example(block[1], block[2], following[2] if following and is_output else None))
    return found


def checkout(folder: Path) -> Path:
    """Copy the project, without what a fresh clone lacks, so that commands may write files there."""
    absent = shutil.ignore_patterns(".git", ".local", ".venv", ".*_cache", ".hypothesis", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=absent)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def paste(
    pasted: list[Example], folder: Path, environ: Mapping[str, str], address: str = DOCUMENTED_ADDRESS
) -> Iterator[tuple[Example, str]]:
    """Paste blocks into one shell, one after the other; yield each with its output.

    `address` replaces the address that the pages give for the service. Fails when a block fails.
    """
    outputs = folder / "outputs"
    outputs.mkdir()
    script = ["set -eo pipefail"]
    for number, example in enumerate(pasted):
        text = example.text.replace(DOCUMENTED_ADDRESS, address)
        if example.language == "python":
            text = f"python - <<'PROGRAM'\n{text}PROGRAM\n"
        script.append(f"{{\n{text}}} > '{outputs}/{number}'")
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    reached = len(list(outputs.iterdir())) - 1
    assert done.returncode == 0, f"{pasted[reached].text}\n{done.stderr}"
    for number, example in enumerate(pasted):
        yield example, (outputs / str(number)).read_text()


def assert_shown(example: Example, printed: str) -> None:
    """Compare what a page shows with what was printed, except for ids, times of creation and trace ids."""
    if example.shown is None:
        return
    if example.shown.startswith("{"):
        assert _stable(json.loads(printed)) == _stable(json.loads(example.shown)), example.text
    else:
        assert printed == example.shown, example.text


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stable(member) for name, member in value.items() if name not in _VOLATILE}
    return [_stable(member) for member in value] if isinstance(value, list) else value
