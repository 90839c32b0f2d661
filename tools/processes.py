"""Processes that we start, and that end with us, even when we are killed."""

import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any
from urllib.error import HTTPError


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


def come_to_answer(url: str, seconds: float, are_running: Callable[[], bool], status: int = 200) -> bool:
    """Waits until a URL answers with that status; False when the seconds are over, or what should answer has ended."""
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


def end(process: subprocess.Popen[bytes], ending: signal.Signals = signal.SIGTERM, seconds: float = 30) -> None:
    """Asks a process to end, and sees to it that it has when the seconds are over."""
    process.send_signal(ending)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
