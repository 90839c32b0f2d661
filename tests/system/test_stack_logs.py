"""The logs of the stack: one trace id, no tokens, no amounts."""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.support import API, snapshot, until, user_token
from tests.support.stack_client import needs_nginx, raw, read, send_request
from tools.stack import Stack

pytestmark = needs_nginx


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://[::1/?needle=secret", 400),
        (b"http://[::1]/?needle=secret", 200),
        (b"http://x?needle=secret", 200),
        (b"needle=secret", 400),
    ],
)
def test_a_query_in_an_unusual_request_line_is_not_logged(running: Stack, target: bytes, status: int) -> None:
    response = raw(running, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert response.status == status
    until(lambda: response.headers["X-Trace-Id"] in running.log("nginx"))
    for part in ("nginx", "gunicorn"):
        assert "needle" not in running.log(part)
        assert "secret" not in running.log(part)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}, "a" * 32),
        ({"traceparent": f"01-{'a' * 32}-{'b' * 16}-01-more"}, "a" * 32),
        ({"traceparent": f"00-{'0' * 32}-{'b' * 16}-01", "X_Trace_Id": "mine-1"}, "mine-1"),
        ({"X_Trace_Id": "mine-2"}, "mine-2"),
        ({"X_Trace_Id": "not mine"}, None),
    ],
)
def test_one_trace_id_joins_the_logs_of_proxy_and_service_and_the_response(
    running: Stack, headers: dict[str, str], expected: str | None
) -> None:
    trace_id = read(running, str(uuid4()), **headers).headers["X-Trace-Id"]

    assert expected in (None, trace_id)
    for part in ("nginx", "gunicorn"):
        until(lambda part=part: f'"{trace_id}"' in running.log(part))  # type: ignore[misc]


@pytest.fixture
def verbose_stack(running: Stack) -> Iterator[Stack]:
    """The stack, whose database logs every statement as if it were slow."""
    with psycopg.connect(running.admin_url, autocommit=True) as connection:
        connection.execute("ALTER ROLE snapshots_service SET log_min_duration_statement = 0")
        _end_sessions(connection)
        # A session that was starting then may have the old setting, and is shown only when it has started.
        time.sleep(0.5)
        _end_sessions(connection)
        yield running
        connection.execute("ALTER ROLE snapshots_service SET log_min_duration_statement = '500ms'")
        _end_sessions(connection)


def _end_sessions(connection: psycopg.Connection[Any]) -> None:
    """End the service's sessions; wait up to five seconds for each."""
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'snapshots_service'"
    )


def database_lines(running: Stack, trace_id: str) -> list[str]:
    """Return the lines in the database's log from the process that the request's line in the service's log names."""

    def requests() -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in running.log("gunicorn").splitlines() if trace_id in line and "db_pid" in line
        ]

    until(lambda: len(requests()) == 1)
    mark = f"[{requests()[0]['db_pid']}]"
    return [line for line in running.log("postgres").splitlines() if mark in line]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("balance-snapshots", "get_latest_snapshots"),
        ("accounts/{}/balance-history?start_date=2025-01-01&end_date=2025-01-02", "get_balance_history"),
        ("accounts/{}/balance-snapshots", "list_recent_snapshots"),
    ],
)
def test_the_line_of_a_read_names_the_database_process_that_ran_its_query(
    verbose_stack: Stack, path: str, query: str
) -> None:
    trace_id = f"sql-{uuid4().hex}"

    bearer = f"Bearer {user_token(str(uuid4()))}"
    response = send_request(verbose_stack, f"{API}/{path}".format(uuid4()), Authorization=bearer, X_Trace_Id=trace_id)

    assert response.status in (200, 404)
    until(lambda: any(f"-- {query}" in line for line in database_lines(verbose_stack, trace_id)))


def test_the_line_of_a_capture_leads_to_each_of_its_statements_and_none_shows_an_amount(verbose_stack: Stack) -> None:
    trace_id = f"sql-{uuid4().hex}"
    item = snapshot(str(uuid4()), str(uuid4()), balance="271828.18")
    bearer = f"Bearer {user_token('sync-job', scope='balance-snapshots:write')}"

    response = send_request(
        verbose_stack,
        f"{API}/balance-snapshots",
        "POST",
        # The second item needs the statement that a batch of new snapshots can skip.
        json.dumps({"snapshots": [item, item]}),
        Authorization=bearer,
        X_Trace_Id=trace_id,
        Content_Type="application/json",
    )

    assert response.status == 201
    for name in ("insert_accounts", "insert_snapshots", "match_snapshots"):
        until(lambda name=name: any(f"-- {name}" in line for line in database_lines(verbose_stack, trace_id)))  # type: ignore[misc]
    assert "271828.18" not in verbose_stack.log("postgres")


def test_every_line_of_the_logs_is_json_and_holds_no_token_or_query(running: Stack) -> None:
    bearer = user_token(str(uuid4()))
    refused = send_request(running, f"{API}/balance-snapshots?secret=hush", Authorization=f"Bearer {bearer}")
    too_long = send_request(running, f"{API}/balance-snapshots?hush{'x' * 9000}")

    for part, response in (("nginx", refused), ("nginx", too_long), ("gunicorn", refused)):
        until(lambda part=part, response=response: response.headers["X-Trace-Id"] in running.log(part))  # type: ignore[misc]
    for part in ("nginx", "gunicorn"):
        for line in running.log(part).splitlines():
            assert {"time", "event"} <= set(json.loads(line))
        assert "hush" not in running.log(part)
        assert bearer[:40] not in running.log(part)


def test_a_client_cannot_choose_its_address(running: Stack) -> None:
    trace_id = f"address-{uuid4().hex}"
    read(running, str(uuid4()), X_Trace_Id=trace_id, X_Forwarded_For="192.0.2.1")

    lines: list[dict[str, Any]] = []

    def is_logged() -> bool:
        found = (json.loads(line) for line in running.log("gunicorn").splitlines() if trace_id in line)
        lines[:] = [line for line in found if line["event"] == "request"]
        return bool(lines)

    until(is_logged)
    assert [line["client"] for line in lines] == ["127.0.0.1"]
