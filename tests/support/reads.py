"""Short forms of the responses to reads."""

from tests.support import Response


def changes(response: Response) -> list[tuple[str, str | None, float | None]]:
    """Return the balance, change_amount and change_percent of each snapshot."""
    return [(s["balance"], s["change_amount"], s["change_percent"]) for s in response.json["snapshots"]]
