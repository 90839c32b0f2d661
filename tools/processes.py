"""Processes that we start, and that end with us, even when we are killed."""

import signal
import socket
import subprocess
from collections.abc import Sequence
from typing import Any


def start(
    command: Sequence[str],
    ending: signal.Signals = signal.SIGTERM,
    *,
    prefix: Sequence[str] = (),
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Starts a process that the kernel sends `ending` when we are gone; the options are those of Popen.

    `prefix`: a command that runs a command, such as unshare. The process has a session of its own: Ctrl-C is for us,
    who end it when it is its turn.
    """
    die_with_us = ["setpriv", "--pdeathsig", ending.name.removeprefix("SIG")]
    return subprocess.Popen(
        [*prefix, *die_with_us, *command], stdin=subprocess.DEVNULL, start_new_session=True, **options
    )


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(process: subprocess.Popen[bytes], ending: signal.Signals = signal.SIGTERM, seconds: float = 30) -> None:
    """Asks a process to end, and sees to it that it has when the seconds are over."""
    process.send_signal(ending)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
