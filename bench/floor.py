"""The floor: PostgreSQL by itself. pgbench runs the files of sql/queries, and COPY stores the rows of captures."""

import itertools
import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
from psycopg.conninfo import make_conninfo

from bench import wrk
from bench.scenarios import CAPTURED_USER, Scenario
from snapshots.statements import DIRECTORY
from tools import postgres, sql


def name(scenario: Scenario) -> str:
    return "pgbench" if scenario.query else "COPY"


def load(database_url: str, scenario: Scenario, connections: int, seconds: float) -> wrk.Load:
    """Run a scenario without a service. pgbench reports no percentiles, so its mean replaces them."""
    run = _pgbench if scenario.query else _copy
    return run(database_url, scenario, connections, seconds)


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
    """Store the rows of a capture with COPY, one transaction at a time, each with a different instant."""
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
