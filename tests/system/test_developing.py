"""docs/developing.md stays true: its commands are pasted into a shell, except those that take long."""

import re
import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.support import ROOT
from tests.support.clusters import new_cluster
from tests.support.documents import checkout, examples, paste
from tests.support.running import Run, clean_environ
from tools import demo, postgres

EXAMPLES = examples((ROOT / "docs" / "developing.md").read_text())
MAKE_COMMANDS = sorted(
    {
        command
        for page in (ROOT / "CONTRIBUTING.md", ROOT / "README.md", *ROOT.glob("docs/*.md"))
        for example in examples(page.read_text())
        for command in re.findall(r"^make [^\n]*", example.text, re.MULTILINE)
    }
)
GENERATED = ("docs/openapi.json", "sql/schema.sql")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return checkout(tmp_path / "checkout")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a shell whose `make` keeps its data in a folder of the test's own."""
    return clean_environ() | {"STATE_DIR": str(tmp_path / "state")}


@pytest.mark.parametrize("command", MAKE_COMMANDS)
def test_every_documented_make_command_exists(command: str) -> None:
    done = subprocess.run(
        ["bash", "-c", command.replace("make", "make -n", 1)], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_the_commands_for_sql_and_for_the_service_print_rows(run: Run, copy: Path) -> None:
    commands = [example for example in EXAMPLES if example.text.startswith(("make sql", "make flask"))]

    (_, queried), (_, exported) = paste(commands, copy, run.environ)

    assert demo.BROKERAGE in queried
    assert "Execution Time" in queried
    assert demo.BROKERAGE in exported


def test_make_docs_regenerates_what_is_made_from_code(copy: Path, environ: dict[str, str]) -> None:
    for name in GENERATED:
        (copy / name).write_text("spoiled")
    settings = (copy / "docs" / "operating.md").read_text()
    (copy / "docs" / "operating.md").write_text(settings.replace("| `DATABASE_URL` |", "| `SPOILED` |"))
    (command,) = [example for example in EXAMPLES if example.text == "make docs\n"]

    list(paste([command], copy, environ))

    for name in (*GENERATED, "docs/operating.md"):
        assert (copy / name).read_text() == (ROOT / name).read_text()


def test_the_suite_runs_on_a_server_named_by_its_url(copy: Path, environ: dict[str, str], tmp_path: Path) -> None:
    (example,) = [example for example in EXAMPLES if "TEST_DATABASE_URL" in example.text]
    commands = example.text[example.text.index("export") :]
    documented_url = "postgresql://postgres:test@127.0.0.1:5433/postgres"
    assert documented_url in commands

    with postgres.running(new_cluster(tmp_path / "server")) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE ROLE tester LOGIN CREATEDB")
            connection.execute("ALTER SYSTEM SET log_statement = 'ddl'")
            connection.execute("SELECT pg_reload_conf()")
        commands = commands.replace(documented_url, url.replace("snapshots@", "tester@"))
        # One test instead of all, which would run this one again.
        commands = commands.replace("make test", 'make test ARGS="-n 0 tests/sql/test_functions.py -k uuid"')
        ((_, printed),) = paste([example._replace(text=commands)], copy, environ)

    assert " passed" in printed
    assert "CREATE DATABASE template_" in (tmp_path / "server.log").read_text()


def test_make_fix_formats_the_code_and_the_sql(copy: Path) -> None:
    (copy / "config.py").write_text((ROOT / "config.py").read_text().replace("import os\n", "import os ;\n"))
    query = copy / "sql" / "queries" / "lock_accounts.sql"
    query.write_text(query.read_text().replace("SELECT", "select"))
    # sqlfluff takes a second for each of the other files.
    for file in {*copy.glob("sql/queries/*.sql"), *copy.glob("sql/migrations/*.sql")} - {query}:
        file.unlink()

    subprocess.run(["make", "fix"], cwd=copy, capture_output=True, check=True)

    assert (copy / "config.py").read_text() == (ROOT / "config.py").read_text()
    assert "select" not in query.read_text()
