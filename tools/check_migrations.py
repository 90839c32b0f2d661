"""Lint the migrations: none may block the reads or writes of the running service.

python -m tools.check_migrations FILE...
"""

import re
import subprocess
import sys
from pathlib import Path

_SQUAWK = [str(Path(sys.executable).parent / "squawk"), "--pg-version", "15"]
# dbmate sends a file with transaction:false as one query, and PostgreSQL runs the statements of one query in one
# transaction. So the file can hold only one statement, and none to set timeouts. IF NOT EXISTS would accept the invalid
# index of a failed build.
_OUTSIDE_A_TRANSACTION = ["--exclude", "prefer-robust-stmts,require-lock-timeout,require-statement-timeout"]


def check(paths: list[Path]) -> bool:
    """Print the problems of these migrations; return whether there are none."""
    is_valid = True
    for path in paths:
        text = path.read_text()
        has_transaction = not re.search(r"^-- migrate:up.*\btransaction:false\b", text, re.MULTILINE)
        if "squawk-ignore-file" in text:
            print(f"{path}: squawk-ignore-file disables every rule; ignore one rule for one statement", flush=True)
            is_valid = False
        options = ["--assume-in-transaction"] if has_transaction else _OUTSIDE_A_TRANSACTION
        done = subprocess.run([*_SQUAWK, *options, str(path)], check=False)
        is_valid &= done.returncode == 0
    return is_valid


if __name__ == "__main__":
    sys.exit(not check([Path(name) for name in sys.argv[1:]]))
