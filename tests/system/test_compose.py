"""deploy/compose.yaml as it would run, except for the images: see tests/support/compose.py."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support import API, PATIENCE_SECONDS, ROOT, snapshot, token, until
from tests.support.compose import Compose, read_files

ORIGIN = "https://app.example.com"
MISSING = [name for name in ("nginx", "mtail", "prometheus", "envsubst", "wget", "nsenter") if not shutil.which(name)]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can enter namespaces and switch users"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {' '.join(MISSING)}"),
]


def example(section: str, language: str) -> str:
    """Return the first block of code in that section of docs/operating.md."""
    text = (ROOT / "docs" / "operating.md").read_text().partition(f"## {section}\n")[2]
    found = re.search(rf"```{language}\n(.+?)```", text, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the secrets, made by the commands of docs/operating.md."""
    folder = tmp_path_factory.mktemp("deploy")
    subprocess.run(["bash", "-euc", example("Secrets", "sh")], cwd=folder, check=True)
    return folder / "secrets"


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, secrets: Path) -> Iterator[Compose]:
    """`docker compose up`, with an issuer and a web origin, and without an audience."""
    environ = {"JWT_ISSUER": "identity", "JWT_AUDIENCE": "", "CORS_ORIGINS": ORIGIN}
    compose = Compose(tmp_path_factory.mktemp("compose"), secrets, environ)
    try:
        compose.start("postgres")
        until_healthy(compose, "postgres")
        assert compose.start("migrate").wait(PATIENCE_SECONDS) == 0, compose.log("migrate")
        for name in ("valkey", "nginx-metrics", "prometheus", "service"):
            compose.start(name)
        until_healthy(compose, "service")
        compose.start("nginx")
        until_healthy(compose, "nginx")
        yield compose
    finally:
        compose.close()


def until_healthy(compose: Compose, name: str) -> None:
    """Wait until a service is healthy. The pause is long, because each check starts a container."""
    until(lambda: compose.is_healthy(name), log=compose.folder / f"{name}.log", pause=0.3)


def curl(compose: Compose, url: str, *options: str) -> tuple[int, str]:
    """Send a request from the container of nginx; return the status and the body of the response."""
    done = compose.run("nginx", "curl", "--silent", "--write-out", "\n%{http_code}", *options, url)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_a_capture_is_stored_and_read_back(services: Compose, secrets: Path) -> None:
    key = (secrets / "jwt_secret_key").read_text().strip()
    user_id = str(uuid4())
    body = json.dumps({"snapshots": [snapshot(user_id, str(uuid4()))]})
    claims = {"iss": "identity", "exp": 2**40}
    writer = token({"sub": "job", "scope": "balance-snapshots:write", **claims}, key)
    url = f"http://127.0.0.1:8000{API}/balance-snapshots"

    captured = curl(
        services, url, "--data", body, "-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {writer}"
    )
    read = curl(services, url, "-H", f"Authorization: Bearer {token({'sub': user_id, **claims}, key)}")

    assert captured[0] == 201, captured
    assert (read[0], json.loads(read[1])["total_count"]) == (200, 1)


def test_an_issuer_that_is_set_is_required_and_an_audience_that_is_empty_is_not(
    services: Compose, secrets: Path
) -> None:
    key = (secrets / "jwt_secret_key").read_text().strip()
    url = f"http://127.0.0.1:8000{API}/balance-snapshots"

    def status(**claims: str) -> int:
        signed = token({"sub": str(uuid4()), "exp": 2**40, **claims}, key)
        return curl(services, url, "-H", f"Authorization: Bearer {signed}")[0]

    assert status() == 401
    assert status(iss="identity") == 200
    assert status(iss="identity", aud="anybody") == 200


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/metrics", "/readyz"])
def test_the_public_port_serves_neither_docs_nor_metrics(services: Compose, path: str) -> None:
    status, body = curl(services, f"http://127.0.0.1:8000{path}")

    assert (status, json.loads(body)["title"]) == (404, "Not Found")


@pytest.mark.parametrize("path", [f"{API}/balance-snapshots", "/metrics"], ids=["service", "nginx"])
def test_the_service_and_nginx_allow_the_web_origin(services: Compose, path: str) -> None:
    _, head = curl(services, f"http://127.0.0.1:8000{path}", "--head", "-H", f"Origin: {ORIGIN}")

    assert f"Access-Control-Allow-Origin: {ORIGIN}" in head.splitlines()


def test_the_setting_docs_is_passed_to_the_service_and_false_if_empty() -> None:
    environments = [
        read_files({"DOCS": value}, "compose.yaml")["services"]["service"]["environment"] for value in ("true", "")
    ]

    assert [environment["DOCS"] for environment in environments] == ["true", "false"]


def test_prometheus_scrapes_the_service_and_nginx(services: Compose) -> None:
    def is_up(job: str) -> bool:
        query = f'up{{job="{job}"}}'
        _, body = curl(services, "http://127.0.0.1:9090/api/v1/query", "--data-urlencode", f"query={query}")
        return [sample["value"][1] for sample in json.loads(body)["data"]["result"]] == ["1"]

    for job in ("balance-snapshots", "balance-snapshots-nginx"):
        until(lambda job=job: is_up(job), log=services.folder / "prometheus.log", pause=0.3)  # type: ignore[misc]


def test_prometheus_loads_the_alerts(services: Compose) -> None:
    _, body = curl(services, "http://127.0.0.1:9090/api/v1/rules")

    assert [group["name"] for group in json.loads(body)["data"]["groups"]] == ["balance-snapshots"]


@pytest.fixture
def unstarted(tmp_path: Path, secrets: Path) -> Iterator[Compose]:
    """Services, none of which has been started yet."""
    compose = Compose(tmp_path, secrets, {})
    yield compose
    compose.close()


def test_the_database_is_not_healthy_before_its_scripts_have_run(unstarted: Compose, tmp_path: Path) -> None:
    """While they run, the server already answers on its socket, but must not count as healthy."""
    signals = tmp_path / "signals"
    signals.mkdir()
    signals.chmod(0o777)
    (tmp_path / "wait.sh").write_text(
        'psql --username="$POSTGRES_USER" --command="SELECT 1" && touch /signals/answers\n'
        "until [ -e /signals/go ]; do sleep 0.1; done\n"
    )
    unstarted.start(
        "postgres", mounts={"/docker-entrypoint-initdb.d/9-wait.sh": tmp_path / "wait.sh", "/signals": signals}
    )
    until((signals / "answers").exists, log=tmp_path / "postgres.log")

    answers_on_its_socket = unstarted.run("postgres", "pg_isready").returncode == 0
    was_healthy = unstarted.is_healthy("postgres")
    (signals / "go").touch()

    assert (answers_on_its_socket, was_healthy) == (True, False)
    until_healthy(unstarted, "postgres")


def test_a_migration_that_finds_no_database_fails_and_is_configured_to_restart(unstarted: Compose) -> None:
    assert unstarted.start("migrate").wait(PATIENCE_SECONDS) != 0
    assert unstarted.file["services"]["migrate"]["restart"] == "on-failure"


def test_the_service_names_a_secret_that_it_may_not_read_and_does_not_start(tmp_path: Path, secrets: Path) -> None:
    # The copies belong to root.
    copied = shutil.copytree(secrets, tmp_path / "secrets")
    (tmp_path / "state").mkdir()
    compose = Compose(tmp_path / "state", copied, {})
    try:
        assert compose.start("service").wait(PATIENCE_SECONDS) != 0
        assert "DATABASE_URL_FILE: cannot be read (PermissionError)." in compose.log("service")
    finally:
        compose.close()


def test_nginx_serves_tls_with_compose_tls_yaml(tmp_path: Path, secrets: Path) -> None:
    copied = shutil.copytree(secrets, tmp_path / "secrets")
    key, certificate = copied / "tls_key", copied / "tls_certificate"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    os.chown(key, 101, 101)
    (tmp_path / "state").mkdir()
    compose = Compose(tmp_path / "state", copied, {}, ["compose.yaml", "compose.tls.yaml"])
    try:
        compose.start("nginx")
        until(lambda: curl(compose, "https://localhost:8000/metrics", "--insecure")[0] != 0, pause=0.3)
        status, body = curl(compose, "https://localhost:8000/metrics", "--cacert", "/run/secrets/tls_certificate")
        assert (status, json.loads(body)["title"]) == (404, "Not Found")
        assert curl(compose, "http://localhost:8000/metrics")[0] == 400
    finally:
        compose.close()


def test_the_service_looks_for_standbys_with_compose_standbys_yaml(tmp_path: Path, secrets: Path) -> None:
    """There are none here, so each of the two workers counts them as lost."""
    subprocess.run(["cp", "--archive", str(secrets), str(tmp_path)], check=True)
    subprocess.run(["bash", "-euc", example("Standbys", "sh")], cwd=tmp_path, check=True)
    (tmp_path / "state").mkdir()
    compose = Compose(tmp_path / "state", tmp_path / "secrets", {}, ["compose.yaml", "compose.standbys.yaml"])
    get_metrics = ["curl", "--silent", "--unix-socket", "/run/service/service.sock", "http://service/metrics"]
    try:
        compose.start("valkey")
        compose.start("service")
        until(
            lambda: "\ndb_standbys_lost 2.0\n" in compose.run("service", *get_metrics).stdout,
            log=tmp_path / "state" / "service.log",
            pause=0.3,
        )
    finally:
        compose.close()


def test_behind_a_trusted_proxy_the_log_has_the_clients_address(unstarted: Compose, tmp_path: Path) -> None:
    site = tmp_path / "real-ip.conf"
    site.write_text(example("TLS", "nginx").replace("10.0.0.0/8", "127.0.0.0/8"))
    unstarted.start("nginx", mounts={"/deploy/site/real-ip.conf": site})
    url = "http://127.0.0.1:8000/metrics"
    until(lambda: curl(unstarted, url)[0] == 404, pause=0.3)

    curl(unstarted, url, "-H", "X-Forwarded-For: 192.0.2.7")

    until(lambda: '"client":"192.0.2.7"' in unstarted.log("nginx"))
