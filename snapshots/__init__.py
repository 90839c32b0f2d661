"""The domain: reading, capturing and correcting balance snapshots."""

from pathlib import Path

from schemas import examples

__version__ = "0.1.0"

MIGRATIONS = Path(__file__).parent.parent / "sql" / "migrations"
PAGE = Path(__file__).parent / "page"

API_INFO = {
    "title": "Balance Snapshots",
    "version": __version__,
    "description": "The balances of accounts over time. Sync jobs capture snapshots; clients read the latest of each"
    " account, a history for a chart, or a list. Amounts are exact and sent as strings: parse them as decimals."
    " Times are in UTC. HEAD works like GET. Every error is a problem document (RFC 9457). Later versions may add"
    " members to responses: ignore those that you do not know.",
    "contact": {"name": "Dashtam", "url": "https://api.dashtam.com"},
}
# The groups of operations, in the order in which the documentation shows them.
TAGS = {
    "Balances": "Read the balances of accounts and of the portfolio.",
    "Capture": "Store snapshots.",
    "Corrections": "Replace or withdraw wrong snapshots, and list an account's corrections.",
}
PATH_PARAMETERS = {"account_id": {"description": "Id of the account.", "example": examples.DEMO_ACCOUNT_ID}}
AUTHORIZATION_HELP = (
    "A JWT from your identity service: the user's UUID as `sub` to read, `balance-snapshots:write` in `scope` to"
    " capture, `balance-snapshots:correct` to correct. On your own machine `make run` prints a token that can do all of"
    " this, and `make token SUB=<user id> SCOPE=<scope>` prints others."
)

PROBLEM_DESCRIPTIONS = {
    403: "The token is valid but does not allow this: the account is another user's, or a scope is missing.",
    404: "There is no such account: no snapshot of it has been captured.",
    409: "The batch contradicts stored snapshots, or itself. `errors` names the items, and nothing was stored. Find out"
    " which values are right: sending the same batch again does not help.",
}
