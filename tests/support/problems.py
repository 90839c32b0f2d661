"""The problem documents of responses."""

import json
from typing import Any

from werkzeug.test import TestResponse

BASE = "https://api.dashtam.com/errors/"


KEYS = ["type", "title", "status", "detail", "instance", "trace_id"]


def problem(response: TestResponse, status: int, title: str, keys: list[str] = KEYS) -> dict[str, Any]:
    """Return the body of a response that must be a problem, after checking what all problems share."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    assert "Location" not in response.headers
    body: dict[str, Any] = json.loads(response.text)
    assert list(body) == keys
    assert (body["title"], body["status"]) == (title, status)
    assert body["type"] == BASE + title.lower().replace(" ", "_")
    assert isinstance(body["detail"], str)
    assert body["detail"]
    assert body["trace_id"] == response.headers["X-Trace-Id"]
    return body
