"""`make stack`: run the stack of deploy/compose.yaml without Docker until Ctrl-C.

nginx listens on PORT and, for /metrics, /readyz and /healthz, on INTERNAL_PORT; if mtail is installed, nginx's own
metrics are on NGINX_METRICS_PORT. gunicorn listens on a unix socket instead of a port. Valkey and PostgreSQL are
started too, with one database role for migrations and one for serving. All of it uses the files of deploy/.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from config import ConfigError, Settings, with_overrides
from tools import local, postgres, processes, valkey_server
from tools.migrate import MigrationError, migrate

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
START_SECONDS = 60


class StackError(Exception):
    """A part of the stack is missing or does not start; the message says which."""


class Stack:
    """The running processes. To lose no request, `close` stops nginx first, then gunicorn, Valkey and PostgreSQL.

    `internal_port` and `nginx_metrics_port` default to free ports.
    """

    def __init__(
        self,
        state: Path,
        port: int,
        *,
        internal_port: int | None = None,
        nginx_metrics_port: int | None = None,
        **environ: str,
    ) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.internal_base = f"http://127.0.0.1:{internal_port or processes.free_port()}"
        self.nginx_metrics_base: str | None = None
        """Base URL of nginx's own metrics; None without mtail."""
        self._nginx_metrics: subprocess.Popen[bytes] | None = None
        self._nginx_metrics_port = nginx_metrics_port or processes.free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="snapshots-stack-"))
        self._parts = contextlib.ExitStack()
        self._parts.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._start(state, environ)
        except BaseException:
            self.close()
            raise

    def _start(self, state: Path, environ: dict[str, str]) -> None:
        if missing := missing_programs():
            raise StackError(f"{' and '.join(missing)} is missing: apt-get install {' '.join(missing.values())}")
        self.admin_url = self._parts.enter_context(local.embedded(state / "postgres", share=False))
        (self.folder / "postgres.log").symlink_to(state / "postgres.log")
        owner_url, service_url = _with_roles(self.admin_url)
        migrate(owner_url)
        self.valkey = self._run(
            "valkey", [valkey_server.program(), "--port", "0", "--unixsocket", "valkey.sock", "--save", ""]
        )
        self.environment = with_overrides(
            os.environ,
            DATABASE_URL=service_url,
            REDIS_URL=f"valkey+unix://{self.folder}/valkey.sock",
            JWT_SECRET_KEY=local.secret(),
            SOCKET=f"{self.folder}/service.sock",
            WEB_CONCURRENCY="2",
            **environ,
        )
        settings = Settings.from_env(self.environment)
        self.gunicorn = self._run(
            "gunicorn",
            [sys.executable, "-m", "gunicorn", "--config", str(DEPLOY / "gunicorn.conf.py")],
            cwd=ROOT,
            env=self.environment,
        )
        if shutil.which("mtail"):
            self._start_nginx_metrics()
        self.nginx = self._run(
            "nginx",
            [str(DEPLOY / "nginx.sh"), str(self.folder)],
            env=nginx_environment(
                self.base.removeprefix("http://"),
                self.internal_base.removeprefix("http://"),
                f"unix:{settings.socket}",
                settings.problem_base_url,
                status_log=str(self.folder / "status.log") if self.nginx_metrics_base else "/dev/null",
                cors_origins=",".join(settings.cors_origins),
                workers=settings.workers,
            ),
        )
        self._wait_until_up()

    def _start_nginx_metrics(self) -> None:
        port = self._nginx_metrics_port
        self._nginx_metrics = self._run(
            "nginx-metrics",
            [
                str(DEPLOY / "nginx-metrics.sh"),
                str(self.folder / "status.log"),
                "--address=127.0.0.1",
                f"--port={port}",
            ],
        )
        self.nginx_metrics_base = f"http://127.0.0.1:{port}"

    def _run(self, name: str, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        log = self._parts.enter_context((self.folder / f"{name}.log").open("ab"))
        process = processes.start(command, **{"cwd": self.folder, **options}, stdout=log, stderr=log)
        self._parts.callback(processes.end, process)
        return process

    def _wait_until_up(self) -> None:
        parts = {"valkey": self.valkey, "gunicorn": self.gunicorn, "nginx": self.nginx}
        urls = [f"{self.base}/healthz"]
        if self._nginx_metrics:
            parts["nginx-metrics"] = self._nginx_metrics
            urls.append(f"{self.nginx_metrics_base}/metrics")

        def are_running() -> bool:
            return all(part.poll() is None for part in parts.values())

        if not all(processes.wait_until_up(url, START_SECONDS, are_running) for url in urls):
            exited = [name for name, part in parts.items() if part.poll() is not None]
            logs = "\n".join(self.log(name) for name in exited or parts)
            raise StackError(f"{' and '.join(exited) or 'The stack'} {'exited' if exited else 'is not up'}:\n{logs}")

    def log(self, name: str) -> str:
        """Return the output of a part."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def close(self) -> None:
        self._parts.close()


def missing_programs() -> dict[str, str]:
    """Return the programs that deploy/nginx.sh needs and this machine lacks, with their Debian packages."""
    packages = {"nginx": "nginx-light", "envsubst": "gettext-base"}
    return {name: package for name, package in packages.items() if not shutil.which(name, path=_path())}


def nginx_environment(
    listen: str,
    internal_listen: str,
    upstream: str,
    problem_base_url: str,
    *,
    status_log: str = "/dev/null",
    cors_origins: str = "",
    workers: int = 2,
) -> dict[str, str]:
    """Return the environment that deploy/nginx.sh needs."""
    return {
        "PATH": _path(),
        "LISTEN": listen,
        "INTERNAL_LISTEN": internal_listen,
        "UPSTREAM": upstream,
        "PROBLEM_BASE_URL": problem_base_url,
        "STATUS_LOG": status_log,
        "CORS_ORIGINS": cors_origins,
        "WORKERS": str(workers),
    }


def _path() -> str:
    # Debian installs nginx in /usr/sbin, which is not in an ordinary user's PATH.
    return f"{os.environ.get('PATH', '')}:/usr/sbin"


def _with_roles(admin_url: str) -> tuple[str, str]:
    """Create the two roles and return the URLs of the owner and of the service."""
    for name in ("roles.sql", "database-logging.sql"):
        postgres.run_script(admin_url, DEPLOY / name)
    owner, service = (
        admin_url.replace("//snapshots@", f"//{role}@") for role in ("snapshots_owner", "snapshots_service")
    )
    return owner, service


@contextlib.contextmanager
def running(state: Path, port: int, **options: Any) -> Iterator[Stack]:
    """Run a stack until the context ends; the options are those of Stack."""
    stack = Stack(state, port, **options)
    try:
        yield stack
    finally:
        stack.close()


def main() -> None:
    processes.interrupt_on_signals()
    try:
        with running(
            local.STATE / "stack",
            int(os.environ.get("PORT") or 8000),
            internal_port=int(os.environ.get("INTERNAL_PORT") or 8001),
            nginx_metrics_port=int(os.environ.get("NGINX_METRICS_PORT") or 3903),
        ) as stack:
            print(f"The stack serves on {stack.base}; its logs are in {stack.folder}. Ctrl-C stops it.", flush=True)
            print(f"Metrics: {stack.internal_base}/metrics, {_nginx_metrics(stack)}", flush=True)
            print("A token: make token SUB=<user id> [SCOPE=balance-snapshots:write]", flush=True)
            stack.nginx.wait()
            sys.exit(f"make stack: nginx exited:\n{stack.log('nginx')}")
    except KeyboardInterrupt:
        print("Stopped.")
    except (StackError, ConfigError, MigrationError, postgres.PostgresError, psycopg.Error) as error:
        sys.exit(f"make stack: {error}")


def _nginx_metrics(stack: Stack) -> str:
    if stack.nginx_metrics_base:
        return f"and nginx's own: {stack.nginx_metrics_base}/metrics"
    return "but not nginx's own, which need mtail (apt-get install mtail)"


if __name__ == "__main__":
    main()
