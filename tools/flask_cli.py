"""`make flask CMD="..."`: run a command of the service on DATABASE_URL or the embedded database."""

import os
import signal
import subprocess
import sys

from config import ConfigError, read_variable, with_overrides
from tools import local
from tools.migrate import MigrationError, migrate
from tools.postgres import PostgresError


def main(arguments: list[str]) -> None:
    """Run a command and exit with its code. Ctrl-C is left to the command, which reports how far it got."""
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        with local.database() as url:
            if not read_variable(os.environ, "DATABASE_URL"):
                migrate(url)
            command = [sys.executable, "-m", "flask", "--app", "commands", *arguments]
            sys.exit(subprocess.run(command, env=with_overrides(os.environ, DATABASE_URL=url), check=False).returncode)
    except (ConfigError, MigrationError, PostgresError) as error:
        sys.exit(f"make flask: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
