"""A real Prometheus (a system package) that watches a stack, with the configuration and rules of deploy/."""

import contextlib
import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools import processes
from tools.stack import DEPLOY, Stack

START_SECONDS = 60
INTERVAL = "1s"


class PrometheusError(Exception):
    """Prometheus or mtail is missing, or Prometheus does not start; the message says which."""


class Prometheus:
    """A running Prometheus."""

    def __init__(self, base: str) -> None:
        self._base = base

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Evaluate an expression now; return a vector's elements, each with `metric` and `value`."""
        result: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return result

    def rules(self) -> list[dict[str, Any]]:
        """Return the alerting rules with their `name`, `query`, `state`, `health` and `lastEvaluation`."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"{self._base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=60) as response:
            return json.load(response)["data"]


@contextlib.contextmanager
def watching(stack: Stack, folder: Path, *, prefix: Sequence[str] = ()) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes this stack and evaluates the rules every INTERVAL.

    `folder`: where it keeps its data. `prefix`: a command that runs a command, such as taskset.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise PrometheusError("prometheus is not installed: apt-get install prometheus")
    if stack.nginx_metrics_base is None:
        raise PrometheusError("mtail, which counts nginx's responses, is not installed: apt-get install mtail")
    bases = {"balance-snapshots": stack.internal_base, "balance-snapshots-nginx": stack.nginx_metrics_base}
    configuration = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL}
    configuration["rule_files"] = [str(DEPLOY / path) for path in configuration["rule_files"]]
    for job in configuration["scrape_configs"]:
        job["static_configs"] = [{"targets": [bases[job["job_name"]].removeprefix("http://")]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{processes.free_port()}"
    command = [program, "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = processes.start(command, prefix=prefix, cwd=folder, stdout=log, stderr=log)
    try:
        is_running = processes.wait_until_up(f"http://{address}/-/ready", START_SECONDS, lambda: process.poll() is None)
        if not is_running:
            raise PrometheusError(f"Prometheus does not start:\n{(folder / 'prometheus.log').read_text()}")
        yield Prometheus(f"http://{address}")
    finally:
        processes.end(process)
