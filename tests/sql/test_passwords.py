"""deploy/passwords.sh, run as the postgres image runs it: the URLs in the secrets log in afterwards."""

import os
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from tests.support.clusters import new_cluster
from tests.support.role_database import DEPLOY, ROLES
from tools import postgres

SCRIPT = DEPLOY / "passwords.sh"
OUTSIDE = "äöü € 密码 😀"


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with both roles that asks everybody but the administrator for a password."""
    data = new_cluster(tmp_path_factory.mktemp("passwords") / "postgres")
    with postgres.running(data) as url:
        postgres.run_script(url, ROLES)
        (data / "pg_hba.conf").write_text("local all snapshots trust\nlocal all all scram-sha-256\n")
        with psycopg.connect(url) as connection:
            connection.execute("SELECT pg_reload_conf()")
        yield url


def run(server_url: str, secrets: Path) -> subprocess.CompletedProcess[str]:
    command, environment = postgres.client("psql", server_url)
    psql = Path(command[0])
    socket = psycopg.conninfo.conninfo_to_dict(server_url)["host"]
    known = {"POSTGRES_USER": "snapshots", "POSTGRES_DB": "postgres", "PGHOST": str(socket), "SECRETS": str(secrets)}
    # The image sources a script that is not executable, so that its `set -u` would affect the image's own script.
    return subprocess.run(
        [str(SCRIPT)],
        env={**environment, **known, "PATH": f"{psql.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def url_of(server_url: str, role: str, password: str) -> str:
    """Return the URL of a role with this password as it is, encoded or not."""
    return server_url.replace("//snapshots@", f"//{role}:{password}@")


def store(secrets: Path, server_url: str, password: str) -> None:
    for role in ("owner", "service"):
        (secrets / f"{role}_url").write_text(url_of(server_url, f"snapshots_{role}", password) + "\n")


@pytest.mark.parametrize(
    "password",
    [
        pytest.param("plain-0123", id="letters and digits"),
        pytest.param(quote("p@ss:w/o?r#d", safe=""), id="special in a URL"),
        pytest.param(quote("100%25", safe=""), id="a percent sign before digits"),
        pytest.param(quote('it\'s "quoted" \\x41\\c $HOME `id`', safe=""), id="special in a shell or in SQL"),
        pytest.param(quote(" spaces at both ends ", safe=""), id="spaces"),
        pytest.param(quote("two\nlines\n", safe=""), id="line breaks"),
        pytest.param(quote(OUTSIDE, safe=""), id="encoded letters outside ASCII"),
        pytest.param(OUTSIDE.replace(" ", ""), id="letters outside ASCII as they are"),
        pytest.param(quote(string.printable, safe=""), id="printable ASCII"),
        pytest.param("a:b?c#d&e=f+g\\x41!$'\"", id="accepted by libpq unencoded"),
        pytest.param("%3a%2F", id="hexadecimal digits in either case"),
    ],
)
@pytest.mark.parametrize("role", ["snapshots_owner", "snapshots_service"])
def test_a_role_logs_in_with_its_url(server_url: str, tmp_path: Path, password: str, role: str) -> None:
    store(tmp_path, server_url, password)

    done = run(server_url, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    with psycopg.connect(url_of(server_url, role, password)) as connection:
        assert connection.info.user == role


def test_a_wrong_password_is_refused(server_url: str, tmp_path: Path) -> None:
    store(tmp_path, server_url, "right")
    assert run(server_url, tmp_path).returncode == 0

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url_of(server_url, "snapshots_service", "wrong"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://snapshots_service@postgres/snapshots",
        "postgresql://snapshots_service:@postgres/snapshots",
        "postgresql://postgres:password@postgres/snapshots",
        "snapshots_service:password@postgres/snapshots",
        "",
    ],
)
def test_a_url_without_its_role_or_a_password_is_refused_and_not_repeated(
    server_url: str, tmp_path: Path, url: str
) -> None:
    store(tmp_path, server_url, "right")
    (tmp_path / "service_url").write_text(url)

    done = run(server_url, tmp_path)

    assert (done.returncode, done.stderr) == (
        1,
        f"{tmp_path}/service_url must hold postgresql://snapshots_service:PASSWORD@...\n",
    )
