"""`make run`: run the service on a migrated database until Ctrl-C; print a token and a curl line per endpoint."""

import os
import socket
import sys
from pathlib import Path

import psycopg

from config import ConfigError, Settings, read_variable
from snapshots import capture, corrections
from snapshots.batch import ContradictionError
from tools import demo, local, processes
from tools.migrate import MigrationError, migrate
from tools.postgres import PostgresError

ROOT = Path(__file__).parent.parent

_WELCOME = """
The demo user's accounts, in a browser:
{root}/#token={token}

A token for the demo user, who may also capture and correct:

{token}

The newest snapshot of each account:
curl -H "Authorization: Bearer {token}" "{base}/balance-snapshots"

A week of an account's history:
curl -H "Authorization: Bearer {token}" "{base}/accounts/{account}/balance-history?start_date=2025-12-24T00:00:00Z&end_date=2025-12-31T23:59:59Z"

An account's newest snapshots:
curl -H "Authorization: Bearer {token}" "{base}/accounts/{account}/balance-snapshots?limit=5"

Capture a snapshot (if repeated, it is still stored once):
curl -H "Authorization: Bearer {token}" -H "Content-Type: application/json" "{base}/balance-snapshots" -d '{batch}'

Try all of it in a browser; enter the token under "Authorize": {root}/docs

Ctrl-C stops the service.
"""
_BATCH = (
    '{{"snapshots": [{{"user_id": "{user}", "account_id": "{account}", "balance": "4321.09", "currency": "USD",'
    ' "source": "manual_sync", "captured_at": "2026-01-01T09:30:00Z"}}]}}'
)


def main() -> None:
    """Serve until a signal arrives; stop everything that was started before returning."""
    processes.interrupt_on_signals()
    try:
        sys.exit(_run())
    except KeyboardInterrupt:
        print("Stopped.")
    except ContradictionError:
        sys.exit(
            f"make run: {local.STATE / 'postgres'} holds the demo portfolio of another version; delete it to start anew."
        )
    except (ConfigError, MigrationError, PostgresError, psycopg.Error) as error:
        sys.exit(f"make run: {error}")


def _run() -> int:
    is_embedded = not read_variable(os.environ, "DATABASE_URL")
    # Invalid settings and a port in use are reported before anything is started.
    settings = Settings.from_env(local.environment("postgresql://") if is_embedded else local.environment(None))
    _check_port(settings)
    with local.database(share=False) as url:
        print(migrate(url), flush=True)
        if is_embedded:
            with psycopg.connect(url) as connection:
                print(f"Demo portfolio: {demo.load(connection)} new snapshots.", flush=True)
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
            " stop the process that uses this port, or run PORT=8001 make run"
        )


def _welcome(settings: Settings) -> str:
    return _WELCOME.format(
        token=local.token(demo.USER, f"{capture.SCOPE} {corrections.SCOPE}"),
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


if __name__ == "__main__":
    main()
