"""The body of a capture: strict JSON, its media type and its size (rule 25).

Compressed bodies are in tests/api/test_compressed_body.py.
"""

import json
from typing import Any

import pytest

from tests.support import Caller
from tests.support.captures import assert_refused, send

MIB = 1024 * 1024


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "{",
        '{"snapshots": [%s]',
        '{"snapshots": [%s]} {}',
        '{"snapshots": [%s],}',
        "{'snapshots': []}",
        '\ufeff{"snapshots": [%s]}',
        '{"snapshots": [%s], "snapshots": [%s]}',
        '{"snapshots": [{"balance": "1", "balance": "1"}]}',
        '{"snapshots": [%s], "x": {"y": 1, "\\u0079": 1}}',
        '{"snapshots": NaN}',
        '{"snapshots": [Infinity]}',
        '{"snapshots": [-Infinity]}',
        '{"snapshots": ["\t"]}',
        '{"snapshots": [01]}',
        '{"snapshots": ' + "[" * 100_000,
        '{"snapshots": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        b'{"snapshots": ["\xff"]}',
        b'{"snapshots": ["\xed\xa0\x80"]}',
        '{"snapshots": []}'.encode("utf-16"),
    ],
    ids=lambda body: ascii(body)[:45],
)
def test_a_body_that_is_not_strict_json_in_utf_8_is_a_400(
    body: str | bytes, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    if isinstance(body, str):
        body = body.replace("%s", json.dumps(item))

    response = send(sync_job, body)

    assert_refused(response, 400, user)
    assert "errors" not in response.json  # Nothing was read that a pointer could point into.


@pytest.mark.parametrize("digits", [400, 100_000])
def test_a_number_of_many_digits_is_a_400(digits: int, sync_job: Caller) -> None:
    assert send(sync_job, f'{{"snapshots": [{{"balance": {"9" * digits}}}]}}').status_code == 400


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_a_content_type_of_json_is_accepted(content_type: str, sync_job: Caller, item: dict[str, Any]) -> None:
    body = json.dumps({"snapshots": [item]})

    assert send(sync_job, body, content_type=content_type).status_code == 201


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonx",
    ],
)
def test_any_other_content_type_is_a_415(
    content_type: str | None, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    body = json.dumps({"snapshots": [item]})

    assert_refused(send(sync_job, body, content_type=content_type), 415, user)


# A body without a Content-Length needs a real server: tests/system/test_stack_requests.py.
def test_a_body_of_1_mib_is_accepted(sync_job: Caller, item: dict[str, Any]) -> None:
    body = json.dumps({"snapshots": [item]}).ljust(MIB)

    assert send(sync_job, body).status_code == 201


def test_a_body_of_more_than_1_mib_is_a_413(sync_job: Caller, user: Caller, item: dict[str, Any]) -> None:
    body = json.dumps({"snapshots": [item]}).ljust(MIB + 1)

    assert_refused(send(sync_job, body), 413, user)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [("x" * (MIB + 1), "text/plain", 415), ("x" * (MIB + 1), "application/json", 413), ("x", "application/json", 400)],
    ids=["media type", "size", "syntax"],
)
def test_the_media_type_is_checked_before_the_size_and_the_size_before_the_syntax(
    body: str, content_type: str, status: int, sync_job: Caller
) -> None:
    assert send(sync_job, body, content_type=content_type).status_code == status
