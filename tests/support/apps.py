"""Apps as tests serve them."""

import contextlib
from collections.abc import Iterator

from flask import Flask

from app import close_app, create_app
from config import Settings

# The algorithms that have a public key.
ASYMMETRIC = ("RS256", "ES256", "EdDSA")


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[Flask]:
    """Serve an app with these settings, and close it afterwards."""
    app = create_app(settings)
    try:
        yield app
    finally:
        close_app(app)


@contextlib.contextmanager
def verifying(settings: Settings, algorithm: str, **key: str) -> Iterator[Flask]:
    """Serve an app that verifies tokens by this algorithm and key."""
    environ = {"DATABASE_URL": settings.database_url, "JWT_ALGORITHM": algorithm, **key}
    with serving(Settings.from_env(environ)) as app:
        yield app
