"""The privileges of the serving role, and the statements that it is refused."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.support import snapshot
from tests.support.clusters import new_cluster
from tests.support.command_line import SYSTEM_FAULT, as_ndjson, in_process
from tests.support.role_database import SERVICE_PRIVILEGES, Database
from tools import postgres


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with postgres.running(new_cluster(tmp_path_factory.mktemp("serving-role") / "postgres")) as url:
        database = Database(url)
        database.deploy()
        yield database


def test_the_serving_role_may_read_every_table_and_add_accounts_and_snapshots(deployed: Database) -> None:
    assert deployed.privileges() == SERVICE_PRIVILEGES


def test_a_user_is_imported_and_exported_by_the_serving_role_and_erased_by_the_owner(
    deployed: Database, tmp_path: Path
) -> None:
    user_id = str(uuid4())
    file = tmp_path / "snapshots.ndjson"
    file.write_text(as_ndjson(snapshot(user_id, str(uuid4()))))
    service, owner = (in_process(deployed.url(role)) for role in ("snapshots_service", "snapshots_owner"))

    imported = service("snapshots", "import", str(file))
    exported = service("snapshots", "export", "--user", user_id)
    refused = service("users", "erase", "--yes", user_id)
    erased = owner("users", "erase", "--yes", user_id)

    assert [done.returncode for done in (imported, exported, refused, erased)] == [0, 0, SYSTEM_FAULT, 0]


def test_a_file_with_superseded_snapshots_is_imported_by_the_owner_only(deployed: Database, tmp_path: Path) -> None:
    user_id = str(uuid4())
    row = snapshot(user_id, str(uuid4())) | {
        "id": "01a203c8-7a81-7ad0-81ee-31ba180ec3ff",
        "created_at": "2025-01-01T00:00:00Z",
        "reason": "It was wrong.",
        "superseded_at": "2025-01-02T00:00:00Z",
        "superseded_by": "corrections-job",
    }
    file = tmp_path / "superseded.ndjson"
    file.write_text(as_ndjson(row))
    service, owner = (in_process(deployed.url(role)) for role in ("snapshots_service", "snapshots_owner"))

    refused = service("snapshots", "import", str(file))
    imported = owner("snapshots", "import", str(file))
    exported = service("snapshots", "export", "--user", user_id, "--superseded", "--format", "ndjson")

    assert (refused.returncode, imported.returncode) == (SYSTEM_FAULT, 0)
    assert "permission denied for table superseded_snapshots" in refused.stderr
    assert "It was wrong." in exported.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO schema_migrations (version) VALUES ('99991231000000')",
        "UPDATE schema_migrations SET version = '99991231000000'",
        "DELETE FROM schema_migrations",
        "TRUNCATE schema_migrations",
        "UPDATE accounts SET user_id = gen_random_uuid()",
        "DELETE FROM accounts",
        "TRUNCATE accounts CASCADE",
        "DROP TABLE accounts",
        "ALTER TABLE accounts ADD x int",
        "ALTER TABLE accounts DISABLE TRIGGER accounts_keep_their_owner",
        "UPDATE balance_snapshots SET balance = 0",
        "DELETE FROM balance_snapshots",
        "TRUNCATE balance_snapshots",
        "DROP TABLE balance_snapshots",
        "ALTER TABLE balance_snapshots DROP CONSTRAINT balance_snapshots_natural_key",
        "INSERT INTO superseded_snapshots SELECT *, 'x', now(), 'x', NULL FROM balance_snapshots",
        "UPDATE superseded_snapshots SET reason = 'x'",
        "DELETE FROM superseded_snapshots",
        "TRUNCATE superseded_snapshots",
        "SELECT FROM accounts FOR KEY SHARE",
        "ALTER FUNCTION supersede_snapshots SECURITY INVOKER",
        "CREATE INDEX ON balance_snapshots (balance)",
        "CREATE TABLE x (y int)",
        "CREATE VIEW x AS SELECT 1",
        "CREATE FUNCTION x() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE OR REPLACE FUNCTION minor_unit(currency text) RETURNS integer LANGUAGE sql IMMUTABLE RETURN 2",
        "DROP TYPE snapshot_source CASCADE",
        "CREATE SCHEMA x",
        "CREATE ROLE x",
        "SET ROLE snapshots_owner",
        "SET SESSION AUTHORIZATION snapshots_owner",
        "GRANT snapshots_owner TO snapshots_service",
        "SET session_replication_role = replica",
    ],
)
def test_the_serving_role_may_not_change_stored_rows_definitions_or_roles(deployed: Database, statement: str) -> None:
    with (
        psycopg.connect(deployed.url("snapshots_service")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())
