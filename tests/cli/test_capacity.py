"""Capacity planning by `python -m bench.capacity`."""

import subprocess
import sys

import pytest

from bench import capacity
from bench.capacity import Demand, plan
from tests.support import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.capacity", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command_prints_nodes_disk_wal_and_memory() -> None:
    done = run("70000", "8", "1", "5")

    assert done.returncode == 0, done.stderr
    cells = dict(line.strip("| ").split(" | ") for line in done.stdout.splitlines())
    assert cells["Snapshots"] == "1.02e+09"
    for what in ("Disk", "WAL per day", "Memory", "Nodes of the database"):
        assert any(name.startswith(what) for name in cells), what


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("0", "8", "1", "5"), "argument USERS: must be a whole number"),
        (("1.5", "8", "1", "5"), "argument USERS: must be a whole number"),
        (("1", "-8", "1", "5"), "argument ACCOUNTS: must be a whole number"),
        (("1", "8", "nan", "5"), "argument PER_DAY: must be a number"),
        (("1", "8", "1", "inf"), "argument YEARS: must be a number"),
        (("1", "8", "1"), "required: YEARS"),
    ],
)
def test_the_command_refuses_invalid_arguments(arguments: tuple[str, ...], fault: str) -> None:
    done = run(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert fault in done.stderr


def test_disk_wal_and_memory_follow_the_unit_costs() -> None:
    """A thousand accounts, captured once a day for 1,000 days."""
    small = plan(Demand(users=100, accounts=10, per_day=1, years=1000 / capacity.DAYS_PER_YEAR))

    assert small.disk == pytest.approx(1_000_000 * 377 + 1000 * 205)
    assert small.wal_per_day == pytest.approx(1000 * 12_600)
    assert small.memory == pytest.approx(1000 * 2.1 * 8192)
    assert (small.nodes, small.machines) == (1, 2)


def test_only_the_first_capture_after_a_checkpoint_costs_full_pages_of_wal() -> None:
    """Every other one of 576 captures a day is the first after a checkpoint."""
    frequent = plan(Demand(users=1, accounts=1, per_day=576, years=1))

    assert frequent.wal_per_day == pytest.approx(288 * 12_600 + 288 * 482)


@pytest.mark.parametrize(
    ("demand", "bound"),
    [
        (Demand(users=1_000_000, accounts=8, per_day=24, years=20), "nodes_for_disk"),
        (Demand(users=10_000_000, accounts=8, per_day=0.1, years=1), "nodes_for_memory"),
        (Demand(users=1_000_000, accounts=8, per_day=24, years=0.01), "nodes_for_wal"),
    ],
)
def test_the_scarcest_resource_determines_the_number_of_nodes(demand: Demand, bound: str) -> None:
    large = plan(demand)

    assert large.nodes == getattr(large, bound) > 1
    assert large.machines == 2 * (large.nodes + 1)
