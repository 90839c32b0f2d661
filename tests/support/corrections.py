"""Corrections, their outcomes and their list."""

from urllib.parse import parse_qs, urlsplit

from tests.support import Caller, Response, faults


def outcomes(response: Response) -> list[tuple[str, str, str | None]]:
    """Return status, id and replacement of each correction of a batch, which must succeed."""
    assert response.status_code == 200, response.text
    return [(each["status"], each["id"], each["replaced_by"]) for each in response.json["corrections"]]


def replacement_of(response: Response) -> str:
    """Return the id of the replacement after a batch of one correction, which must succeed."""
    [(_, _, replaced_by)] = outcomes(response)
    assert replaced_by is not None
    return replaced_by


def balances(user: Caller, account_id: str) -> list[str]:
    """Return the balances of an account's current snapshots, newest first."""
    return [each["balance"] for each in user.recent(account_id).json["snapshots"]]


def conflicts(response: Response) -> dict[str, list[str]]:
    """Return the messages of a response, which must be a conflict, by field."""
    assert (response.status_code, response.content_type) == (409, "application/problem+json"), response.text
    return faults(response)


def next_page(user: Caller, response: Response) -> Response | None:
    """Return the page that follows in a list, or None after the last one."""
    if "Link" not in response.headers:
        return None
    target, relation = response.headers["Link"].split("; ")
    assert relation == 'rel="next"'
    url = urlsplit(target.strip("<>"))
    return user.get(url.path.removeprefix("/api/v1"), **{k: v[0] for k, v in parse_qs(url.query).items()})
