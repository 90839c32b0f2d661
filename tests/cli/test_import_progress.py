"""The progress that an import shows, on a terminal and elsewhere, and its rows per second."""

import contextlib
import os
import pty
import re
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from snapshots import importing, progress
from tests.support import PATIENCE_SECONDS, ROOT, snapshot
from tests.support.command_line import Flasks, as_csv, command, environ
from tests.support.databases import database


def many_snapshots(user_id: str, account_id: str, number: int) -> list[dict[str, Any]]:
    """Return one snapshot each of `number` accounts, whose ids count up from this one."""
    first = UUID(account_id).int
    return [snapshot(user_id, str(UUID(int=first + n)), f"{n}.50") for n in range(number)]


def run_on_terminal(database_url: str, *arguments: str) -> str:
    """Run a command with a terminal for its standard error; return what the terminal received."""
    ours, theirs = pty.openpty()
    received = b""
    with subprocess.Popen(command(*arguments), cwd=ROOT, env=environ(database_url), stderr=theirs) as running:
        os.close(theirs)
        with contextlib.suppress(OSError):  # Linux reports the end of a terminal as an error.
            while part := os.read(ours, 65536):
                received += part
        os.close(ours)
        running.wait(PATIENCE_SECONDS)
    return received.decode()


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output that a terminal receives from an import that stores its file in three slices."""
    path = tmp_path_factory.mktemp("import") / "many.csv"
    path.write_text(as_csv(*many_snapshots(str(uuid4()), str(uuid4()), 21_000)))
    with database() as url:
        return run_on_terminal(url, "snapshots", "import", str(path))


def bar_moves(terminal: str) -> list[tuple[str, int]]:
    """Return the labels and percentages that the bar showed."""
    return [
        (label, int(percent)) for label, percent in re.findall(r"many\.csv: ([^\r\[]+)  \[[#-]+\]  +(\d+)%", terminal)
    ]


def test_the_bar_shows_how_much_of_the_whole_is_done_while_rows_are_checked(terminal: str) -> None:
    *shares, _ = [percent for label, percent in bar_moves(terminal) if "/s" in label]

    assert shares == sorted(shares)
    assert shares[-1] in range(20, 40)


def test_the_bar_moves_while_snapshots_are_stored(terminal: str) -> None:
    steps = [(label, percent) for label, percent in bar_moves(terminal)[1:-1] if "/s" not in label]
    shares = [percent for _, percent in steps]

    assert [label for label, _ in steps] == [
        "comparing with stored snapshots",
        "preparing new snapshots",
        "0 of 21,000 snapshots stored",
        "10,000 of 21,000 snapshots stored",
        "20,000 of 21,000 snapshots stored",
        "looking for contradictions",
    ]
    assert shares == sorted(set(shares))
    assert shares[0] == 30
    assert shares[-1] in range(90, 100)


def test_the_bar_is_full_when_everything_is_stored_and_ends_with_the_rows_per_second(terminal: str) -> None:
    assert [percent for _, percent in bar_moves(terminal)].count(100) == 1
    label, share = bar_moves(terminal)[-1]

    assert re.fullmatch(r"21,000 rows, [\d,]+/s", label)
    assert share == 100
    assert re.search(
        r"many\.csv: 21,000 rows, 21,000 new, 0 duplicates, 0 with faults\. [\d,]+ rows per second\.\s*$", terminal
    )


def test_the_bar_shows_the_time_left(terminal: str) -> None:
    assert re.search(r"\[[#-]+\]  +\d+%  \d\d:\d\d:\d\d", terminal)


def test_a_fault_is_printed_on_its_own_line_above_the_bar(
    database_url: str, tmp_path: Path, user_id: str, account_id: str
) -> None:
    path = tmp_path / "many.csv"
    path.write_text(as_csv(snapshot(user_id, account_id) | {"currency": "?"}))

    terminal = run_on_terminal(database_url, "snapshots", "import", str(path))

    [line] = re.findall(r"\r\x1b\[K([^\r\n]*)\r?\n", terminal)
    assert line.startswith(f"{path}, line 2, currency: ")
    assert line.endswith("Found '?'.")


def test_without_a_terminal_progress_is_printed_as_lines(
    flask: Flasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_id: str, account_id: str
) -> None:
    monkeypatch.setattr(progress, "ROWS_PER_LINE", 10)
    monkeypatch.setattr(importing, "MIN_SLICE_ROWS", 10)
    path = tmp_path / "many.csv"
    path.write_text(as_csv(*many_snapshots(user_id, account_id, 25)))

    done = flask("snapshots", "import", str(path))

    *lines, summary = done.stderr.splitlines()
    assert lines == [
        f"{path}: {line}"
        for line in (
            "10 rows checked",
            "20 rows checked",
            "comparing with stored snapshots",
            "preparing new snapshots",
            "0 of 25 snapshots stored",
            "10 of 25 snapshots stored",
            "20 of 25 snapshots stored",
            "looking for contradictions",
        )
    ]
    assert re.fullmatch(r".*: 25 rows, 25 new, 0 duplicates, 0 with faults\. [\d,]+ rows per second\.", summary)


def test_without_a_terminal_a_small_file_has_one_line(
    flask: Flasks, tmp_path: Path, user_id: str, account_id: str
) -> None:
    path = tmp_path / "few.csv"
    path.write_text(as_csv(*many_snapshots(user_id, account_id, 3)))

    done = flask("snapshots", "import", str(path))

    assert re.fullmatch(r".*: 3 rows, 3 new, 0 duplicates, 0 with faults\. [\d,]+ rows per second\.\n", done.stderr)


def test_only_the_first_faults_are_printed(flask: Flasks, tmp_path: Path, user_id: str, account_id: str) -> None:
    path = tmp_path / "many.csv"
    path.write_text(as_csv(*[snapshot(user_id, account_id) | {"currency": "?"}] * 25))

    done = flask("snapshots", "import", str(path))

    assert done.stderr.count("Found '?'.") == 20
    assert "... and 5 more faults; --errors FILE lists all" in done.stderr


def test_snapshots_are_stored_once_whatever_the_size_of_a_slice(
    flask: Flasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_id: str, account_id: str
) -> None:
    """The file holds each row twice, and not in the order in which snapshots are stored."""
    items = many_snapshots(user_id, account_id, 7)
    path = tmp_path / "many.csv"
    path.write_text(as_csv(*reversed(items), *items))
    monkeypatch.setattr(importing, "MIN_SLICE_ROWS", 3)
    monkeypatch.setattr(importing, "MAX_SLICES", 100)

    done = flask("snapshots", "import", str(path))

    assert "14 rows, 7 new, 7 duplicates, 0 with faults." in done.stderr
    assert len(flask("snapshots", "export", "--user", user_id).stdout.splitlines()) == 8
