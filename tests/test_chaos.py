"""A short part of `make chaos`: the same faults, on the same stack, found again by their seed."""

import pytest

from tests.test_stack import NGINX
from tools import chaos

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed: apt-get install nginx-light")


def test_no_acknowledged_snapshot_is_lost_or_doubled_and_only_what_was_under_way_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chaos, "REST_SECONDS", 0.4)
    monkeypatch.setattr(chaos, "LASTING_SECONDS", 0.4)
    with chaos.begun(seed=7) as under_test:
        under_test.run(rounds=1)
        lost_and_doubled = under_test.lost_and_doubled()

    assert lost_and_doubled == (0, 0)
    assert len(under_test.acknowledged) > 100
    failed_of = {fault: len(seen.failed_seconds) for fault, seen in under_test.seen.items()}
    for fault in ("rolling restart", "valkey frozen", "half-sent requests"):
        assert failed_of[fault] == 0
    # What a killed worker was answering, and what it had accepted: two requests of each caller at the most.
    assert failed_of["worker killed"] <= 2 * (chaos.READERS + chaos.JOBS)


def test_a_seed_gives_one_plan_that_has_every_fault_once_a_round() -> None:
    plan = chaos.plan(3, 2, ["a", "b", "c"])

    assert plan == chaos.plan(3, 2, ["a", "b", "c"])
    assert plan != chaos.plan(4, 2, ["a", "b", "c"])
    assert [sorted(fault for _, fault in part) for part in (plan[:3], plan[3:])] == [["a", "b", "c"]] * 2
