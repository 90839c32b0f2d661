"""A PostgreSQL server that tests can stop, and a network to it that they can cut."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.support import children_of, until
from tests.support.clusters import new_cluster
from tools import postgres
from tools.migrate import migrate


class PostgresServer:
    """A migrated PostgreSQL server that can be stopped, killed, frozen and restarted on the same data and socket."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self._running = contextlib.ExitStack()
        self._prepare()

    def _prepare(self) -> None:
        new_cluster(self._data)
        self.url = self.start()
        migrate(self.url)

    def start(self) -> str:
        return self._running.enter_context(postgres.running(self._data))

    @property
    def host(self) -> str:
        """The folder of its socket."""
        return str(conninfo_to_dict(self.url)["host"])

    def log(self) -> str:
        return self._data.with_name("data.log").read_text()

    def stop(self) -> None:
        self._running.close()

    def kill(self) -> None:
        """Stop as `pg_ctl stop -m immediate` does: clients are not told, and the next start is a recovery."""
        os.kill(self._postmaster(), signal.SIGQUIT)
        self.stop()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend every process of the server: connections stay open and nothing is answered."""
        postmaster = self._postmaster()
        pids = [postmaster, *children_of(postmaster)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def _postmaster(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])


class Standby(PostgresServer):
    """A streaming replica of another server, which can be stopped and started like one."""

    def __init__(self, folder: Path, primary_url: str) -> None:
        self._primary_url = primary_url
        super().__init__(folder)

    def _prepare(self) -> None:
        postgres.copy_as_replica(self._primary_url, self._data)
        self.url = self.start()

    @contextlib.contextmanager
    def impatient(self) -> Iterator[None]:
        """Let the replay cancel conflicting queries at once."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0")
            connection.execute("SELECT pg_reload_conf()")
            try:
                yield
            finally:
                connection.execute("ALTER SYSTEM RESET max_standby_streaming_delay")
                connection.execute("SELECT pg_reload_conf()")

    @contextlib.contextmanager
    def lagging(self) -> Iterator[None]:
        """Pause the replay until the context ends."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SELECT pg_wal_replay_pause()")
            try:
                until(lambda: connection.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() == ("paused",))
                yield
            finally:
                connection.execute("SELECT pg_wal_replay_resume()")


class Network:
    """A TCP relay to a server, which can stop passing on data and stop accepting connections."""

    def __init__(self, url: str) -> None:
        self._socket = f"{conninfo_to_dict(url)['host']}/.s.PGSQL.5432"
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self.url = f"postgresql://snapshots@127.0.0.1:{self._listener.getsockname()[1]}/postgres"
        self._passes = threading.Event()
        self._passes.set()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @contextlib.contextmanager
    def swallowing(self) -> Iterator[None]:
        """Hold back all data, and lose new connections, until the context ends."""
        self._passes.clear()
        with contextlib.ExitStack() as waiting:
            # One for the pending accept and two for the backlog; later attempts to connect are lost.
            for _ in range(3):
                attempt = waiting.enter_context(socket.socket())
                attempt.setblocking(False)
                attempt.connect_ex(self._listener.getsockname())
            try:
                yield
            finally:
                self._passes.set()

    def close(self) -> None:
        for end in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._passes.wait()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._socket)
                self._open += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, sender: socket.socket, receiver: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := sender.recv(65536):
                self._passes.wait()
                receiver.sendall(data)
            receiver.shutdown(socket.SHUT_WR)
