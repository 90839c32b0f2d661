"""The service compared with its peers (bench/peers) and with raw PostgreSQL, in turns on one database.

A peer whose response differs by a byte is not counted. A peer that is too slow for a turn is timed over one request.
"""

import contextlib
import math
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.error import HTTPError

import psycopg

from bench import floor, services, turns, wrk
from bench.scenarios import CAPTURED_USER, Scenario, scenarios
from bench.services import Service

PEERS = ("orm", "tuned")
# Seconds of a turn, by connections.
SECONDS = {1: 1, 8: 2, 32: 2}
SECONDS_OF_SLOW_REQUESTS = {1: 1, 8: 3, 32: 3}


def measure(database_url: str, rounds: int, only: str = "") -> Iterator[dict[str, Any]]:
    """Yield the JSON object of each scenario with `only` in its name, at each number of connections."""
    launches = {"ours": services.gunicorn(), **{name: services.peer(name) for name in PEERS}}
    by_port = {name: [launch] * services.PROCESSES for name, launch in launches.items()}
    with captures_deleted(database_url), services.running(database_url, by_port) as running:
        for scenario in [scenario for scenario in scenarios() if only in scenario.name]:
            yield from _measure(running, database_url, scenario, rounds)


def _measure(
    running: dict[str, Service], database_url: str, scenario: Scenario, rounds: int
) -> Iterator[dict[str, Any]]:
    seconds_alone = _seconds_alone(running, scenario)
    for connections, seconds in (SECONDS_OF_SLOW_REQUESTS if scenario.is_slow else SECONDS).items():
        too_slow = [
            name
            for name, alone in seconds_alone.items()
            if name in PEERS and alone * math.ceil(connections / services.PROCESSES) >= seconds
        ]
        measured: dict[str, Callable[[float], wrk.Load]] = {
            name: partial(load, running[name], scenario, connections) for name in seconds_alone if name not in too_slow
        }
        measured[floor.name(scenario)] = partial(floor.load, database_url, scenario, connections)
        if connections == min(SECONDS):
            for warm_up in measured.values():
                warm_up(1)
        loads = turns.alternate({name: partial(turn, seconds) for name, turn in measured.items()}, rounds)
        row = turns.row(scenario.name, connections, loads, [("ours", name) for name in loads if name != "ours"])
        yield row | {"seconds_of_one_request": {name: round(seconds_alone[name], 2) for name in too_slow}}


def _seconds_alone(running: dict[str, Service], scenario: Scenario) -> dict[str, float]:
    """Return the seconds of one request to each service that responds as ours does, and say which do not."""
    seconds_alone = {}
    expected, seconds_alone["ours"] = _respond(running["ours"], scenario)
    for name in PEERS:
        response, seconds = _respond(running[name], scenario)
        if response == expected:
            seconds_alone[name] = seconds
        else:
            print(f"{name} responds differently to {scenario.name} and is not counted.", file=sys.stderr)
    return seconds_alone


def load(service: Service, scenario: Scenario, connections: int, seconds: float) -> wrk.Load:
    """Send a scenario's requests to a service. Raises wrk.WrkError."""
    return wrk.load_successfully(service.bases, [scenario.request], connections=connections, seconds=seconds)


def _respond(service: Service, scenario: Scenario) -> tuple[bytes, float]:
    """Send a request twice; return the second response and its seconds.

    The first capture of a batch creates the ids that every later one returns.
    """
    request = scenario.request.replace("$STAMP", "1999-01-01T00:00:00")
    _body(service.bases[0], request)
    started_at = time.monotonic()
    body = _body(service.bases[0], request)
    return body, time.monotonic() - started_at


def _body(base: str, raw: str) -> bytes:
    head, _, body = raw.partition("\r\n\r\n")
    line, *fields = head.split("\r\n")
    method, path, _ = line.split()
    headers = dict(field.split(": ", 1) for field in fields)
    request = urllib.request.Request(base + path, body.encode() or None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            content: bytes = response.read()
            return content
    except HTTPError as error:
        return f"{error.code} ".encode() + error.read()


@contextlib.contextmanager
def captures_deleted(database_url: str) -> Iterator[None]:
    """Leave the database as it was before the captures within the context."""
    try:
        yield
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            for table in ("balance_snapshots", "accounts"):
                connection.execute(f"DELETE FROM {table} WHERE user_id = %s".encode(), [CAPTURED_USER])
