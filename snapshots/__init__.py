"""The domain: reading and capturing balance snapshots."""

from pathlib import Path

__version__ = "0.1.0"

MIGRATIONS = Path(__file__).parent.parent / "sql" / "migrations"
PAGE = Path(__file__).parent / "page"

ABOUT = (
    "What every account was worth, and when: captured by sync jobs, read as the latest of each account, as a history"
    " for a chart, and as a list. Money is a string and exact: parse it as a decimal. Times are UTC. HEAD works as GET."
    " Every error is a problem (RFC 9457)."
)

PROBLEM_DESCRIPTIONS = {
    403: "The token is valid but does not allow this: the account is another user's, or a scope is missing.",
    404: "No snapshot of this account is stored.",
    409: "The batch contradicts what is stored, or itself. `errors` names the items, and nothing was stored. Find out"
    " which values are right: sending the batch again does not help.",
}
