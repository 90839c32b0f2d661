"""`make run`, as its user sees it: a service on real servers, called over HTTP with the lines that it prints."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import psycopg
import pytest

from schemas.responses import History, Latest
from tests.support import API, PATIENCE_SECONDS, ROOT, SECRET, contract, until, user_token
from tests.support.clusters import new_cluster
from tests.support.databases import database
from tests.support.running import END_SECONDS, START_SECONDS, Run, clean_environ
from tools import demo, valkey_server
from tools.processes import free_port
from tools.valkey_server import ValkeyServer


def curl(line: str) -> Any:
    """Run a printed line in a shell of its own; return the JSON that it prints."""
    done = subprocess.run(
        ["bash", "-c", line.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_every_printed_line_works_when_pasted(run: Run) -> None:
    latest, history, recent, capture = run.lines("curl ")

    assert Latest().validate(body := curl(latest)) == {}
    assert body["total_count"] == len(demo.ACCOUNTS)
    assert History().validate(body := curl(history)) == {}
    assert body["total_count"] == 8
    assert History().validate(body := curl(recent)) == {}
    assert body["total_count"] == 5
    first, again = curl(capture), curl(capture)
    assert (first["created_count"], again["created_count"], again["duplicate_count"]) == (1, 0, 1)
    assert curl(recent)["snapshots"][0]["id"] == first["snapshots"][0]["id"]


def test_the_printed_token_is_alone_on_its_line(run: Run) -> None:
    (token,) = re.findall(r"^[\w-]+\.[\w-]+\.[\w-]+$", run.output, re.MULTILINE)

    assert all(token in line for line in run.lines("curl "))


@pytest.mark.parametrize(
    ("path", "count"),
    [(contract.LATEST, len(demo.ACCOUNTS))]
    + [(contract.PORTFOLIO, 31), (contract.HISTORY, 31), (contract.RECENT, 30), (contract.AUDIT, 0)],
)
def test_the_examples_of_the_contract_work_with_the_demo_portfolio(run: Run, path: str, count: int) -> None:
    parameters = curl(f"curl {run.base}/openapi.json")["paths"][path]["get"]["parameters"]
    values = {parameter["name"]: parameter["example"] for parameter in parameters if "example" in parameter}
    query = urlencode({name: value for name, value in values.items() if f"{{{name}}}" not in path})
    authorization, _, _ = run.lines("curl ")[0].rpartition(" ")

    assert curl(f'{authorization} "{run.base}{API}{path.format(**values)}?{query}"')["total_count"] == count


def test_the_portfolio_has_three_kinds_of_minor_unit_two_years_and_a_debt(run: Run) -> None:
    latest = curl(run.lines("curl ")[0])

    decimals = {s["currency"]: len(s["balance"].partition(".")[2]) for s in latest["snapshots"]}
    assert decimals == {"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3}
    assert [s["account_id"] for s in latest["snapshots"] if s["balance"].startswith("-")] == [demo.CREDIT_CARD]
    line = run.lines("curl ")[1].replace("2025-12-24", "2024-01-01")
    assert curl(line)["total_count"] == demo.DAYS


def test_one_account_of_the_portfolio_joins_late_and_has_a_gap_and_one_closes(run: Run) -> None:
    line = run.lines("curl ")[1].replace("2025-12-24", "2024-01-01")
    berlin = curl(line.replace(demo.CHECKING, demo.BERLIN_BROKERAGE))["snapshots"]
    closed = curl(line.replace(demo.CHECKING, demo.OLD_SAVINGS))["snapshots"]

    assert (berlin[0]["captured_at"], berlin[0]["source"]) == ("2024-09-02T10:00:00Z", "initial_connection")
    days = [datetime.fromisoformat(s["captured_at"]) for s in berlin]
    assert max(after - before for before, after in pairwise(days)) == timedelta(days=81)
    assert (closed[-1]["captured_at"], closed[-1]["balance"]) == ("2025-02-17T10:00:00Z", "0.00")


def test_the_log_is_json(run: Run) -> None:
    printed, logged = run.output.split("Ctrl-C stops the service.")
    lines = [json.loads(line) for line in logged.splitlines() if line]

    assert '"event"' not in printed
    assert lines
    for line in lines:
        assert {"event", "level", "time"} <= set(line)


def test_a_port_in_use_is_reported_in_one_line(run: Run, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tools.run"],
        cwd=ROOT,
        env={**clean_environ(), "STATE_DIR": str(tmp_path), "PORT": str(run.port)},
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert str(run.port) in line
    assert "PORT=" in line
    assert not (tmp_path / "postgres").exists()


def test_a_database_of_another_version_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()

    ended = subprocess.run(
        [sys.executable, "-m", "tools.run"],
        cwd=ROOT,
        env={**clean_environ(), "STATE_DIR": str(tmp_path), "PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line == f"make run: {tmp_path}/postgres was made by another version; delete it to start anew."


@pytest.fixture
def short_run(tmp_path: Path) -> Iterator[Callable[[], Run]]:
    """A function that starts a run, which ends with the test at the latest."""
    runs: list[Run] = []

    def start() -> Run:
        if not (tmp_path / "postgres").exists():
            new_cluster(tmp_path / "postgres")
        runs.append(Run(tmp_path).wait_until_ready())
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.end(signal.SIGKILL)


def test_ctrl_c_and_a_kill_leave_nothing_behind_and_a_second_run_finds_the_data(short_run: Callable[[], Run]) -> None:
    first = short_run()
    curl(first.lines("curl ")[3])
    assert first.end() == 0
    assert first.left_behind() == []

    second = short_run()
    assert "0 new snapshots" in second.output
    assert curl(first.lines("curl ")[3].replace(first.base, second.base))["duplicate_count"] == 1
    second.end(signal.SIGKILL)
    until(lambda: second.left_behind() == [], END_SECONDS)


def test_two_starts_at_once_make_one_database_and_one_says_that_it_is_in_use(tmp_path: Path) -> None:
    runs = [Run(tmp_path) for _ in range(2)]
    until(lambda: any(run.process.poll() is not None for run in runs), START_SECONDS)
    ended, serving = sorted(runs, key=lambda run: run.process.poll() is None)
    serving.wait_until_ready()

    assert ended.process.wait() == 1
    assert "in use by another command" in ended.output
    assert "Traceback" not in ended.output
    assert serving.end(signal.SIGTERM) == 0
    assert serving.left_behind() == []


class Configured(NamedTuple):
    """A run with settings of its own, and the servers that they name."""

    run: Run
    store: ValkeyServer
    database_url: str


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Configured]:
    """A run with a secret from a file, an issuer, an audience, two workers, and a database and a store of its own."""
    state = tmp_path_factory.mktemp("state")
    (state / "secret").write_text(SECRET)
    settings = {
        "JWT_SECRET_KEY_FILE": str(state / "secret"),
        "JWT_ALGORITHM": "",
        "JWT_ISSUER": "us",
        "JWT_AUDIENCE": "them",
    }
    with valkey_server.running() as store, database("template0") as url:
        run = Run(state, DATABASE_URL=url, REDIS_URL=store.url, WEB_CONCURRENCY="2", **settings)
        yield Configured(run.wait_until_ready(), store, url)
        run.end(signal.SIGKILL)
        until(lambda: run.left_behind() == [], END_SECONDS)


def test_the_configured_secret_file_and_store_are_used(configured: Configured) -> None:
    bearer = user_token(demo.USER, iss="us", aud="them")

    line = f'curl -H "Authorization: Bearer {bearer}" {configured.run.base}/api/v1/balance-snapshots'
    # A busy machine may delay the store for longer than a read waits for it.
    until(lambda: curl(line)["total_count"] == 0 and configured.store.execute("KEYS", f"*{demo.USER}*") != [])


def test_the_printed_token_carries_the_configured_issuer_and_audience(configured: Configured) -> None:
    assert curl(configured.run.lines("curl ")[0])["total_count"] == 0


def test_the_configured_number_of_workers_starts(configured: Configured) -> None:
    # It is ready as soon as one worker responds; the other may still be starting.
    until(lambda: len(re.findall("Booting worker", configured.run.output)) == 2)


def test_the_configured_database_is_migrated_and_left_empty(configured: Configured) -> None:
    with psycopg.connect(configured.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM balance_snapshots").fetchone() == (0,)
    assert not (configured.run.state / "postgres").exists()


def test_a_database_that_cannot_be_reached_is_reported_without_a_traceback(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tools.run"],
        cwd=ROOT,
        env={
            **clean_environ(),
            "STATE_DIR": str(tmp_path),
            "PORT": str(free_port()),
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere",
        },
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("make run: The database cannot be reached")
    assert "Traceback" not in ended.stderr
