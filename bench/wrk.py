"""Load from wrk (a system package): a generator in Python would compete for the CPU with what it measures."""

import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

# Duration of the second attempt when no request completed in the first.
_RETRY_SECONDS = 60
# Enough for the service to complete the requests that wrk abandons at the end of a load.
_SETTLE_SECONDS = 0.2
SCRIPT = Path(__file__).with_suffix(".lua")


class WrkError(Exception):
    """wrk is missing, or its requests failed; the message says which."""


class Load(NamedTuple):
    """Results of a load."""

    requests: float
    """Responses per second."""
    successes: float
    """Responses per second that were 2xx."""
    p50_ms: float
    """Median of the successes, on the assumption that refusals are faster."""
    p99_ms: float


def load(
    bases: Sequence[str],
    requests: Sequence[str],
    *,
    connections: int,
    seconds: float,
    pause_ms: float = 0,
    cores: Sequence[int] | None = None,
) -> Load:
    """Send these requests in turn over `connections`, each with random pauses of mean `pause_ms`. Raises WrkError.

    `bases`: URLs among which the connections are divided evenly. A server would divide them over its processes by
    chance, which is not what is measured.
    `requests`: raw HTTP/1.1 requests; `$STAMP` is replaced by an instant that is unique to the request.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise WrkError("wrk is not installed: apt-get install wrk")
    pinned = ["taskset", "--cpu-list", ",".join(map(str, cores))] if cores else []
    with tempfile.TemporaryDirectory(prefix="snapshots-wrk-") as folder:
        for number, request in enumerate(requests, 1):
            (Path(folder) / f"{number}").write_text(request)
        done = subprocess.run(
            [
                *pinned,
                wrk,
                "--threads",
                str(min(len(bases), connections)),
                "--connections",
                str(connections),
                "--duration",
                f"{seconds:.0f}s",
            ]
            + ["--timeout", "60s", "--script", str(SCRIPT), bases[0]],
            env=os.environ
            | {"REQUESTS": folder, "COUNT": str(len(requests)), "PAUSE_MS": f"{pause_ms:.0f}"}
            | {"FIRST_SECOND": str(unused_second()), "SERVERS": " ".join(urlsplit(base).netloc for base in bases)},
            capture_output=True,
            text=True,
            check=False,
        )
    # The requests that wrk abandoned would otherwise count in the next load.
    time.sleep(_SETTLE_SECONDS)
    reports = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not reports:
        raise WrkError(f"wrk failed:\n{done.stdout}{done.stderr}")
    report = json.loads(reports[0])
    if report["broken"]:
        raise WrkError(f"wrk had broken connections: {reports[0]}")
    if report["requests"] == 0:
        if seconds >= _RETRY_SECONDS:
            raise WrkError(f"{bases[0]} sent no response in {seconds} s.")
        options: dict[str, Any] = {"pause_ms": pause_ms, "cores": cores}
        return load(bases, requests, connections=connections, seconds=_RETRY_SECONDS, **options)
    duration = report["duration_us"] / 1e6
    return Load(
        report["requests"] / duration,
        (report["requests"] - report["refused"]) / duration,
        report["p50_us"] / 1000,
        report["p99_us"] / 1000,
    )


def load_successfully(bases: Sequence[str], requests: Sequence[str], *, connections: int, seconds: float) -> Load:
    """Send these requests like `load`. Raises WrkError if one fails, because failures would improve the figures."""
    measured = load(bases, requests, connections=connections, seconds=seconds)
    if measured.successes < measured.requests:
        raise WrkError(f"{bases[0]} refused some requests, the first of which is:\n{requests[0][:300]}")
    return measured


def unused_second() -> int:
    """Return a random Unix time, from which a load can count up without meeting the instants of another."""
    return random.randrange(1_600_000_000)


def get(path: str, token: str) -> str:
    """Return a request for `load`."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"


def post(path: str, token: str, body: str) -> str:
    """Return a request for `load`; the body is JSON in ASCII, and may contain `$STAMP`."""
    length = len(body.replace("$STAMP", "2000-01-01T00:00:00"))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n{body}"
