"""A load, made by wrk (a system package), because a generator in Python would take the CPU that it measures."""

import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_PATIENCE_SECONDS = 30
SCRIPT = Path(__file__).with_suffix(".lua")


class WrkError(Exception):
    """wrk is missing, or met with no answer; the message says what to do."""


class Load(NamedTuple):
    """What came of a load."""

    requests: float
    """Answered a second."""
    successes: float
    """Of them with 2xx."""
    p50_ms: float
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
    """Sends these requests in turn over so many connections, each pausing a random time of that mean between two.

    `bases`: URLs that the connections are shared among; how a server spreads connections over its processes is
    chance, and not what is measured.
    `requests`: raw HTTP/1.1 requests; `$STAMP` in one stands for an instant that no other request of this load holds.
    Raises WrkError.
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
            | {"SINCE": str(unused_second()), "PLACES": " ".join(urlsplit(base).netloc for base in bases)},
            capture_output=True,
            text=True,
            check=False,
        )
    answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not answers:
        raise WrkError(f"wrk failed:\n{done.stdout}{done.stderr}")
    seen = json.loads(answers[0])
    if seen["broken"]:
        raise WrkError(f"wrk met with broken connections: {answers[0]}")
    if seen["requests"] == 0:
        if seconds >= _PATIENCE_SECONDS:
            raise WrkError(f"{bases[0]} answered nothing in {seconds} s.")
        # A longer look, once.
        again: dict[str, Any] = {"pause_ms": pause_ms, "cores": cores}
        return load(bases, requests, connections=connections, seconds=_PATIENCE_SECONDS, **again)
    duration = seen["duration_us"] / 1e6
    return Load(
        seen["requests"] / duration,
        (seen["requests"] - seen["refused"]) / duration,
        seen["p50_us"] / 1000,
        seen["p99_us"] / 1000,
    )


def unused_second() -> int:
    """A Unix time that no load began at so far, and none will within days of it, as far as chance goes."""
    return random.randrange(1_600_000_000)


def get(path: str, token: str) -> str:
    """A request for `load`."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"


def post(path: str, token: str, body: str) -> str:
    """A request for `load`, with a body of JSON in ASCII, which may hold `$STAMP`."""
    length = len(body.replace("$STAMP", "2000-01-01T00:00:00"))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n{body}"
