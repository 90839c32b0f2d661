"""Look-ups in the contract and its page."""

import json
import re
from collections.abc import Iterator
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

Json = dict[str, Any]

LATEST = "/balance-snapshots"
PORTFOLIO = "/balance-history"
HISTORY = "/accounts/{account_id}/balance-history"
HISTORY_CSV = f"{HISTORY}.csv"
RECENT = "/accounts/{account_id}/balance-snapshots"
AUDIT = "/accounts/{account_id}/corrections"
CORRECT = "/balance-snapshots/corrections"
READS = [LATEST, PORTFOLIO, HISTORY, HISTORY_CSV, RECENT, AUDIT]


def served(app: Flask) -> Json:
    """Return the contract that an app serves."""
    document: Json = json.loads(app.test_client().get("/openapi.json").text)
    return document


def responses(contract: Json, path: str, method: str = "get") -> Json:
    """Return the responses of an operation by status."""
    found: Json = contract["paths"][path][method]["responses"]
    return found


def operations(contract: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield path, method and content of each operation."""
    for path, item in contract["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def all_responses(contract: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield path, status and content of each response of each operation."""
    for path, _, operation in operations(contract):
        for status, response in operation["responses"].items():
            yield path, status, response


def docs_assets(client: FlaskClient) -> dict[str, str]:
    """Return the URLs that /docs loads, by file name."""
    return {url.rpartition("/")[2]: url for url in re.findall(r'(?:src|href)="([^"]+)"', client.get("/docs").text)}
