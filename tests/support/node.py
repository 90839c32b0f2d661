"""The npm packages that tests use, installed once for all tests and runs."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

CLIENTS = ROOT / "tests" / "system" / "clients"
needs_node = pytest.mark.skipif(not shutil.which("npm"), reason="there is no Node.js: apt-get install nodejs npm")


def installed() -> Path:
    """Install the packages of package-lock.json; return the folder that holds node_modules."""
    lock = (CLIENTS / "package-lock.json").read_bytes()
    folder = ROOT / ".local" / "npm" / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(CLIENTS / name, folder)
            run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            (folder / "installed").touch()
    return folder


def run(folder: Path, *command: str, **environ: str) -> str:
    """Run a command in the folder, with the installed tools on PATH; return its output. Fails if the command fails."""
    path = f"{folder / 'node_modules' / '.bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout
