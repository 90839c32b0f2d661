"""What is counted, and what the alerts and the dashboard ask for."""

import json
import re
from pathlib import Path
from uuid import uuid4

from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from tests.support import Caller, captured, snapshot, user_token

DEPLOY = Path(__file__).parent.parent / "deploy"


def samples(client: FlaskClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = client.get("/metrics").text
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def count(client: FlaskClient, name: str, **labels: str) -> float:
    return samples(client).get((name, tuple(sorted(labels.items()))), 0)


def test_requests_are_timed_by_route_template_and_status(anonymous: FlaskClient, user: Caller) -> None:
    route = "/api/v1/accounts/<account_id>/balance-snapshots"
    labels = {"method": "GET", "route": route, "status": "404"}
    before = count(anonymous, "http_request_duration_seconds_count", **labels)

    for _ in range(3):
        user.recent(str(uuid4()))

    assert count(anonymous, "http_request_duration_seconds_count", **labels) == before + 3


def test_what_the_service_does_not_know_makes_no_series_of_its_own(anonymous: FlaskClient) -> None:
    anonymous.get(f"/{uuid4()}")
    anonymous.open("/healthz", method="BREW")
    before = len(samples(anonymous))

    for _ in range(3):
        anonymous.get(f"/{uuid4()}")
        anonymous.open("/healthz", method=f"M{uuid4().hex}")

    assert len(samples(anonymous)) == before


def test_captures_and_duplicates_are_counted(anonymous: FlaskClient, sync_job: Caller, user_id: str) -> None:
    def both() -> tuple[float, float]:
        name = "snapshots_captured_total"
        return count(anonymous, name, status="created"), count(anonymous, name, status="duplicate")

    created, duplicate = both()
    items = [snapshot(user_id, str(uuid4())) for _ in range(2)]
    captured(sync_job, *items)
    captured(sync_job, *items, snapshot(user_id, str(uuid4())))

    assert both() == (created + 3, duplicate + 2)


def test_the_limiters_decisions_are_counted(anonymous: FlaskClient, user: Caller) -> None:
    before = count(anonymous, "limiter_decisions_total", decision="admitted")
    user.latest()

    assert count(anonymous, "limiter_decisions_total", decision="admitted") == before + 1


def test_connections_in_use_are_shown(app: Flask, anonymous: FlaskClient) -> None:
    known = samples(anonymous)

    assert known["db_connections_in_use", ()] == 0
    assert known["db_requests_waiting", ()] == 0


def test_alerts_and_dashboard_ask_for_metrics_that_exist(app: Flask, anonymous: FlaskClient, sync_job: Caller) -> None:
    captured(sync_job, snapshot(str(uuid4()), str(uuid4())))
    Caller(app, user_token(str(uuid4()))).latest()
    known = {name for name, _ in samples(anonymous)}
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += re.findall(r"^\s+expr: (.+)$", (DEPLOY / "alerts.yaml").read_text(), re.MULTILINE)

    assert len(expressions) > 8
    for expression in expressions:
        # A name is what stands before a selector or a range.
        names = set(re.findall(r"\b([a-z_]+)(?=[{\[])", expression))
        assert names
        assert names - {"up"} <= known, expression
