"""Checks of every page of documentation."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@every_page
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@every_page
def test_the_lines_of_a_page_wrap_at_a_hundred_characters(page: Path) -> None:
    too_long = [line for line in page.read_text().splitlines() if len(line) > 100 and not line.startswith("|")]

    assert too_long == []


def test_the_tables_made_from_code_are_up_to_date() -> None:
    command = [sys.executable, "-m", "cogapp", "--check", "-I", ".", *map(str, ROOT.glob("docs/*.md"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nRun make docs."
