"""Settings: the values that are accepted, and the messages about those that are refused at startup."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from config import ConfigError, Settings, settings_table
from tests.support import ROOT

REQUIRED = {"DATABASE_URL": "postgresql://localhost/x", "JWT_SECRET_KEY": "k" * 32}


def pem(key: Any) -> str:
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(serialization.Encoding.PEM, public).decode())


RSA = rsa.generate_private_key(65537, 2048)
RSA_PRIVATE_PEM = RSA.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
EC_PEM = pem(ec.generate_private_key(ec.SECP256R1()))
ED_PEM = pem(ed25519.Ed25519PrivateKey.generate())


def asymmetric(algorithm: str, **more: str) -> dict[str, str]:
    return {"DATABASE_URL": "postgresql://localhost/x", "JWT_ALGORITHM": algorithm, **more}


def test_only_a_database_and_a_secret_are_required() -> None:
    settings = Settings.from_env(REQUIRED)

    assert (settings.jwt_algorithm, settings.port) == ("HS256", 8000)
    assert settings.problem_base_url == "https://api.dashtam.com/errors/"


@pytest.mark.parametrize(("host", "address"), [("0.0.0.0", "0.0.0.0:8000"), ("::1", "[::1]:8000")])
def test_an_address_is_written_as_in_a_url(host: str, address: str) -> None:
    assert Settings.from_env({**REQUIRED, "HOST": host}).address == address


def test_an_empty_variable_counts_as_unset() -> None:
    settings = Settings.from_env({**REQUIRED, "REDIS_URL": "", "PORT": "", "JWT_ISSUER": ""})

    assert (settings.redis_url, settings.port, settings.jwt_issuer) == (None, 8000, None)


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        pytest.param({"DATABASE_URL": ""}, "DATABASE_URL", id="no database"),
        pytest.param({"DATABASE_URL": "mysql://localhost"}, "DATABASE_URL", id="another database"),
        pytest.param({"DATABASE_URL": "postgresql://u:se%ret@h/d"}, "DATABASE_URL", id="database that does not parse"),
        pytest.param({"READ_DATABASE_URL": "mysql://localhost"}, "READ_DATABASE_URL", id="standby of another kind"),
        pytest.param({"REDIS_URL": "redis://h:abc"}, "REDIS_URL", id="store that does not parse"),
        pytest.param({"JWT_SECRET_KEY": ""}, "JWT_SECRET_KEY", id="no secret"),
        pytest.param({"JWT_SECRET_KEY": "k" * 31}, "JWT_SECRET_KEY", id="secret of 31 bytes"),
        pytest.param({"JWT_ALGORITHM": "none"}, "JWT_ALGORITHM", id="algorithm none"),
        pytest.param({"JWT_ALGORITHM": "HS512"}, "JWT_ALGORITHM", id="another algorithm"),
        pytest.param({"JWT_PUBLIC_KEY": EC_PEM}, "JWT_ALGORITHM", id="public key for HS256"),
        pytest.param({"API_READ_LIMIT": "many"}, "API_READ_LIMIT", id="limit without a number"),
        pytest.param({"API_READ_LIMIT": "100"}, "API_READ_LIMIT", id="limit without a period"),
        pytest.param({"API_READ_LIMIT": "0/minute"}, "API_READ_LIMIT", id="limit of zero"),
        pytest.param({"API_READ_LIMIT": "-5/minute"}, "API_READ_LIMIT", id="limit below zero"),
        pytest.param({"API_READ_LIMIT": "10/second;100/minute"}, "API_READ_LIMIT", id="two limits"),
        pytest.param({"API_READ_LIMIT": "9999999/year"}, "API_READ_LIMIT", id="limit beyond exact counting"),
        pytest.param({"WEB_CONCURRENCY": "2"}, "REDIS_URL", id="two workers that share no store"),
        pytest.param({"REDIS_URL": "http://localhost"}, "REDIS_URL", id="store of another kind"),
        pytest.param({"REDIS_URL": "http://redis://localhost"}, "REDIS_URL", id="URL of a store after another scheme"),
        pytest.param({"PROBLEM_BASE_URL": "errors"}, "PROBLEM_BASE_URL", id="base that is not a URL"),
        pytest.param({"CORS_ORIGINS": "*"}, "CORS_ORIGINS", id="every origin"),
        pytest.param({"CORS_ORIGINS": "null"}, "CORS_ORIGINS", id="the origin of a file"),
        pytest.param({"CORS_ORIGINS": "app.example.com"}, "CORS_ORIGINS", id="origin without a scheme"),
        pytest.param({"CORS_ORIGINS": "ftp://app.example.com"}, "CORS_ORIGINS", id="origin of another scheme"),
        pytest.param({"CORS_ORIGINS": "https://app.example.com/"}, "CORS_ORIGINS", id="origin with a path"),
        pytest.param({"CORS_ORIGINS": "https://App.example.com"}, "CORS_ORIGINS", id="origin in upper case"),
        pytest.param({"CORS_ORIGINS": "https://app.example.com:443"}, "CORS_ORIGINS", id="origin with default port"),
        pytest.param({"CORS_ORIGINS": "http://localhost:80"}, "CORS_ORIGINS", id="other origin with default port"),
        pytest.param({"CORS_ORIGINS": "http://localhost:65536"}, "CORS_ORIGINS", id="origin with a port out of range"),
        pytest.param({"CORS_ORIGINS": "https://*.example.com"}, "CORS_ORIGINS", id="origins by pattern"),
        pytest.param({"CORS_ORIGINS": "https://u@example.com"}, "CORS_ORIGINS", id="origin with a user"),
        pytest.param(
            {"CORS_ORIGINS": "https://a.example https://b.example"}, "CORS_ORIGINS", id="origins without a comma"
        ),
        pytest.param({"CORS_ORIGINS": "https://a.example,"}, "CORS_ORIGINS", id="origin missing after a comma"),
        pytest.param({"PORT": "0"}, "PORT", id="port 0"),
        pytest.param({"PORT": "65536"}, "PORT", id="port 65536"),
        pytest.param({"PORT": "http"}, "PORT", id="port by name"),
        pytest.param({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY", id="no workers"),
        pytest.param({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL", id="unknown level"),
    ],
)
def test_a_bad_setting_is_named(environ: dict[str, str], variable: str) -> None:
    with pytest.raises(ConfigError, match=f"^{variable}: "):
        Settings.from_env({**REQUIRED, **environ})


@pytest.mark.parametrize("scheme", ["redis", "rediss", "valkey", "valkeys", "redis+unix", "valkey+unix"])
def test_workers_may_share_a_redis_or_a_valkey(scheme: str) -> None:
    settings = Settings.from_env({**REQUIRED, "WEB_CONCURRENCY": "2", "REDIS_URL": f"{scheme}://store"})

    assert settings.workers == 2


@pytest.mark.parametrize(
    ("environ", "workers"),
    [({}, 1), ({"REDIS_URL": "redis://store"}, 3), ({"REDIS_URL": "redis://store", "WEB_CONCURRENCY": "2"}, 2)],
    ids=["without a store", "with a store", "as set"],
)
def test_the_number_of_workers_follows_the_cores_if_they_can_share_the_limit(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], workers: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 2, 5})

    settings = Settings.from_env({**REQUIRED, **environ})

    assert (settings.workers, settings.web_threads) == (workers, 2)


@pytest.mark.parametrize("limit", ["1/second", "100/minute", "100 per minute", "5/2 hours", "100000/day"])
def test_a_limit_is_a_number_of_requests_per_period(limit: str) -> None:
    assert Settings.from_env({**REQUIRED, "API_READ_LIMIT": limit}).api_read_limit == limit


def test_a_bad_origin_is_named_and_others_are_not() -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.from_env({**REQUIRED, "CORS_ORIGINS": "https://a.example,https://b.example/"})

    assert str(refused.value).startswith("CORS_ORIGINS: 'https://b.example/' is not an origin as browsers send it")


def test_origins_are_separated_by_commas() -> None:
    settings = Settings.from_env({**REQUIRED, "CORS_ORIGINS": "https://a.example, http://localhost:3000"})

    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")
    assert Settings.from_env(REQUIRED).cors_origins == ()


def test_a_secret_is_measured_in_bytes() -> None:
    assert Settings.from_env({**REQUIRED, "JWT_SECRET_KEY": "é" * 16}).jwt_secret_key == "é" * 16


def test_no_message_or_representation_of_settings_shows_a_secret() -> None:
    secrets = {"DATABASE_URL": "postgresql://u:hush@h/d", "JWT_SECRET_KEY": "hush" * 8, "REDIS_URL": "redis://:hush@h"}
    assert "hush" not in repr(Settings.from_env(secrets))
    for bad in ({"DATABASE_URL": "postgresql://u:hush%@h/d"}, {"REDIS_URL": "redis://:hush@h:x"}):
        with pytest.raises(ConfigError) as refused:
            Settings.from_env({**secrets, **bad})
        assert "hush" not in str(refused.value)


def test_the_settings_of_gunicorn_suit_the_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {**REQUIRED, "WEB_THREADS": "7", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)

    settings = runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))

    assert "ThreadWorker" in [base.__name__ for base in settings["worker_class"].__mro__]
    assert (settings["threads"], settings["bind"]) == (7, "127.0.0.1:8000")
    assert not settings["preload_app"], "a pool must not be forked"
    assert settings["control_socket_disable"]
    assert "access" in vars(settings["logger_class"]), (
        "gunicorn's own logger would format a line for each request only to discard it"
    )
    settings["on_exit"](None)
    assert tmp_path.is_dir(), "a folder that the environment names is not ours to delete"


def test_all_bad_settings_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.from_env({"PORT": "x", "LOG_LEVEL": "x"})

    named = [line.partition(":")[0] for line in str(refused.value).splitlines()]
    assert sorted(named) == ["DATABASE_URL", "LOG_LEVEL", "PORT"]


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param(asymmetric("RS256", JWT_PUBLIC_KEY=pem(RSA)), id="RS256"),
        pytest.param(asymmetric("ES256", JWT_PUBLIC_KEY=EC_PEM), id="ES256"),
        pytest.param(asymmetric("EdDSA", JWT_PUBLIC_KEY=ED_PEM), id="EdDSA"),
        pytest.param(asymmetric("ES256", JWT_PUBLIC_KEY=EC_PEM.replace("\n", "\\n")), id="on one line"),
        pytest.param(asymmetric("RS256", JWT_JWKS_URL="http://127.0.0.1/keys"), id="key set"),
    ],
)
def test_a_public_key_or_a_key_set_is_accepted(environ: dict[str, str]) -> None:
    assert Settings.from_env(environ).jwt_algorithm == environ["JWT_ALGORITHM"]


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param(asymmetric("RS256"), id="neither"),
        pytest.param(asymmetric("RS256", JWT_PUBLIC_KEY=pem(RSA), JWT_JWKS_URL="http://127.0.0.1/keys"), id="both"),
        pytest.param(asymmetric("RS256", JWT_PUBLIC_KEY=EC_PEM), id="EC key for RS256"),
        pytest.param(asymmetric("ES256", JWT_PUBLIC_KEY=pem(RSA)), id="RSA key for ES256"),
        pytest.param(asymmetric("EdDSA", JWT_PUBLIC_KEY=EC_PEM), id="EC key for EdDSA"),
        pytest.param(asymmetric("RS256", JWT_PUBLIC_KEY="no key"), id="not a key"),
        pytest.param(asymmetric("RS256", JWT_PUBLIC_KEY=RSA_PRIVATE_PEM), id="private key"),
        pytest.param(asymmetric("ES256", JWT_PUBLIC_KEY=pem(ec.generate_private_key(ec.SECP384R1()))), id="P-384"),
    ],
)
def test_a_public_key_that_does_not_fit_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"^JWT_PUBLIC_KEY"):
        Settings.from_env(environ)


@pytest.mark.parametrize("command", [["-c", "import wsgi"], ["-m", "gunicorn", "-c", "deploy/gunicorn.conf.py"]])
def test_a_start_with_a_bad_setting_ends_with_a_line_for_it_and_no_traceback(command: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={"DATABASE_URL": "postgresql://localhost/x", "JWT_SECRET_KEY": "short"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "The service cannot start:",
        "JWT_SECRET_KEY: HS256 needs a secret of at least 32 bytes.",
    ]


def test_every_setting_is_in_the_table_with_its_default() -> None:
    variables = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", settings_table(), re.MULTILINE)

    assert dict(variables)["DATABASE_URL"] == "required"
    assert dict(variables)["API_READ_LIMIT"] == "`100/minute`"
    assert len(variables) == len(Settings.__dataclass_fields__)


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("k" * 32 + "\n")
    environ = {"DATABASE_URL": "postgresql://localhost/x", "JWT_SECRET_KEY_FILE": str(tmp_path / "secret")}

    assert Settings.from_env(environ).jwt_secret_key == "k" * 32


def test_a_secret_in_two_places_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("k" * 32)

    with pytest.raises(ConfigError, match=r"^JWT_SECRET_KEY: both"):
        Settings.from_env({**REQUIRED, "JWT_SECRET_KEY_FILE": str(tmp_path / "secret")})


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^DATABASE_URL_FILE: cannot be read"):
        Settings.from_env({"JWT_SECRET_KEY": "k" * 32, "DATABASE_URL_FILE": str(tmp_path / "none")})
