"""A running `make run`, for tests."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tools.processes import free_port, wait_until_up

START_SECONDS = 180
END_SECONDS = 60


class Run:
    """A running `make run`."""

    def __init__(self, state: Path, **environ: str) -> None:
        self.state = state
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.base = f"http://{self.address}"
        self._log = state / f"run-{self.port}.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tools.run"],
                cwd=ROOT,
                env={**clean_environ(), "STATE_DIR": str(state), "PORT": str(self.port), **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait_until_ready(self) -> "Run":
        is_ready = wait_until_up(f"{self.base}/readyz", START_SECONDS, lambda: self.process.poll() is None)
        assert is_ready, self.output
        return self

    @property
    def environ(self) -> dict[str, str]:
        """Return the variables of a reader's shell: the base URL and the printed token."""
        token = re.search(r"^[\w-]+\.[\w-]+\.[\w-]+$", self.output, re.MULTILINE)
        assert token
        return clean_environ() | {"API": f"{self.base}/api/v1", "TOKEN": token[0], "STATE_DIR": str(self.state)}

    def lines(self, start: str) -> list[str]:
        return [line for line in self.output.splitlines() if line.startswith(start)]

    def end(self, how: int = signal.SIGINT) -> int:
        self.process.send_signal(how)
        return self.process.wait(END_SECONDS)

    def left_behind(self) -> list[str]:
        """Return the processes of this run that are still alive."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                known_by = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if str(self.state).encode() in known_by and state != "Z" and int(process.name) != os.getpid():
                found.append((process / "comm").read_text().strip())
        return found


def clean_environ() -> dict[str, str]:
    """Return our environment without settings that a developer's shell may hold, or that `make` adds."""
    ours = {
        "DATABASE_URL",
        "JWT_SECRET_KEY",
        "JWT_ALGORITHM",
        "REDIS_URL",
        "WEB_CONCURRENCY",
        "CORS_ORIGINS",
        "TEST_DATABASE_URL",
    }
    of_make = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "VENV"}
    return {name: value for name, value in os.environ.items() if name not in ours | of_make}
