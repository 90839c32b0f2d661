"""The servers that the tests run on, and the fixtures of all tests.

A run has one PostgreSQL server, that of TEST_DATABASE_URL or an embedded one. Each worker has a database, copied from a
migrated template. Its tests share it, and use users and accounts of their own: `user_id` and `account_id` are new for
each test.
"""

import contextlib
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from config import Settings
from tests.support import SECRET, Caller, user_token
from tests.support.apps import generous_database_timeouts, serving
from tests.support.clusters import CLUSTERS, new_cluster
from tests.support.command_line import Flasks, Stored, in_a_shell, in_process
from tests.support.databases import SERVER, TEMPLATE, database, execute, with_database
from tests.support.running import Run
from tests.support.scheduling import SERVERS, ServerScheduling
from tests.support.stack_client import started
from tools import demo, postgres, processes
from tools.migrate import migrate
from tools.stack import Stack

# Random examples per test; .ci/run uses the larger number.
EXAMPLES = {"quick": 30, "thorough": 150}
for name, count in EXAMPLES.items():
    hypothesis.settings.register_profile(
        name, max_examples=count, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
hypothesis.settings.load_profile("quick")
# Servers' data directories are thousands of small files, which take longer to create and remove on a disk.
MEMORY = Path("/dev/shm")
MIN_FREE_BYTES = 4 * 2**30


def can_hold_temporary_files(folder: Path) -> bool:
    """Return whether a folder has room for temporary files and lets programs run; TMPDIR takes precedence."""
    if "TMPDIR" in os.environ or not folder.is_dir():
        return False
    mount = os.statvfs(folder)
    return mount.f_bavail * mount.f_frsize >= MIN_FREE_BYTES and not mount.f_flag & os.ST_NOEXEC


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the folder of temporary files, start the server and make the template, before there are workers."""
    # A shell makes background jobs ignore SIGINT, which the commands that tests interrupt would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput"):
        _share_ports(int(config.workerinput["workerid"].removeprefix("gw")), config.workerinput["workercount"])
        return
    if config.option.collectonly:
        return
    servers = contextlib.ExitStack()
    config.add_cleanup(servers.close)
    # Short names: the path of a socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="tests-", dir=MEMORY if can_hold_temporary_files(MEMORY) else None))
    servers.callback(shutil.rmtree, folder, ignore_errors=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    config.option.basetemp = config.option.basetemp or folder / "tmp"
    os.environ[CLUSTERS] = str(folder)
    server_url = os.environ.get("TEST_DATABASE_URL")
    if not server_url:
        try:
            server_url = servers.enter_context(postgres.running(new_cluster(folder / "postgres")))
        except postgres.PostgresError as error:
            pytest.exit(str(error), returncode=2)
    template = f"template_{uuid4().hex}"
    execute(server_url, f"CREATE DATABASE {template}")
    servers.callback(execute, server_url, f"DROP DATABASE {template} WITH (FORCE)")
    migrate(with_database(server_url, template))
    os.environ[SERVER] = server_url
    os.environ[TEMPLATE] = template


def _share_ports(worker: int, workers: int) -> None:
    """Keep a share of the ports for this worker: a server may bind its port seconds after it was found to be free."""
    mine = [port for port in processes.ports if port % workers == worker]
    processes.ports.clear()
    processes.ports.extend(mine)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ServerScheduling:
    return ServerScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files whose tests take long, so that the workers end at the same time."""

    def order(item: pytest.Item) -> int:
        file = item.nodeid.partition("::")[0]
        return 0 if file in SERVERS else 1 if file.startswith(("tests/system", "tests/cli")) else 2

    items.sort(key=order)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from searching the thousands of tests, which takes a tenth of a worker's time."""
    gc.freeze()


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """A migrated database of this worker's own."""
    with database() as url:
        yield url


@pytest.fixture(scope="session")
def portfolio_url() -> Iterator[str]:
    """A database with the demo portfolio, which tests leave as it is; they may add users of their own."""
    with database() as url:
        with psycopg.connect(url) as connection:
            demo.load(connection)
        yield url


@pytest.fixture
def migrated_database_url() -> Iterator[str]:
    """A migrated database of this test's own, to be changed at will."""
    with database() as url:
        yield url


@pytest.fixture
def empty_database_url() -> Iterator[str]:
    """A database of this test's own that nobody has migrated."""
    with database("template0") as url:
        yield url


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection whose changes are rolled back."""
    with psycopg.connect(database_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture(scope="session")
def settings(database_url: str) -> Settings:
    """Settings with a rate limit that no test reaches by accident."""
    return Settings.from_env(
        {"DATABASE_URL": database_url, "JWT_SECRET_KEY": SECRET, "API_READ_LIMIT": "1000000/minute"}
    )


@pytest.fixture(scope="session")
def app(settings: Settings) -> Iterator[Flask]:
    with contextlib.ExitStack() as stack:
        with generous_database_timeouts():
            app = stack.enter_context(serving(settings))
        yield app


@pytest.fixture
def anonymous(app: Flask) -> FlaskClient:
    """A caller who sends no token."""
    return app.test_client()


@pytest.fixture
def user_id() -> str:
    return str(uuid4())


@pytest.fixture
def account_id() -> str:
    return str(uuid4())


@pytest.fixture
def user(app: Flask, user_id: str) -> Caller:
    """A user who reads."""
    return Caller(app, user_token(user_id))


@pytest.fixture
def sync_job(app: Flask) -> Caller:
    """A service that captures."""
    return Caller(app, user_token("sync-job", scope="balance-snapshots:write"))


@pytest.fixture
def corrector(app: Flask) -> Caller:
    """A service that corrects."""
    return Caller(app, user_token("corrections-job", scope="balance-snapshots:correct"))


@pytest.fixture(scope="session")
def shared_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    state = tmp_path_factory.mktemp("state")
    new_cluster(state / "postgres")
    # Together the modules that share it send more reads than the default limit allows a user.
    run = Run(state, API_READ_LIMIT="1000000/minute").wait_until_ready()
    yield run
    run.end()


@pytest.fixture(scope="module")
def run(shared_run: Run) -> Run:
    """A `make run` with a fresh demo portfolio; tests leave it running."""
    with (
        postgres.running(shared_run.state / "postgres") as url,
        psycopg.connect(url) as connection,
    ):
        connection.execute("TRUNCATE accounts CASCADE")
        demo.load(connection)
    return shared_run


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A `make stack`; tests leave it running."""
    with started(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture
def flask(database_url: str) -> Flasks:
    return in_process(database_url)


@pytest.fixture
def shell(database_url: str) -> Flasks:
    return in_a_shell(database_url)


@pytest.fixture
def stored(database_url: str, user_id: str) -> Stored:
    """A function that returns account, instant, source and balance of each of the user's snapshots."""

    def read() -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(
                "SELECT account_id::text, captured_at, source, balance::text FROM balance_snapshots"
                " WHERE user_id = %s ORDER BY 1, 2",
                [user_id],
            ).fetchall()

    return read
