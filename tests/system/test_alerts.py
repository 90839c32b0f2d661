"""The alerting rules: promtool evaluates them against made-up series (alerts_test.yaml), and each has its runbook."""

import os
import re
import shutil
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import ROOT

CASES = Path(__file__).with_name("alerts_test.yaml")
RULES: list[dict[str, Any]] = yaml.safe_load((ROOT / "deploy" / "alerts.yaml").read_text())["groups"][0]["rules"]

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])


def promtool(*arguments: str) -> None:
    program = shutil.which("promtool")
    if program is None:
        message = "promtool is not installed: apt-get install prometheus"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_its_configuration_and_rules() -> None:
    promtool("check", "config", str(ROOT / "deploy" / "prometheus.yml"))


def test_each_alert_fires_when_it_should_and_is_quiet_when_it_should_not() -> None:
    promtool("test", "rules", str(CASES))


@every_rule
def test_an_alert_has_cases_in_which_it_fires_resolves_and_stays_quiet(rule: dict[str, Any]) -> None:
    seen: Counter[str] = Counter()
    for case in yaml.safe_load(CASES.read_text())["tests"]:
        fires = [bool(step.get("exp_alerts")) for step in case["alert_rule_test"] if step["alertname"] == rule["alert"]]
        seen["fires"] += True in fires
        seen["resolves"] += (True, False) in pairwise(fires)
        seen["stays quiet"] += fires != [] and True not in fires

    assert set(+seen) == {"fires", "resolves", "stays quiet"}


@every_rule
def test_an_alert_links_to_its_paragraph_of_the_runbook(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)\n\n(?=\w)", (ROOT / page).read_text(), re.MULTILINE)

    assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert anchor == rule["alert"].lower()
