"""A short run of `make chaos`: each fault takes effect under load, and fails only the requests that it must."""

import statistics
from collections.abc import Iterator

import pytest

from tests.support.clusters import new_cluster
from tests.support.stack_client import needs_nginx
from tools import callers, chaos
from tools.callers import CORRECTORS, JOBS, NO_FAULT, READERS, Request
from tools.chaos import Chaos, Fault

pytestmark = needs_nginx

# Limits of docs/reliability.md, and what a busy machine may add to each.
FAILURE_SECONDS = 1.2
RETRY_SECONDS = 1.0
RETURN_SECONDS = 1.0
STORE_SECONDS = 0.5
FAIR_SECONDS = 0.5
SLACK_SECONDS = 2.0


@pytest.fixture(scope="module")
def chaos_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    """A stack that has been through every fault."""
    state = tmp_path_factory.mktemp("state")
    new_cluster(state / "postgres")
    with pytest.MonkeyPatch.context() as patch, chaos.running(7, state) as chaos_run:
        patch.setattr(chaos, "REST_SECONDS", 0.5)
        patch.setattr(chaos, "FAULT_SECONDS", 0.7)
        # Leaves most of the machine to other tests: about 60 requests a second.
        patch.setattr(callers, "PAUSE_SECONDS", 0.1)
        chaos_run.run(rounds=1)
        yield chaos_run


def fault(chaos_run: Chaos, name: str) -> Fault:
    [found] = [fault for fault in chaos_run.faults if fault.name == name]
    return found


def failures(chaos_run: Chaos, *faults: str) -> list[Request]:
    return [r for r in chaos_run.callers.requests if r.fault in faults and not r.is_success]


@pytest.mark.parametrize(
    "name",
    [
        "greedy caller",
        "half-sent requests",
        "postgres down",
        "postgres restarted",
        "rolling restart",
        "valkey frozen",
        "worker killed",
    ],
)
def test_every_fault_is_met_by_reads_and_captures(chaos_run: Chaos, name: str) -> None:
    kinds = [request.kind for request in chaos_run.callers.requests if request.fault == name]

    assert kinds.count("read") >= READERS
    assert kinds.count("capture") >= JOBS


def test_nothing_acknowledged_is_lost_or_duplicated(chaos_run: Chaos) -> None:
    assert len(chaos_run.callers.acknowledged) > 100
    assert chaos_run.lost_and_duplicated() == (0, 0)


def test_every_acknowledged_correction_is_stored_once_and_undone_by_no_capture(chaos_run: Chaos) -> None:
    assert len(chaos_run.callers.corrected) > 50
    assert chaos_run.lost_corrections() == 0


def test_nothing_fails_without_a_fault_or_by_a_fault_that_the_stack_hides(chaos_run: Chaos) -> None:
    assert failures(chaos_run, NO_FAULT, "valkey frozen", "half-sent requests", "greedy caller") == []


def test_a_rolling_restart_fails_nothing(chaos_run: Chaos) -> None:
    assert failures(chaos_run, "rolling restart") == []


def test_no_read_fails_over_a_restart_of_the_database_unless_it_takes_longer_than_a_read_is_retried(
    chaos_run: Chaos,
) -> None:
    restart = fault(chaos_run, "postgres restarted")
    failed = failures(chaos_run, "postgres restarted")
    reads = [request.ended_at - restart.started_at for request in failed if request.kind == "read"]

    assert {request.status for request in failed} <= {"503"}
    # On a busy machine the restart takes longer. Half of RETRY_SECONDS allows for reads that began before the restart.
    assert min(reads, default=RETRY_SECONDS) > RETRY_SECONDS / 2
    assert not reads or restart.seconds > RETRY_SECONDS / 2


def test_a_database_that_is_down_fails_reads_and_captures_with_503_and_retry_after(chaos_run: Chaos) -> None:
    failed = failures(chaos_run, "postgres down")

    assert {request.status for request in failed} == {"503"}
    assert {"read", "capture"} <= {request.kind for request in failed}
    assert all(int(request.retry_after or 0) >= 1 for request in failed)


def test_a_database_that_is_down_holds_no_request_for_long(chaos_run: Chaos) -> None:
    failed = failures(chaos_run, "postgres down")

    assert max(request.seconds for request in failed) < FAILURE_SECONDS + SLACK_SECONDS


def test_requests_succeed_soon_after_the_database_is_back(chaos_run: Chaos) -> None:
    back_at = fault(chaos_run, "postgres down").ended_at
    afterwards = [request for request in chaos_run.callers.requests if request.ended_at > back_at]

    for kind in ("read", "capture"):
        first = min(request.ended_at for request in afterwards if request.kind == kind and request.is_success)
        assert first - back_at < RETURN_SECONDS + SLACK_SECONDS


def test_a_killed_worker_fails_only_what_it_had_accepted(chaos_run: Chaos) -> None:
    failed = failures(chaos_run, "worker killed")

    assert {request.status for request in failed} <= {"502", "IncompleteRead"}
    # The requests that it was answering or had accepted: at most two of each caller.
    assert len(failed) <= 2 * (READERS + JOBS + CORRECTORS)


def test_a_frozen_limiter_store_does_not_stall_reads(chaos_run: Chaos) -> None:
    reads = [r.seconds for r in chaos_run.callers.requests if r.fault == "valkey frozen" and r.kind == "read"]

    assert max(reads) < STORE_SECONDS + SLACK_SECONDS


def test_a_greedy_caller_does_not_delay_the_reads_of_others(chaos_run: Chaos) -> None:
    reads = [r.seconds for r in chaos_run.callers.requests if r.fault == "greedy caller" and r.kind == "read"]

    assert statistics.median(reads) < FAIR_SECONDS
    assert max(reads) < FAIR_SECONDS + SLACK_SECONDS


def test_a_seed_determines_a_plan_that_has_every_fault_once_per_round() -> None:
    plan = chaos.plan(3, 2, ["a", "b", "c"])

    assert plan == chaos.plan(3, 2, ["a", "b", "c"])
    assert plan != chaos.plan(4, 2, ["a", "b", "c"])
    assert [sorted(fault for _, fault in part) for part in (plan[:3], plan[3:])] == [["a", "b", "c"]] * 2
