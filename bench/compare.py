"""The service compared with its peers and with raw PostgreSQL, in turns on one database.

A peer (bench/peers) whose responses differ by a byte is not counted. The floor is PostgreSQL by itself: pgbench runs
the files of sql/queries, and COPY stores the rows of captures.
"""

import itertools
import json
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from urllib.error import HTTPError
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
from psycopg.conninfo import make_conninfo

from bench import data, wrk
from bench.services import Service
from snapshots.buckets import bucket_bounds
from snapshots.capture import SCOPE
from snapshots.reads import MAX_BUCKETS, MAX_SNAPSHOTS
from snapshots.statements import DIRECTORY
from tools import local, postgres, sql

ROUNDS = 3
# Seconds of a measurement, by connections. The ratios in the docs are those at 8 connections, so these take longer.
SECONDS = {1: 1, 8: 2, 32: 1}
# Some requests take a peer seconds, so 32 of them at once would take too long.
SECONDS_OF_SLOW_REQUESTS = {1: 2, 8: 4}
PEERS = ("orm", "tuned")
# The user of all captured snapshots, which are deleted when the run ends.
CAPTURED_USER = str(uuid4())


class Scenario(NamedTuple):
    name: str
    request: str
    """Raw HTTP request, with $STAMP in that of a capture."""
    query: str | None
    """Name of the query that it runs; None for a capture."""
    parameters: dict[str, str]
    rows: int
    """Number of snapshots sent or returned."""
    is_slow: bool = False
    """Whether a peer takes seconds for it."""


def scenarios() -> list[Scenario]:
    token = local.token(data.USER)
    account = {"user_id": data.USER, "account_id": data.DAILY}
    listed = [
        Scenario("latest, 8 accounts", wrk.get("/api/v1/balance-snapshots", token), "get_latest_snapshots", account, 8),
        Scenario(
            "list of 30",
            wrk.get(f"/api/v1/accounts/{data.DAILY}/balance-snapshots?limit=30", token),
            "list_recent_snapshots",
            {**account, "limit": "30"},
            30,
        ),
    ]
    for days in (30, 365, 3650):
        start = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days)
        span = {"start_date": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end_date": "2025-12-31T23:59:59Z"}
        path = f"/api/v1/accounts/{data.DAILY}/balance-history?" + "&".join(f"{k}={v}" for k, v in span.items())
        request = wrk.get(path, token)
        parameters = {**account, **span, "maximum": str(MAX_SNAPSHOTS)}
        listed.append(Scenario(f"history of {days}", request, "get_balance_history", parameters, days))
    listed += _years_of_days()
    for size in (1, 100, 1000):
        request = wrk.post("/api/v1/balance-snapshots", local.token("bench", SCOPE), _batch(size))
        listed.append(Scenario(f"capture of {size}", request, None, {}, size, is_slow=size >= 1000))
    return listed


def _years_of_days() -> list[Scenario]:
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
    query = f"interval=day&start_date={start:%Y-%m-%dT%H:%M:%SZ}&end_date={end:%Y-%m-%dT%H:%M:%SZ}"
    bounds = bucket_bounds(start, end, "day", ZoneInfo("UTC"), MAX_BUCKETS)
    calendar = {"bounds": f"{{{','.join(bound.isoformat() for bound in bounds)}}}", "end_date": end.isoformat()}
    listed = [
        Scenario(
            f"a year of days, {snapshots} snapshots",
            wrk.get(f"/api/v1/accounts/{account_id}/balance-history?{query}", local.token(user_id)),
            "get_balance_history_by_interval",
            {"user_id": user_id, "account_id": account_id, **calendar},
            365,
            is_slow=account_id == data.DENSE,
        )
        for snapshots, user_id, account_id in (
            ("365", data.USER, data.DAILY),
            ("100,000", data.DENSE_USER, data.DENSE),
        )
    ]
    portfolio = {"user_id": data.USER, "interval": "day", "time_zone": "UTC", **calendar}
    request = wrk.get(f"/api/v1/balance-history?{query}", local.token(data.USER))
    return [
        *listed,
        Scenario("portfolio, 8 accounts, a year of days", request, "get_portfolio_history", portfolio, 365),
    ]


def _batch(size: int) -> str:
    items = [
        {
            "user_id": CAPTURED_USER,
            "account_id": str(UUID(int=UUID(CAPTURED_USER).int ^ (size << 16 | number + 1))),
            "balance": f"{10000 + number}.25",
            "holdings_value": f"{7000 + number}.25",
            "cash_value": "3000.00",
            "currency": "USD",
            "source": "scheduled_sync",
            "captured_at": "$STAMPZ",
        }
        for number in range(size)
    ]
    return json.dumps({"snapshots": items})


def differing(services: dict[str, Service], scenario: Scenario) -> list[str]:
    """Return the peers whose responses differ from ours. A capture is sent twice, so that its ids are known."""
    request = scenario.request.replace("$STAMP", "1999-01-01T00:00:00")
    if scenario.query is None:
        _body(services["ours"].bases[0], request)
    ours = _body(services["ours"].bases[0], request)
    return [name for name in PEERS if name in services and _body(services[name].bases[0], request) != ours]


def _body(base: str, raw: str) -> bytes:
    head, _, body = raw.partition("\r\n\r\n")
    line, *fields = head.split("\r\n")
    method, path, _ = line.split()
    headers = dict(field.split(": ", 1) for field in fields)
    request = urllib.request.Request(base + path, body.encode() or None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            content: bytes = response.read()
            return content
    except HTTPError as error:
        return f"{error.code} ".encode() + error.read()


class Figures(NamedTuple):
    """Medians of all rounds."""

    per_second: float
    p50_ms: float
    p99_ms: float


def measure(
    services: dict[str, Service], database_url: str, scenario: Scenario, connections: int
) -> dict[str, Figures]:
    """Measure each service and the floor in turns, after a warm-up before the first number of connections."""
    seconds = _seconds(scenario)[connections]
    turns: dict[str, Callable[[float], wrk.Load]] = {
        name: partial(_load, service.bases, scenario, connections) for name, service in services.items()
    }
    if scenario.query:
        turns["pgbench"] = partial(_pgbench, database_url, scenario, connections)
    else:
        turns["copy"] = partial(_copy, database_url, scenario, connections)
    measured: dict[str, list[wrk.Load]] = {name: [] for name in turns}
    if connections == min(SECONDS):
        for turn in turns.values():
            turn(1)
    for _ in range(ROUNDS):
        for name, turn in turns.items():
            measured[name].append(turn(seconds))
    return {
        name: Figures(
            statistics.median(load.successes for load in loads),
            statistics.median(load.p50_ms for load in loads),
            statistics.median(load.p99_ms for load in loads),
        )
        for name, loads in measured.items()
    }


def _seconds(scenario: Scenario) -> dict[int, int]:
    """Return the seconds of a measurement, by connections."""
    return SECONDS_OF_SLOW_REQUESTS if scenario.is_slow else SECONDS


def _load(bases: list[str], scenario: Scenario, connections: int, seconds: float) -> wrk.Load:
    load = wrk.load(bases, [scenario.request], connections=connections, seconds=seconds)
    if load.successes < load.requests:
        raise wrk.WrkError(f"{bases[0]} refused some requests: {scenario.name}")
    return load


def _pgbench(database_url: str, scenario: Scenario, connections: int, seconds: float) -> wrk.Load:
    assert scenario.query
    statement = sql.read(DIRECTORY / f"{scenario.query}.sql").statement
    script = re.sub(r"%\((\w+)\)[sb]", lambda m: f":{m[1]}" if m[1] in scenario.parameters else "NULL", statement)
    variables = [part for pair in scenario.parameters.items() for part in ("-D", "=".join(pair))]
    done = subprocess.run(
        [postgres.program("pgbench"), "-n", "-M", "prepared", "-c", str(connections), "-j", str(min(connections, 2))]
        + ["-T", f"{seconds:.0f}", *variables, "-f", "/dev/stdin"]
        + ["-d", make_conninfo(database_url, options="-c plan_cache_mode=force_generic_plan")],
        input=script,
        capture_output=True,
        text=True,
        check=True,
    )
    report = re.search(r"latency average = ([\d.]+) ms[\s\S]*tps = ([\d.]+)", done.stdout)
    assert report, done.stdout
    rate, latency = float(report[2]), float(report[1])
    return wrk.Load(rate, rate, latency, latency)


def _copy(database_url: str, scenario: Scenario, connections: int, seconds: float) -> wrk.Load:
    """Store the rows of a capture with COPY, one transaction at a time, each with another instant."""
    items = json.loads(scenario.request.partition("\r\n\r\n")[2])["snapshots"]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO accounts (id, user_id) SELECT unnest(%s::uuid[]), %s ON CONFLICT DO NOTHING",
            [[item["account_id"] for item in items], CAPTURED_USER],
        )
    line = "{user_id}\t{account_id}\t{balance}\t{holdings_value}\t{cash_value}\tUSD\tmanual_sync\t$STAMP\n"
    block = "".join(line.format(**item) for item in items)
    columns = "user_id, account_id, balance, holdings_value, cash_value, currency, source, captured_at"
    end = time.monotonic() + seconds
    instants = itertools.count(wrk.unused_second())

    def copies(_number: int) -> list[float]:
        times = []
        with psycopg.connect(database_url, autocommit=True) as connection:
            while (started_at := time.monotonic()) < end:
                text = block.replace("$STAMP", datetime.fromtimestamp(next(instants), UTC).isoformat())
                with connection.cursor().copy(f"COPY balance_snapshots ({columns}) FROM STDIN".encode()) as copy:
                    copy.write(text)
                times.append((time.monotonic() - started_at) * 1000)
        return times

    with ThreadPoolExecutor(connections) as threads:
        times = sorted(itertools.chain.from_iterable(threads.map(copies, range(connections))))
    rate = len(times) / seconds
    return wrk.Load(rate, rate, times[len(times) // 2], times[len(times) * 99 // 100])


def results(
    services: dict[str, Service], database_url: str, only: str = ""
) -> Iterator[tuple[str, dict[int, dict[str, Figures]]]]:
    """Yield the figures of each scenario with `only` in its name, by connections and then by service."""
    for scenario in [scenario for scenario in scenarios() if only in scenario.name]:
        excluded = differing(services, scenario)
        for name in excluded:
            print(f"{name} responds differently to {scenario.name} and is not counted.", file=sys.stderr)
        counted = {name: service for name, service in services.items() if name not in excluded}
        figures = {}
        for connections in _seconds(scenario):
            figures[connections] = measure(counted, database_url, scenario, connections)
        yield scenario.name, figures


def delete_captures(database_url: str) -> None:
    """Leave the database as it was before the run."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for table in ("balance_snapshots", "accounts"):
            connection.execute(f"DELETE FROM {table} WHERE user_id = %s".encode(), [CAPTURED_USER])


def row(name: str, connections: int, figures: dict[str, Figures]) -> dict[str, Any]:
    """Return the JSON object of one scenario at one number of connections."""
    ours = figures["ours"].per_second
    return {
        "scenario": name,
        "connections": connections,
        **{service: of_service._asdict() for service, of_service in figures.items()},
        "ratios": {
            service: round(ours / of_service.per_second, 3)
            for service, of_service in figures.items()
            if service != "ours"
        },
    }
