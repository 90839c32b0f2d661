"""The files of deploy/, as far as they can be checked without what reads them; test_stack.py runs the rest."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import Settings

DEPLOY = Path(__file__).parent.parent / "deploy"
ROOT = DEPLOY.parent
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def test_what_compose_mounts_exists() -> None:
    mounts = [
        volume.split(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]

    assert len(mounts) == 4
    assert [mount for mount in mounts if not (DEPLOY / mount).is_file()] == []


@pytest.mark.parametrize("name", ["service", "migrate"])
def test_compose_sets_variables_that_the_service_reads(name: str) -> None:
    known = {field.upper() for field in Settings.__dataclass_fields__}
    service = COMPOSE["services"][name]

    assert {variable.removesuffix("_FILE") for variable in service["environment"]} <= known
    for secret in service["secrets"]:
        assert secret in COMPOSE["secrets"]
        assert f"/run/secrets/{secret}" in service["environment"].values()


def test_what_serves_has_no_rights_beyond_serving() -> None:
    for name in ("nginx", "service", "migrate", "valkey"):
        service = COMPOSE["services"][name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
    assert re.search(r"^USER [1-9]\d+", DOCKERFILE, re.MULTILINE)


def test_only_the_proxy_is_published() -> None:
    assert [name for name, service in COMPOSE["services"].items() if "ports" in service] == ["nginx"]


def test_compose_fills_in_what_the_proxys_configuration_leaves_open() -> None:
    left_open = set(re.findall(r"\$\{([A-Z_]+)\}", (DEPLOY / "nginx.conf").read_text()))

    assert left_open == set(COMPOSE["services"]["nginx"]["environment"])


def test_the_image_is_built_from_locked_and_hashed_requirements() -> None:
    assert "--require-hashes --requirement requirements.txt" in DOCKERFILE
    pins = re.findall(r"^\S+==\S+.*$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert len(pins) > 15
    assert (ROOT / "requirements.txt").read_text().count("--hash=sha256:") >= len(pins)
