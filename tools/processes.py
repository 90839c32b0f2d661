"""Child processes that stop with their parent, even if that is killed."""

import contextlib
import random
import signal
import socket
import subprocess
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any
from urllib.error import HTTPError

# Below the ports of outgoing connections on Linux, one of which could take a free port before its server does.
_PORTS = range(20_000, 32_768)
# In a random order, so that processes that start at once rarely try the same port.
ports = deque(random.Random().sample(_PORTS, len(_PORTS)))


def start(
    command: Sequence[str],
    stop_signal: signal.Signals = signal.SIGTERM,
    *,
    prefix: Sequence[str] = (),
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a process, to which the kernel sends `stop_signal` when its parent dies; the options are those of Popen.

    `prefix`: a command that runs a command, such as unshare. The process has its own session, so that Ctrl-C reaches
    only the parent, which stops its children in order.
    """
    stop_with_parent = ["setpriv", "--pdeathsig", stop_signal.name.removeprefix("SIG")]
    return subprocess.Popen(
        [*prefix, *stop_with_parent, *command], stdin=subprocess.DEVNULL, start_new_session=True, **options
    )


def interrupt_on_signals() -> None:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt like Ctrl-C, so that `finally` blocks stop the children."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def free_port() -> int:
    """Return a port of 127.0.0.1 that is not in use."""
    while True:
        ports.rotate()
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", ports[0]))
            return ports[0]


def wait_until_up(url: str, seconds: float, are_running: Callable[[], bool], status: int = 200) -> bool:
    """Wait until a URL responds with this status; return False after a timeout, or once `are_running` is false."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and are_running():
        if _status(url) == status:
            return True
        time.sleep(0.05)
    return False


def _status(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return None


def end(process: subprocess.Popen[bytes], stop_signal: signal.Signals = signal.SIGTERM, seconds: float = 30) -> None:
    """Stop a process with a signal, or kill it after a timeout."""
    process.send_signal(stop_signal)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
