"""What a real Prometheus sees of the stack and of an overload: alerts, dashboard and metrics with real data."""

import json
import os
import re
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.db import DEADLINE_SECONDS
from tests.support import API, PATIENCE_SECONDS, ROOT, children_of, snapshot, until, user_token
from tests.support.stack_client import CONTRACT, started
from tests.system.test_alerts import RULES, every_rule
from tools import prometheus
from tools.prometheus import Prometheus
from tools.stack import Stack

PANELS = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())["panels"]
DASHBOARD = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]
# The value that Grafana inserts for the scrape interval of deploy/prometheus.yml: four times as long.
RATE_INTERVAL = "1m"
MISSING = [
    name for name in ("nginx", "mtail", "prometheus") if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
]
pytestmark = pytest.mark.skipif(
    bool(MISSING) and os.environ.get("CI") != "true", reason=f"not installed: {' '.join(MISSING)}"
)

Series = dict[str, dict[tuple[tuple[str, str], ...], float]]


def scrape(base: str) -> Series:
    """Return the samples at a base URL, by name and labels."""
    text = urllib.request.urlopen(f"{base}/metrics", timeout=PATIENCE_SECONDS).read().decode()
    series: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return series


@dataclass
class Watched:
    """A stack that has been through an overload, and the Prometheus that watched it."""

    stack: Stack
    prometheus: Prometheus
    first: Series
    """The metrics of the service and of nginx before the first request."""
    raised_before: set[str]
    """The alerts whose condition held before the overload."""


def raised(prometheus: Prometheus) -> set[str]:
    """Return the alerts whose condition holds now, even if it has not held for long enough to fire."""
    return {rule["alert"] for rule in RULES if prometheus.query(rule["expr"])}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with (
        # Few threads are soon saturated.
        started(tmp_path_factory.mktemp("state"), WEB_THREADS="1") as running,
        prometheus.watching(running, tmp_path_factory.mktemp("prometheus")) as watching,
    ):
        assert running.nginx_metrics_base
        until(lambda: bool(watching.query("count(nginx_responses_total) > 0")))
        first = scrape(running.internal_base) | scrape(running.nginx_metrics_base)
        capture_and_read(running)
        until(lambda: bool(watching.query('snapshots_captured_total{status="duplicate"} > 0')))
        raised_before = raised(watching)
        overload(running)
        yield Watched(running, watching, first, raised_before)


def send(running: Stack, path: str, bearer: str, body: Any = None) -> int:
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{running.base}{API}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def capture_and_read(running: Stack) -> None:
    user_id, account_id = str(uuid4()), str(uuid4())
    reader, writer = user_token(user_id), user_token("sync-job", scope="balance-snapshots:write")
    for _ in range(2):
        send(running, "/balance-snapshots", writer, {"snapshots": [snapshot(user_id, account_id)]})
        for path in (
            "/balance-snapshots",
            f"/accounts/{account_id}/balance-snapshots",
            f"/accounts/{account_id}/balance-history?start_date=2025-01-01&end_date=2026-01-01",
        ):
            assert send(running, path, reader) == 200


def overload(running: Stack) -> None:
    """Hold the service up behind a lock for three times a request's deadline, while 40 callers keep reading."""
    is_over = threading.Event()

    def keep_reading() -> None:
        bearer = user_token(str(uuid4()))
        while not is_over.is_set():
            if send(running, "/balance-snapshots", bearer) == 503:
                time.sleep(0.2)

    with ThreadPoolExecutor(40) as callers, psycopg.connect(running.admin_url) as other:
        try:
            other.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
            for _ in range(40):
                callers.submit(keep_reading)
            time.sleep(3 * DEADLINE_SECONDS)
        finally:
            is_over.set()


def test_an_overload_raises_the_alerts_on_shedding_and_saturation(watched: Watched) -> None:
    overloads = {"BalanceSnapshotsShedding", "BalanceSnapshotsSaturated"}

    assert watched.raised_before & overloads == set()
    until(lambda: raised(watched.prometheus) >= overloads)


def test_the_rules_load_and_evaluate(watched: Watched) -> None:
    rules = watched.prometheus.rules()

    assert [rule["name"] for rule in rules] == [rule["alert"] for rule in RULES]
    assert {rule["health"] for rule in rules} == {"ok"}


def assert_has_data(prometheus: Prometheus, expression: str) -> None:
    """Fail unless an expression has a value; NaN, for zero divided by zero, is none. A scrape may fail under load."""
    until(lambda: any(element["value"][1] != "NaN" for element in prometheus.query(expression)))


@every_rule
def test_an_alert_has_data_to_compare_with_its_threshold(watched: Watched, rule: dict[str, Any]) -> None:
    compared, threshold = re.split(r" (?:==|>) (?=[\d.]+$)", rule["expr"])

    assert float(threshold) >= 0
    assert_has_data(watched.prometheus, compared)


@pytest.mark.parametrize("expression", DASHBOARD)
def test_a_query_of_the_dashboard_returns_data(watched: Watched, expression: str) -> None:
    assert_has_data(watched.prometheus, expression.replace("$__rate_interval", RATE_INTERVAL))


def selectors(expression: str) -> list[str]:
    """Return the selectors of an expression. Fails on a metric without label matchers."""
    found = re.findall(r"\w+\{[^}]*\}", expression)
    rest = re.sub(r"\w+\{[^}]*\}(\[[^]]*\])?|\b(by|on|ignoring|without) ?\([^)]*\)", "", expression)
    assert not re.findall(r"[a-z]\w*\b(?!\s*\()", rest), rest
    return found


@pytest.mark.parametrize("expression", [*DASHBOARD, *(pytest.param(rule["expr"], id=rule["alert"]) for rule in RULES)])
def test_every_metric_of_an_expression_is_one_of_ours_and_exists(watched: Watched, expression: str) -> None:
    found = selectors(expression)

    assert found
    for selector in found:
        assert re.search(r'\bjob="balance-snapshots(-nginx)?"', selector), selector
        assert_has_data(watched.prometheus, f"count({selector})")


def test_counters_of_the_service_exist_at_zero_before_the_first_request(watched: Watched) -> None:
    counters = {
        name: set(series)
        for name, series in scrape(watched.stack.internal_base).items()
        if name.endswith("_total") and not name.startswith("nginx")
    }

    assert set(counters) == {
        "corrections_total",
        "db_reads_total",
        "limiter_decisions_total",
        "limiter_fallbacks_total",
        "snapshots_captured_total",
    }
    for name, labels in counters.items():
        assert watched.first[name] == dict.fromkeys(labels, 0), name


def test_failures_are_counted_from_zero_for_every_route_of_the_api(watched: Watched) -> None:
    def labels_of(series: Series, *statuses: str) -> set[tuple[str, str]]:
        found = [dict(labels) for labels in series["http_request_duration_seconds_count"]]
        return {(one["method"], one["route"]) for one in found if one["status"] in statuses and API in one["route"]}

    documented = {
        (method.upper(), API + path.replace("{", "<").replace("}", ">"))
        for path, methods in CONTRACT["paths"].items()
        for method in methods
    }
    used = labels_of(scrape(watched.stack.internal_base), "200", "201")
    assert used
    assert used <= documented
    for status in ("500", "503"):
        assert labels_of(watched.first, status) >= documented


def test_failures_that_nginx_counts_have_series_before_the_first_one(watched: Watched) -> None:
    first = {tuple(value for _, value in labels): n for labels, n in watched.first["nginx_responses_total"].items()}

    failures = {("nginx", "429"), ("nginx", "503"), ("nginx", "504"), ("service", "503")}
    assert {failure: first[failure] for failure in failures} == dict.fromkeys(failures, 0)
    assert ("nginx", "502") in first


def test_the_threads_of_all_workers_are_shown_before_and_after_one_was_killed(watched: Watched) -> None:
    def threads() -> float:
        return scrape(watched.stack.internal_base)["http_threads"][()]

    assert threads() == 2
    victim = children_of(watched.stack.gunicorn.pid)[0]
    os.kill(victim, 9)
    until(lambda: victim not in children_of(watched.stack.gunicorn.pid))
    until(lambda: len(children_of(watched.stack.gunicorn.pid)) == 2)
    until(lambda: threads() == 2)


def test_the_documented_metrics_are_those_of_the_service_and_of_nginx(watched: Watched) -> None:
    section = (ROOT / "docs" / "operating.md").read_text().partition("## Metrics\n")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert watched.stack.nginx_metrics_base
    shown = scrape(watched.stack.internal_base) | scrape(watched.stack.nginx_metrics_base)
    ours = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in shown}

    assert {name for name in ours if re.match(r"http_|db_|limiter_|snapshots_|corrections_|nginx_", name)} == documented
