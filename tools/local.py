"""Local state, kept between runs in one ignored folder: the database's files and the secret that signs tokens."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt

from config import read_variable, validate_database_url, with_overrides
from snapshots import MIGRATIONS
from tools import postgres

STATE = Path(os.environ.get("STATE_DIR") or Path(__file__).parent.parent / ".local").absolute()
# The algorithm of the tokens that are minted here.
ALGORITHM = "HS256"
TOKEN_LIFETIME = timedelta(days=30)


@contextlib.contextmanager
def database(*, share: bool = True) -> Iterator[str]:
    """Yield DATABASE_URL or, if it is not set, the URL of the embedded server, which runs until the context ends.

    Raises ConfigError and tools.postgres.PostgresError.
    """
    if url := read_variable(os.environ, "DATABASE_URL"):
        validate_database_url(url)
        yield url
        return
    with embedded(STATE / "postgres", share=share) as url:
        yield url


@contextlib.contextmanager
def embedded(data: Path, *, share: bool = True) -> Iterator[str]:
    """Run the embedded server on this data directory and yield its URL, like `tools.postgres.running`.

    Until the first release the initial migration is edited in place, so a database created by an earlier version of it
    cannot be migrated: raises tools.postgres.PostgresError.
    """
    stamp = data.with_name(f"{data.name}.schema")
    schema = _initial_schema()
    with postgres.exclusive_lock(data.parent):
        if data.exists() and (not stamp.exists() or stamp.read_text() != schema):
            raise postgres.PostgresError(f"{data} was made by another version; delete it to start anew.")
        stamp.write_text(schema)
    with postgres.running(data, share=share) as url:
        yield url


def _initial_schema() -> str:
    """Return a digest of the initial migration without its comments."""
    lines = min(MIGRATIONS.glob("*.sql")).read_text().splitlines()
    code = [line for line in lines if line and not line.lstrip().startswith("--")]
    return hashlib.sha256("\n".join(code).encode()).hexdigest()


def secret() -> str:
    """Return JWT_SECRET_KEY or, if it is not set, a secret generated once and kept, so that old tokens stay valid."""
    if key := read_variable(os.environ, "JWT_SECRET_KEY"):
        return key
    file = STATE / "jwt-secret"
    with postgres.exclusive_lock(STATE):
        if not file.exists():
            # Renamed into place, so that an interrupted write leaves no partial secret.
            unfinished = STATE / "jwt-secret.new"
            unfinished.touch(mode=0o600)
            unfinished.write_text(secrets.token_urlsafe(48))
            unfinished.rename(file)
    return file.read_text()


def environment(database_url: str | None) -> dict[str, str]:
    """Return our environment with this DATABASE_URL and the local secret, for running the service."""
    overrides = {"DATABASE_URL": database_url} if database_url else {}
    if (read_variable(os.environ, "JWT_ALGORITHM") or ALGORITHM) == ALGORITHM:
        overrides["JWT_SECRET_KEY"] = secret()
    return with_overrides(os.environ, **overrides)


def token(subject: str, scope: str | None = None) -> str:
    """Return a bearer token (HS256) like those of the identity service."""
    now = datetime.now(UTC)
    claims: dict[str, object] = {"sub": subject, "iat": now, "exp": now + TOKEN_LIFETIME}
    issuer, audience = (read_variable(os.environ, name) for name in ("JWT_ISSUER", "JWT_AUDIENCE"))
    optional = {"scope": scope, "iss": issuer, "aud": audience}
    claims |= {claim: value for claim, value in optional.items() if value}
    return jwt.encode(claims, secret(), algorithm=ALGORITHM)
