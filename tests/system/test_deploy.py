"""Properties of the files of deploy/ that test_compose.py, which runs them, cannot show."""

import re

import pytest

from tests.support import ROOT
from tests.support.compose import DEPLOY, read_files

SERVICES = read_files({}, "compose.yaml")["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_not_take_the_hosts_memory_or_processes(name: str) -> None:
    assert re.fullmatch(r"\d+[mg]", SERVICES[name]["mem_limit"])
    assert SERVICES[name]["pids_limit"] > 0


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "postgres"])
def test_a_service_has_no_rights_beyond_its_task(name: str) -> None:
    """The image of PostgreSQL starts as root and needs the right to change its user."""
    assert SERVICES[name]["read_only"]
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]


def test_nothing_is_published_beyond_this_host() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert len(published) == 3
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_the_image_is_built_from_locked_and_hashed_requirements() -> None:
    assert "--require-hashes --requirement requirements.txt" in (DEPLOY / "Dockerfile").read_text()
    pins = re.findall(r"^\S+==\S+.*$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert len(pins) > 15
    assert (ROOT / "requirements.txt").read_text().count("--hash=sha256:") >= len(pins)
