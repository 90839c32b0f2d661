"""The README stays true: what it shows is pasted into a shell while `make run` is up."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tests.support.browser import needs_browser
from tests.support.documents import assert_shown, checkout, examples, paste
from tests.support.running import Run, clean_environ

README = (ROOT / "README.md").read_text()


def test_the_requests_of_the_readme_return_what_it_shows(run: Run, tmp_path: Path) -> None:
    commands, *requests = examples(README)

    assert re.findall(r"^make \w+", commands.text, re.MULTILINE) == ["make run", "make test"]
    assert any(request.shown for request in requests)
    for request, printed in paste(requests, checkout(tmp_path / "checkout"), run.environ, run.address):
        assert_shown(request, printed)


def test_the_first_command_of_the_readme_is_what_these_tests_run() -> None:
    # Under `make test` this make is a nested one, which also prints that it enters and leaves its directory.
    command = ["make", "-n", "--no-print-directory", "run"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert printed.splitlines()[-1].endswith("-m tools.run")


def test_the_readme_shows_a_request_and_its_response_within_thirty_lines() -> None:
    first_screen = "\n".join(README.splitlines()[:30])

    assert any("curl" in example.text and example.shown for example in examples(first_screen + "\n"))


@needs_browser
def test_the_readme_begins_with_a_picture_of_the_size_that_make_screenshot_takes(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^!\[.+\]\((.+)\)$", "\n".join(README.splitlines()[:12]), re.MULTILINE)
    command = ["make", "screenshot", f"VENV={sys.prefix}", f"PICTURE={tmp_path}/page.png"]
    subprocess.run(command, cwd=ROOT, env=clean_environ(), capture_output=True, timeout=300, check=True)

    taken, kept = ((folder / Path(shown).name).read_bytes() for folder in (tmp_path, ROOT / "docs"))
    assert size(taken) == size(kept)
    assert len(taken) < 200_000
    assert len(kept) < 200_000


def size(png: bytes) -> bytes:
    """Return the width and the height of a PNG, as its header encodes them."""
    assert png.startswith(b"\x89PNG")
    return png[16:24]


def test_the_readme_has_at_most_a_thousand_words() -> None:
    assert len(README.split()) <= 1000
