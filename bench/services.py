"""The services under test, on one database and one Valkey."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from config import with_overrides
from tools import local, processes, stack, valkey_server

ROOT = Path(__file__).parent.parent
# Serving processes of each service. If each has a port of its own, the connections are spread evenly.
PROCESSES = 2
LIMIT = "100000000/minute"
START_SECONDS = 30
_GUNICORN = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "deploy" / "gunicorn.conf.py")]


class Process(NamedTuple):
    command: list[str]
    environ: dict[str, str]


Launch = Callable[[int, Path], list[Process]]
"""Returns the processes that serve a port together; they may keep files in the folder."""


class Service(NamedTuple):
    bases: list[str]
    """The URLs that share the load."""
    pids: list[int]


def gunicorn(**environ: str) -> Launch:
    """Return the service as gunicorn runs it, with these settings."""
    return lambda port, _folder: [Process(_GUNICORN, {"PORT": str(port), **environ})]


def behind_nginx(port: int, folder: Path) -> list[Process]:
    """Return nginx, and gunicorn behind it, as they are deployed."""
    listen, internal_listen = f"127.0.0.1:{port}", f"127.0.0.1:{processes.free_port()}"
    socket = f"{folder}/service.sock"
    base_url = "https://api.dashtam.com/errors/"
    environ = stack.nginx_environment(listen, internal_listen, f"unix:{socket}", base_url, workers=PROCESSES)
    return [
        Process(_GUNICORN, {"SOCKET": socket, "WEB_CONCURRENCY": str(PROCESSES)}),
        Process([str(stack.DEPLOY / "nginx.sh"), str(folder)], environ),
    ]


def peer(name: str) -> Launch:
    """Return a service of bench/peers."""
    command = [sys.executable, "-m", "uvicorn", f"bench.peers.{name}:app"]
    options = ["--no-access-log", "--log-level", "warning"]
    return lambda port, _folder: [Process([*command, "--port", str(port), *options], {})]


@contextlib.contextmanager
def running(database_url: str, launches: Mapping[str, Sequence[Launch]]) -> Iterator[dict[str, Service]]:
    """Run each service, one port for each of its launches, with a rate limit too high to be reached.

    Raises tools.stack.StackError.
    """
    with contextlib.ExitStack() as parts, tempfile.TemporaryDirectory(prefix="snapshots-bench-") as temporary:
        folder = Path(temporary)
        valkey = [valkey_server.program(), "--port", "0", "--unixsocket", f"{folder}/valkey.sock", "--save", ""]
        environment = with_overrides(
            os.environ,
            DATABASE_URL=database_url,
            REDIS_URL=f"valkey+unix://{folder}/valkey.sock",
            JWT_SECRET_KEY=local.secret(),
            API_READ_LIMIT=LIMIT,
            WEB_CONCURRENCY="1",
            SOCKET="",
            HOST="127.0.0.1",
        )
        with (folder / "log").open("ab") as log:

            def start(process: Process) -> int:
                environ = environment | process.environ
                started = processes.start(process.command, cwd=ROOT, env=environ, stdout=log, stderr=log)
                parts.callback(processes.end, started)
                return started.pid

            start(Process(valkey, {}))
            services = {}
            for name, of_service in launches.items():
                ports = [processes.free_port() for _ in of_service]
                pids = []
                for port, launch in zip(ports, of_service, strict=True):
                    (folder / str(port)).mkdir()
                    pids += [start(process) for process in launch(port, folder / str(port))]
                services[name] = Service([f"http://127.0.0.1:{port}" for port in ports], pids)
            for name, base in [(name, base) for name, service in services.items() for base in service.bases]:
                url = f"{base}/api/v1/balance-snapshots"
                if not processes.wait_until_up(url, START_SECONDS, lambda: True, status=401):
                    output = (folder / "log").read_text(errors="replace")[-4000:]
                    raise stack.StackError(f"{name} does not start:\n{output}")
            yield services
            parts.close()
