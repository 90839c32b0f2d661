"""`make run`: a database, migrated; a token and a curl line for each endpoint; the service, until Ctrl-C."""

import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import psycopg

from config import ConfigError, Settings, read_variable
from snapshots.batch import ContradictionError
from snapshots.capture import SCOPE
from tools import demo, local, processes
from tools.migrate import MigrationError, migrate
from tools.postgres import PostgresError

ROOT = Path(__file__).parent.parent

_WELCOME = """
A token for the demo user, who may also capture:

{token}

The newest snapshot of each account:
curl -H "Authorization: Bearer {token}" "{base}/balance-snapshots"

A week of an account's history:
curl -H "Authorization: Bearer {token}" "{base}/accounts/{account}/balance-history?start_date=2025-12-24T00:00:00Z&end_date=2025-12-31T23:59:59Z"

An account's newest snapshots:
curl -H "Authorization: Bearer {token}" "{base}/accounts/{account}/balance-snapshots?limit=5"

Capture one (again: it is stored once):
curl -H "Authorization: Bearer {token}" -H "Content-Type: application/json" "{base}/balance-snapshots" -d '{batch}'

All of it to try in a browser, with the token behind "Authorize": {root}/docs

Ctrl-C ends the service.
"""
_BATCH = (
    '{{"snapshots": [{{"user_id": "{user}", "account_id": "{account}", "balance": "4321.09", "currency": "USD",'
    ' "source": "manual_sync", "captured_at": "2026-01-01T09:30:00Z"}}]}}'
)


def main() -> None:
    """Serves until a signal ends it. Whatever it started has ended when it returns."""
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _interrupt)
    try:
        sys.exit(_run())
    except KeyboardInterrupt:
        print("Ended.")
    except ContradictionError:
        sys.exit(f"make run: {local.STATE} holds the demo portfolio of another version; make clean removes it")
    except (ConfigError, MigrationError, PostgresError, psycopg.Error) as error:
        sys.exit(f"make run: {error}")


def _run() -> int:
    is_ours = not read_variable(os.environ, "DATABASE_URL")
    # Faults in the settings and a taken port show before anything is started.
    settings = Settings.from_env(local.environment("postgresql://") if is_ours else local.environment(None))
    _check_port(settings)
    with local.database(share=False) as url:
        print(migrate(url), flush=True)
        if is_ours:
            with psycopg.connect(url) as connection:
                print(f"The demo portfolio: {demo.load(connection)} new snapshots.", flush=True)
        if settings.jwt_algorithm == "HS256":
            print(_welcome(settings), flush=True)
        return _serve(local.environment(url))


def _check_port(settings: Settings) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        sys.exit(
            f"make run: cannot listen on {settings.address} ({error.strerror});"
            " end what listens there, or say PORT=8001 make run"
        )


def _welcome(settings: Settings) -> str:
    return _WELCOME.format(
        token=local.token(demo.USER, SCOPE),
        root=f"http://{settings.address}",
        base=f"http://{settings.address}/api/v1",
        account=demo.CHECKING,
        batch=_BATCH.format(user=demo.USER, account=demo.CHECKING),
    )


def _serve(environment: dict[str, str]) -> int:
    server = processes.start(
        [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "deploy" / "gunicorn.conf.py")],
        cwd=ROOT,
        env=environment,
    )
    try:
        return server.wait()
    finally:
        processes.end(server)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
