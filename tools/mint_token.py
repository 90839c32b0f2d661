"""Print a bearer token: python -m tools.mint_token SUBJECT [SCOPE]."""

import sys

from tools import local


def main(arguments: list[str]) -> None:
    if not 1 <= len(arguments) <= 2 or not arguments[0]:
        sys.exit("Usage: make token SUB=<user id> [SCOPE=balance-snapshots:write]")
    print(local.token(*arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
