"""The database roles: who can create them, in which order, and what an error undoes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.support import operating, until
from tests.support.clusters import new_cluster
from tests.support.role_database import LOGGING, ROLES, SERVICE_PRIVILEGES, Database
from tools import demo, postgres
from tools.migrate import migrate

# The exit status of psql for an error in a script.
SCRIPT_ERROR = 3


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres.running(new_cluster(tmp_path_factory.mktemp("roles") / "postgres")) as url:
        yield url


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    database = Database(server_url)
    yield database
    database.drop()


@pytest.fixture
def deployed(database: Database) -> Database:
    database.deploy()
    return database


def test_an_administrator_who_is_not_a_superuser_creates_the_roles(database: Database) -> None:
    database.create_roles(database.administrator)

    migrate(database.url("snapshots_owner"))
    assert database.privileges() == SERVICE_PRIVILEGES


def test_creating_the_roles_again_changes_nothing(deployed: Database) -> None:
    deployed.create_roles(deployed.administrator)

    assert deployed.privileges() == SERVICE_PRIVILEGES


def test_roles_that_come_after_the_tables_get_their_rights_from_the_next_migration_run(database: Database) -> None:
    database.execute_as_superuser("CREATE ROLE snapshots_owner LOGIN")
    database.execute_as_superuser(f"ALTER DATABASE {database.name} OWNER TO snapshots_owner")
    migrate(database.url("snapshots_owner"))
    database.create_roles("snapshots")

    migrate(database.url("snapshots_owner"))

    assert database.privileges() == SERVICE_PRIVILEGES


@pytest.mark.parametrize("attribute", ["NOCREATEROLE", "CREATEROLE"])
def test_somebody_who_may_not_create_or_grant_leaves_no_role_behind(database: Database, attribute: str) -> None:
    """With CREATEROLE alone both roles can be created, but the schema stays out of reach."""
    database.execute_as_superuser(f"ALTER DATABASE {database.name} OWNER TO snapshots")
    database.execute_as_superuser(f"ALTER ROLE {database.administrator} {attribute}")

    done = database.psql(ROLES, database.administrator)

    assert (done.returncode, database.roles()) == (SCRIPT_ERROR, set())


def test_an_error_midway_ends_the_script_and_undoes_it(database: Database, tmp_path: Path) -> None:
    broken = tmp_path / "roles.sql"
    broken.write_text(ROLES.read_text().replace("REVOKE ALL", "SELECT 1 / 0;\nREVOKE ALL"))

    done = database.psql(broken, database.administrator)

    assert "division by zero" in done.stderr
    assert (done.returncode, database.roles()) == (SCRIPT_ERROR, set())


def test_a_superuser_can_turn_on_the_logging_of_the_services_slow_statements(deployed: Database) -> None:
    for _ in range(2):
        assert deployed.psql(LOGGING, "snapshots").returncode == 0

    settings = "SELECT name, setting FROM pg_settings WHERE name IN ('log_min_duration_statement', 'log_lock_waits')"
    assert dict(deployed.fetch(settings, "snapshots_service")) == {
        "log_min_duration_statement": "500",
        "log_lock_waits": "on",
    }


def test_an_administrator_who_is_not_a_superuser_can_turn_on_no_part_of_the_logging(deployed: Database) -> None:
    done = deployed.psql(LOGGING, deployed.administrator)

    assert done.returncode == SCRIPT_ERROR
    assert deployed.fetch("SELECT rolconfig FROM pg_roles WHERE rolname = 'snapshots_service'") == [(None,)]


def test_migrations_started_at_once_all_grant_the_rights(deployed: Database) -> None:
    """All are held up at the first grant, where two at the same time would fail."""
    with (
        ThreadPoolExecutor(4) as threads,
        psycopg.connect(deployed.url()) as obstacle,
    ):
        obstacle.execute("GRANT SELECT ON schema_migrations TO snapshots_service")
        runs = [threads.submit(migrate, deployed.url("snapshots_owner")) for _ in range(4)]
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        until(lambda: deployed.fetch(waiting) == [(4,)])
        obstacle.rollback()

        assert {run.result() for run in runs} == {"The database is up to date."}


def test_the_documented_commands_create_the_roles_migrate_and_turn_logging_on(database: Database) -> None:
    operating.run(
        "Database roles",
        ADMIN_URL=database.url(database.administrator),
        OWNER_URL=database.url("snapshots_owner"),
        SUPERUSER_URL=database.url(),
    )

    assert database.privileges() == SERVICE_PRIVILEGES
    assert database.fetch("SHOW log_lock_waits", "snapshots_service") == [("on",)]


def test_a_table_that_is_not_granted_is_closed_to_the_serving_role(deployed: Database) -> None:
    with psycopg.connect(deployed.url("snapshots_owner")) as connection:
        connection.execute("CREATE TABLE added (id int)")
    migrate(deployed.url("snapshots_owner"))

    assert deployed.privileges()["added"] == set()


def test_the_owner_erases_an_account_and_a_user_with_the_documented_commands(deployed: Database) -> None:
    owner_url = deployed.url("snapshots_owner")
    with psycopg.connect(owner_url) as connection:
        demo.load(connection)

    operating.run("Erase an account", OWNER_URL=owner_url, ACCOUNT_ID=demo.BROKERAGE)
    with psycopg.connect(owner_url) as connection:
        left = connection.execute("SELECT count(*) FROM accounts").fetchone()
    operating.run("Erase a user", OWNER_URL=owner_url, USER_ID=demo.USER)
    assert left == (len(demo.ACCOUNTS) - 1,)

    with psycopg.connect(owner_url) as connection:
        assert connection.execute("SELECT count(*) FROM accounts").fetchone() == (0,)
