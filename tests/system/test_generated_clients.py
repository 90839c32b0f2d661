"""Clients that third-party tools generate from the contract, used against a running service."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit
from uuid import UUID

import httpx
import pytest

from tests.support import ROOT
from tests.support.node import CLIENTS, installed, needs_node
from tests.support.node import run as run_tool
from tests.support.running import Run
from tools import demo

PACKAGE = "balance_snapshots_client"
DECEMBER = {
    "start_date": datetime(2025, 12, 1, tzinfo=UTC),
    "end_date": datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC),
}
ACCOUNT = UUID(demo.BROKERAGE)
Call = Callable[..., Any]


@pytest.fixture(scope="module")
def generated(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the package that openapi-python-client generates from the served contract."""
    folder = tmp_path_factory.mktemp("generated")
    done = subprocess.run(
        ["openapi-python-client", "generate", "--url", f"{run.base}/openapi.json"]
        + ["--meta", "none", "--output-path", PACKAGE, "--fail-on-warning"],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, f"Generating {PACKAGE}")
    return folder


@pytest.fixture(scope="module")
def package(generated: Path) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(generated)
        yield import_module(PACKAGE)


@pytest.fixture(scope="module")
def call(run: Run, package: Any) -> Iterator[Call]:
    """Call an operation of the generated client as the demo user, who may also capture and correct."""
    document = f"{run.base}/openapi.json"
    (server,) = httpx.get(document).json()["servers"]
    client = package.AuthenticatedClient(base_url=urljoin(document, server["url"]), token=run.environ["TOKEN"])

    def call(operation: str, *arguments: Any, **options: Any) -> Any:
        return import_module(f"{PACKAGE}.api.{operation}").sync_detailed(*arguments, client=client, **options)

    with client:
        yield call


def models() -> Any:
    return import_module(f"{PACKAGE}.models")


def new_snapshot(day: int, balance: str = "1234.50") -> Any:
    return models().CaptureItem(
        user_id=UUID(demo.USER),
        account_id=ACCOUNT,
        balance=balance,
        currency="USD",
        source=models().Source.SCHEDULED_SYNC,
        captured_at=datetime(2026, 2, day, 6, tzinfo=UTC),
    )


def capture(call: Call, *snapshots: Any) -> Any:
    return call("capture.capture_snapshots", body=models().CaptureBatch(snapshots=list(snapshots)))


def test_the_python_client_reads_the_latest_snapshots(call: Call) -> None:
    latest = call("balances.latest_snapshots", as_of=DECEMBER["end_date"]).parsed

    assert isinstance(latest, models().Latest)
    assert latest.total_balance_by_currency.additional_properties.keys() == {"EUR", "JPY", "KWD", "USD"}
    assert latest.snapshots[0].captured_at == datetime(2025, 12, 31, 10, tzinfo=UTC)


def test_the_python_client_reads_a_history(call: Call) -> None:
    history = call("balances.balance_history", ACCOUNT, **DECEMBER, source=models().Source.HOLDINGS_SYNC).parsed

    assert isinstance(history, models().History)
    assert (history.currency, history.snapshots[0].source) == ("USD", models().Source.HOLDINGS_SYNC)
    assert history.end_balance == "24381.07"


def test_the_python_client_reads_a_history_as_csv(call: Call) -> None:
    rows = call("balances.balance_history_csv", ACCOUNT, **DECEMBER).parsed.splitlines()

    assert len(rows) == 32


def test_the_python_client_reads_the_value_of_the_portfolio(call: Call) -> None:
    portfolio = call("balances.portfolio_history", **DECEMBER, interval=models().Interval.MONTH).parsed

    assert isinstance(portfolio, models().PortfolioHistory)
    assert [series.currency for series in portfolio.series] == ["EUR", "JPY", "KWD", "USD"]
    assert portfolio.series[3].points[0].balance == "25149.21"


def test_the_python_client_follows_the_pages_of_a_list(call: Call) -> None:
    options: dict[str, Any] = {"limit": 3, "source": models().Source.MANUAL_SYNC}
    listed = []
    pages = 0
    while True:
        page = call("balances.recent_snapshots", ACCOUNT, **options)
        listed += page.parsed.snapshots
        pages += 1
        if "Link" not in page.headers:
            break
        (link,) = httpx.Response(200, headers=page.headers).links.values()
        (options["cursor"],) = parse_qs(urlsplit(link["url"]).query)["cursor"]

    assert (len({snapshot.id for snapshot in listed}), pages) == (8, 3)


def test_the_python_client_captures(call: Call) -> None:
    captured = capture(call, new_snapshot(day=1))

    assert captured.status_code == 201
    assert captured.parsed.snapshots[0].status == models().CapturedSnapshotStatus.CREATED


def test_the_python_client_corrects(call: Call) -> None:
    snapshot = new_snapshot(day=2)
    (stored,) = capture(call, snapshot).parsed.snapshots
    correction = models().CorrectionItem(
        id=stored.id,
        user_id=snapshot.user_id,
        account_id=snapshot.account_id,
        source=snapshot.source,
        captured_at=snapshot.captured_at,
        reason="The provider sent the wrong amount.",
        replacement=models().Replacement(balance="1200.00", currency="USD"),
    )

    corrected = call("corrections.correct_snapshots", body=models().CorrectionBatch(corrections=[correction])).parsed

    assert corrected.corrected_count == 1
    superseded = call("corrections.account_corrections", ACCOUNT).parsed.corrections
    assert corrected.corrections[0].replaced_by in {each.replaced_by for each in superseded}


def test_the_python_client_returns_the_problem_of_an_invalid_request(call: Call) -> None:
    problem = call("balances.recent_snapshots", ACCOUNT, limit=500).parsed

    assert isinstance(problem, models().Problem)
    assert (problem.status, problem.title) == (400, "Bad Request")
    assert [fault.field for fault in problem.errors] == ["limit"]


def test_the_python_client_returns_the_problem_of_a_conflict(call: Call) -> None:
    capture(call, new_snapshot(day=3))
    problem = capture(call, new_snapshot(day=3, balance="1.00")).parsed

    assert isinstance(problem, models().Problem)
    assert (problem.status, problem.title) == (409, "Conflict")
    assert [fault.field for fault in problem.errors] == ["/snapshots/0"]


@needs_node
def test_a_typescript_program_compiles_strictly_with_the_generated_types_and_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(installed() / "node_modules")
    for name in ("package.json", "use.ts"):
        shutil.copy(CLIENTS / name, tmp_path)

    # tsc checks the types as it checks the program, because they are in no .d.ts file: --skipLibCheck skips those, and
    # takes a third of the time.
    run_tool(tmp_path, "openapi-typescript", f"{run.base}/openapi.json", "--output", "balance-snapshots.ts")
    run_tool(tmp_path, "tsc", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022", "use.ts")
    environ = {"API": run.environ["API"], "TOKEN": run.environ["TOKEN"], "USER": demo.USER, "ACCOUNT": demo.BROKERAGE}
    printed = run_tool(tmp_path, "node", "use.js", **environ)

    assert json.loads(printed) == {
        "latest": 7,
        "history": [31, "2025-12-01T10:00:00Z"],
        "portfolio": ["EUR", "JPY", "KWD", "USD"],
        "list": [8, 3],
        "captured": [201, "created"],
        "conflict": [409, ["/snapshots/0"]],
        "corrected": "corrected",
        "invalid": [400, ["limit"]],
    }


@needs_node
def test_spectral_accepts_the_contract_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "ruleset.yaml").write_text("extends: spectral:oas\n")
    contract = str(ROOT / "docs" / "openapi.json")

    command = ["spectral", "lint", contract, "--ruleset", str(tmp_path / "ruleset.yaml"), "--fail-severity", "hint"]
    assert "No results" in run_tool(installed(), *command)
