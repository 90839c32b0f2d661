"""A database to create roles in, on a server of the test module's own: roles belong to a whole server."""

import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.support import ROOT
from tools import postgres
from tools.migrate import migrate

DEPLOY = ROOT / "deploy"
ROLES = DEPLOY / "roles.sql"
LOGGING = DEPLOY / "database-logging.sql"
PRIVILEGES = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
TRUSTED_FUNCTIONS = {"hold_accounts", "supersede_snapshots"}
SERVICE_PRIVILEGES = {
    "schema_migrations": {"SELECT"},
    "accounts": {"SELECT", "INSERT"},
    "balance_snapshots": {"SELECT", "INSERT"},
    "superseded_snapshots": {"SELECT"},
    "comparable_snapshots": {"SELECT"},
    "comparable_superseded_snapshots": {"SELECT"},
    "formatted_snapshots_v1": {"SELECT"},
    "formatted_superseded_snapshots_v1": {"SELECT"},
}


def database_url(server_url: str, user: str, database: str) -> str:
    return f"postgresql://{user}@/{database}?host={quote(str(conninfo_to_dict(server_url)['host']), safe='')}"


class Database:
    """An empty database, owned by `administrator`, who is not a superuser but has CREATEROLE."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self.name = f"database_{uuid4().hex}"
        self.administrator = f"administrator_{uuid4().hex}"
        self.execute_as_superuser(
            f"CREATE ROLE {self.administrator} LOGIN CREATEROLE",
            f"CREATE DATABASE {self.name} OWNER {self.administrator} TEMPLATE template0 STRATEGY file_copy",
        )

    def url(self, user: str = "snapshots") -> str:
        return database_url(self._server_url, user, self.name)

    def execute_as_superuser(self, *statements: str) -> None:
        """Run statements as a superuser, outside the database."""
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def drop(self) -> None:
        self.execute_as_superuser(
            f"DROP DATABASE {self.name} WITH (FORCE)",
            f"DROP ROLE IF EXISTS snapshots_owner, snapshots_service, {self.administrator}",
        )

    def fetch(self, query: str, user: str = "snapshots") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(user)) as connection:
            return connection.execute(query.encode()).fetchall()

    def roles(self) -> set[str]:
        return {name for (name,) in self.fetch("SELECT rolname FROM pg_roles WHERE rolname LIKE 'snapshots\\__%'")}

    def privileges(self, user: str = "snapshots_service") -> dict[str, set[str]]:
        """Return the privileges of a role on each table."""
        rows = self.fetch(
            "SELECT relname, array_agg(privilege) FILTER (WHERE has_table_privilege("
            f"'{user}', pg_class.oid, privilege)) FROM pg_class, unnest(ARRAY{PRIVILEGES}) AS privilege"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') GROUP BY relname"
        )
        return {table: set(privileges or []) for table, privileges in rows}

    def trusted_functions(self, user: str = "snapshots_service") -> set[str]:
        """Return the functions that run with the rights of their owner and that a role may call."""
        rows = self.fetch(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
            f" AND has_function_privilege('{user}', oid, 'EXECUTE')"
        )
        return {name for (name,) in rows}

    def psql(self, script: Path, user: str) -> subprocess.CompletedProcess[str]:
        """Run a file as an operator does."""
        command, environment = postgres.client("psql", self.url(user), "--no-psqlrc", "-f", str(script))
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def create_roles(self, user: str) -> None:
        done = self.psql(ROLES, user)
        assert done.returncode == 0, done.stderr

    def deploy(self) -> None:
        """Create the roles and the tables."""
        self.create_roles(self.administrator)
        migrate(self.url("snapshots_owner"))
