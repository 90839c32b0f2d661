"""The container image, as far as it can be tried without Docker: the files that it holds serve and migrate."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, SECRET
from tests.support.running import clean_environ

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def copies() -> list[tuple[str, str]]:
    """The files and folders that the Dockerfile copies from the project, each with its destination."""
    found = []
    for arguments in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        *sources, destination = arguments.split()
        for source in sources:
            is_folder = destination.endswith("/")
            found.append((source, f"{destination}{Path(source).name}" if is_folder else destination))
    return found


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder /app of the image."""
    root = tmp_path_factory.mktemp("image")
    ignored, *kept = (ROOT / ".dockerignore").read_text().split()
    assert ignored == "*"
    for source, destination in copies():
        assert any(f"!{path}" in kept for path in (source, *map(str, Path(source).parents))), f"{source} is ignored"
        target = root / destination.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target)
        else:
            shutil.copy(ROOT / source, target)
    return root / "app"


def run(image: Path, *module: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *module],
        cwd=image,
        env={**clean_environ(), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_files_of_the_image_are_enough_to_serve(image: Path, database_url: str) -> None:
    command = re.findall(r'"([^"]+)"', DOCKERFILE.rpartition("CMD")[2])

    done = run(image, *command, "--check-config", DATABASE_URL=database_url, JWT_SECRET_KEY=SECRET)

    assert done.returncode == 0, done.stderr


def test_the_files_of_the_image_are_enough_to_migrate(image: Path, empty_database_url: str) -> None:
    done = run(image, "tools.migrate", DATABASE_URL=empty_database_url)

    assert done.returncode == 0, done.stderr
    assert "Applied" in done.stdout


def test_the_files_of_the_image_are_enough_for_the_commands(image: Path, database_url: str) -> None:
    done = run(image, "flask", "--app", "commands", "snapshots", "export", "--help", DATABASE_URL=database_url)

    assert done.returncode == 0, done.stderr
