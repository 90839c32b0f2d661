"""A real gunicorn with deploy/gunicorn.conf.py, without nginx in front of it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import PATIENCE_SECONDS, ROOT, children_of
from tests.support.running import clean_environ
from tools import processes
from tools.processes import free_port, wait_until_up


class GunicornResponse:
    """A response that has been read to its end."""

    def __init__(self, connection: socket.socket) -> None:
        with http.client.HTTPResponse(connection) as response:
            response.begin()
            self.status = response.status
            self.headers = response.headers
            self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Gunicorn:
    """A running gunicorn."""

    def __init__(self, port: int, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        """Everything that it has logged."""
        return self._log.read_text()

    def send(self, request: bytes) -> GunicornResponse:
        """Send exactly these bytes and read one response."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS) as connection:
            connection.sendall(request)
            return GunicornResponse(connection)


@contextlib.contextmanager
def serving(folder: Path, **environ: str) -> Iterator[Gunicorn]:
    """Start gunicorn with these settings, and wait until it answers."""
    with started(folder, **environ) as gunicorn:
        url = f"http://127.0.0.1:{gunicorn.port}/healthz"
        assert wait_until_up(url, PATIENCE_SECONDS, lambda: gunicorn.process.poll() is None), gunicorn.log
        yield gunicorn


@contextlib.contextmanager
def started(folder: Path, *, config: str = "deploy/gunicorn.conf.py", **environ: str) -> Iterator[Gunicorn]:
    """Start gunicorn with these settings, on a free port unless PORT is set; kill it afterwards."""
    port = int(environ.get("PORT", free_port()))
    with (folder / "gunicorn.log").open("wb") as log:
        process = processes.start(
            [sys.executable, "-m", "gunicorn", "--config", config],
            cwd=ROOT,
            env={**clean_environ(), "PORT": str(port), **environ},
            stdout=log,
            stderr=log,
        )
    try:
        yield Gunicorn(port, folder / "gunicorn.log", process)
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a gunicorn and its workers, unless it has exited; an orderly stop takes a second."""
    if process.poll() is None:
        for pid in (process.pid, *children_of(process.pid)):
            os.kill(pid, signal.SIGKILL)
        process.wait()
