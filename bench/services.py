"""The services under test, on one database and one Valkey, each with two serving processes."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from config import with_overrides
from tools import local, processes, stack, valkey_server

ROOT = Path(__file__).parent.parent
PROCESSES = 2
LIMIT = "100000000/minute"
START_SECONDS = 30


class Service(NamedTuple):
    bases: list[str]
    """A URL for each of its processes."""
    pids: list[int]


@contextlib.contextmanager
def running(database_url: str, *names: str) -> Iterator[dict[str, Service]]:
    """Run the services of these names, with a rate limit too high to be reached. Raises tools.stack.StackError."""
    with contextlib.ExitStack() as parts, tempfile.TemporaryDirectory(prefix="snapshots-bench-") as folder:
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
        with (Path(folder) / "log").open("ab") as log:

            def start(command: list[str], **environ: str) -> int:
                started = processes.start(command, cwd=ROOT, env=environment | environ, stdout=log, stderr=log)
                parts.callback(processes.end, started)
                return started.pid

            start(valkey)
            services = {}
            for name in names:
                ports = [processes.free_port() for _ in range(PROCESSES)]
                pids = [start(_command(name, port), PORT=str(port)) for port in ports]
                services[name] = Service([f"http://127.0.0.1:{port}" for port in ports], pids)
            for name, base in [(name, base) for name, service in services.items() for base in service.bases]:
                url = f"{base}/api/v1/balance-snapshots"
                if not processes.wait_until_up(url, START_SECONDS, lambda: True, status=401):
                    output = (Path(folder) / "log").read_text(errors="replace")[-4000:]
                    raise stack.StackError(f"{name} does not start:\n{output}")
            yield services
            parts.close()


def _command(name: str, port: int) -> list[str]:
    if name == "ours":
        return [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "deploy" / "gunicorn.conf.py")]
    command = [sys.executable, "-m", "uvicorn", f"bench.peers.{name}:app", "--port", str(port)]
    return [*command, "--no-access-log", "--log-level", "warning"]
