"""What a machine keeps between runs, in one ignored folder: the database's files and the secret for tokens."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt

from config import check_database_url, completed, given
from snapshots import MIGRATIONS
from tools import postgres

STATE = Path(os.environ.get("STATE_DIR") or Path(__file__).parent.parent / ".local").absolute()
TOKEN_LIFETIME = timedelta(days=30)


@contextlib.contextmanager
def database(*, share: bool = True) -> Iterator[str]:
    """The URL of the database of DATABASE_URL; without one, of the embedded server, run meanwhile or shared.

    Raises ConfigError and tools.postgres.PostgresError.
    """
    if url := given(os.environ, "DATABASE_URL"):
        check_database_url(url)
        yield url
        return
    with embedded(STATE / "postgres", share=share) as url:
        yield url


@contextlib.contextmanager
def embedded(data: Path, *, share: bool = True) -> Iterator[str]:
    """The URL of the embedded server on this data directory, as of `tools.postgres.running`.

    Until the first release the initial migration is edited in place, so a database that an earlier edition of it made
    cannot be brought up to date. Raises tools.postgres.PostgresError for one.
    """
    stamp = data.with_name(f"{data.name}.schema")
    schema = _initial_schema()
    with postgres.alone_in(data.parent):
        if data.exists() and (not stamp.exists() or stamp.read_text() != schema):
            raise postgres.PostgresError(f"{data} was made by another version; make clean removes it.")
        stamp.write_text(schema)
    with postgres.running(data, share=share) as url:
        yield url


def _initial_schema() -> str:
    """A digest of the initial migration without its comments."""
    lines = min(MIGRATIONS.glob("*.sql")).read_text().splitlines()
    code = [line for line in lines if line and not line.lstrip().startswith("--")]
    return hashlib.sha256("\n".join(code).encode()).hexdigest()


def secret() -> str:
    """JWT_SECRET_KEY; without one, a secret made once and kept, so that printed tokens go on working."""
    if key := given(os.environ, "JWT_SECRET_KEY"):
        return key
    kept = STATE / "jwt-secret"
    with postgres.alone_in(STATE):
        if not kept.exists():
            unfinished = STATE / "jwt-secret.new"
            unfinished.touch(mode=0o600)
            unfinished.write_text(secrets.token_urlsafe(48))
            unfinished.rename(kept)
    return kept.read_text()


def environment(database_url: str | None) -> dict[str, str]:
    """Our environment, completed for the service by what this machine keeps."""
    known = {"DATABASE_URL": database_url} if database_url else {}
    if (given(os.environ, "JWT_ALGORITHM") or "HS256") == "HS256":
        known["JWT_SECRET_KEY"] = secret()
    return completed(os.environ, **known)


def token(subject: str, scope: str | None = None) -> str:
    """A bearer token (HS256) as the identity service would issue it."""
    now = datetime.now(UTC)
    claims: dict[str, object] = {"sub": subject, "iat": now, "exp": now + TOKEN_LIFETIME}
    asked = {"scope": scope, "iss": given(os.environ, "JWT_ISSUER"), "aud": given(os.environ, "JWT_AUDIENCE")}
    claims |= {claim: value for claim, value in asked.items() if value}
    return jwt.encode(claims, secret(), algorithm="HS256")
