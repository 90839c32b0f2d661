"""The container image, as far as it can be tried without Docker: its files serve, migrate and run the commands."""

import subprocess
import sys

import pytest

from tests.support import ROOT, SECRET, USER
from tests.support.image import Image, build
from tests.support.running import clean_environ


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(ROOT / "deploy" / "Dockerfile", ROOT, tmp_path_factory.mktemp("image"))


def run(image: Image, *module: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *module],
        cwd=image.files[image.workdir],
        env={**clean_environ(), **environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_files_of_the_image_are_enough_to_serve(image: Image, database_url: str) -> None:
    done = run(image, *image.command, "--check-config", DATABASE_URL=database_url, JWT_SECRET_KEY=SECRET)

    assert done.returncode == 0, done.stderr


def test_the_files_of_the_image_are_enough_to_migrate(image: Image, empty_database_url: str) -> None:
    done = run(image, "tools.migrate", DATABASE_URL=empty_database_url)

    assert done.returncode == 0, done.stderr
    assert "Applied" in done.stdout


def test_the_files_of_the_image_are_enough_for_the_commands(image: Image, database_url: str) -> None:
    export = ["flask", "--app", "commands", "snapshots", "export", "--user", USER]

    done = run(image, *export, DATABASE_URL=database_url)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("user_id,account_id,")
