"""Apps that verify tokens by asymmetric keys."""

import contextlib
from collections.abc import Iterator

from flask import Flask

from config import Settings
from tests.conftest import serving

ASYMMETRIC = ("RS256", "ES256", "EdDSA")


@contextlib.contextmanager
def verifying(settings: Settings, algorithm: str, **key: str) -> Iterator[Flask]:
    """Serve an app that verifies tokens by this algorithm and key."""
    environ = {"DATABASE_URL": settings.database_url, "JWT_ALGORITHM": algorithm, **key}
    with serving(Settings.from_env(environ)) as app:
        yield app
