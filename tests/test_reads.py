"""The three reads, ruling by ruling."""

from tests.support import Caller, captured, snapshot


def test_a_capture_is_read_back_by_all_three_reads(user: Caller, sync_job: Caller, user_id: str, account_id: str) -> None:
    captured(sync_job, snapshot(user_id, account_id, "25000"))

    for response in (user.latest(), user.history(account_id), user.recent(account_id)):
        assert response.status_code == 200
        assert [s["balance"] for s in response.json["snapshots"]] == ["25000.00"]
