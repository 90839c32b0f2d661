"""`make sbom` lists exactly what a deployment installs."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.running import clean_environ


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The document that the command writes."""
    path = tmp_path_factory.mktemp("sbom") / "folder" / "sbom.json"
    done = subprocess.run(
        ["make", "-s", "sbom", f"VENV={sys.prefix}", f"SBOM={path}"],
        cwd=ROOT,
        env=clean_environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return path.read_text()


def test_the_document_describes_the_service(text: str) -> None:
    assert json.loads(text)["metadata"]["component"]["name"] == "balance-snapshots"


def test_the_document_holds_every_locked_package_with_its_hashes(text: str) -> None:
    components = json.loads(text)["components"]

    assert {component["purl"]: _hashes(component) for component in components} == _locked()


def _hashes(component: dict[str, Any]) -> set[str]:
    return {digest["content"] for source in component["externalReferences"] for digest in source["hashes"]}


def _locked() -> dict[str, set[str]]:
    """Return the hashes of each package of requirements.txt, by its package URL."""
    packages = re.split(r"^(?=\S+==)", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE)[1:]
    locked = {}
    for package in packages:
        name, version = re.match(r"(\S+)==(\S+)", package).groups()  # type: ignore[union-attr]
        locked[f"pkg:pypi/{name.partition('[')[0]}@{version}"] = set(re.findall(r"sha256:(\w+)", package))
    return locked
