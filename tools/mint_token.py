"""Print a bearer token: python -m tools.mint_token SUBJECT [SCOPE]."""

import os
import sys

from config import read_variable
from schemas.fields import UUID
from snapshots import capture, corrections
from tools import local

_ANY_SUBJECT = {capture.SCOPE, corrections.SCOPE}


def main(arguments: list[str]) -> None:
    if not 1 <= len(arguments) <= 2 or not arguments[0]:
        sys.exit("Usage: make token SUB=<user id> [SCOPE=balance-snapshots:write]")
    subject, scope = (arguments + [""])[:2]
    # Rules 15 and 16.
    if not UUID.fullmatch(subject) and not _ANY_SUBJECT & set(scope.split(" ")):
        sys.exit(
            f"SUB={subject} is not the id of a user, a UUID like d3300000-0000-4000-8000-000000000001: reads would"
            f" refuse the token. A job may have any name with SCOPE={capture.SCOPE} or SCOPE={corrections.SCOPE}."
        )
    algorithm = read_variable(os.environ, "JWT_ALGORITHM") or local.ALGORITHM
    if algorithm != local.ALGORITHM:
        sys.exit(
            f"With JWT_ALGORITHM={algorithm} the service would refuse the token, which is signed by {local.ALGORITHM}."
        )
    print(local.token(subject, scope))


if __name__ == "__main__":
    main(sys.argv[1:])
