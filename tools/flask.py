"""`make flask CMD="snapshots export --user ..."`: a command of the service, on the database of `make run`.

Its settings are completed by what this machine keeps, as those of `make run` are.
"""

import os
import signal
import subprocess
import sys

from config import ConfigError, given
from tools import local
from tools.migrate import MigrationError, migrate
from tools.postgres import PostgresError


def main(arguments: list[str]) -> None:
    """Ends as the command does. Ctrl-C is for the command, which says what became of its work."""
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        with local.database() as url:
            if not given(os.environ, "DATABASE_URL"):
                migrate(url)
            command = [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]
            sys.exit(subprocess.run(command, env=local.environment(url), check=False).returncode)
    except (ConfigError, MigrationError, PostgresError) as error:
        sys.exit(f"make flask: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
