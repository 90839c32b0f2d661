"""The body of a capture or a correction, compressed by gzip (rule 25)."""

import gzip
import json
import os
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from service.compression import MAX_MEMBERS
from tests.support import Caller, Response, captured, correction, usd
from tests.support.captures import assert_refused, send

MIB = 1024 * 1024
GZIP = {"Content-Encoding": "gzip"}


def batch(item: dict[str, Any]) -> bytes:
    return json.dumps({"snapshots": [item]}).encode()


def send_compressed(sync_job: Caller, body: bytes, coding: str = "gzip") -> Response:
    return send(sync_job, body, headers={"Content-Encoding": coding})


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip", " gzip "])
def test_a_gzipped_body_is_accepted(coding: str, sync_job: Caller, item: dict[str, Any]) -> None:
    assert send_compressed(sync_job, gzip.compress(batch(item)), coding).status_code == 201


@pytest.mark.parametrize("coding", ["identity", ""])
def test_a_body_that_is_declared_uncompressed_is_accepted(coding: str, sync_job: Caller, item: dict[str, Any]) -> None:
    assert send_compressed(sync_job, batch(item), coding).status_code == 201


def test_a_correction_may_be_compressed_too(sync_job: Caller, corrector: Caller, item: dict[str, Any]) -> None:
    [stored] = captured(sync_job, item)
    body = json.dumps({"corrections": [correction(item, stored["id"], usd("5.00"))]}).encode()
    headers = {"Content-Type": "application/json", **GZIP}

    response = corrector.send("POST", "/balance-snapshots/corrections", data=gzip.compress(body), headers=headers)

    assert response.status_code == 200, response.text


def test_several_gzip_members_form_one_body(sync_job: Caller, item: dict[str, Any]) -> None:
    body = batch(item)
    parts = [body[start : start + 20] for start in range(0, len(body), 20)]
    assert 1 < len(parts) < MAX_MEMBERS

    assert send_compressed(sync_job, b"".join(map(gzip.compress, parts))).status_code == 201


def with_flipped_byte(packed: bytes, position: int) -> bytes:
    return packed[:position] + bytes([packed[position] ^ 0xFF]) + packed[position + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda body: body, id="not compressed"),
        pytest.param(lambda _body: b"", id="empty"),
        pytest.param(lambda _body: gzip.compress(b""), id="compressed nothing"),
        pytest.param(zlib.compress, id="zlib"),
        pytest.param(lambda body: gzip.compress(body)[:5], id="cut in the header"),
        pytest.param(lambda body: gzip.compress(body)[:-20], id="cut in the data"),
        pytest.param(lambda body: gzip.compress(body)[:-1], id="cut in the length"),
        pytest.param(lambda body: with_flipped_byte(gzip.compress(body), -8), id="wrong checksum"),
        pytest.param(lambda body: with_flipped_byte(gzip.compress(body), -1), id="wrong length"),
        pytest.param(lambda body: with_flipped_byte(gzip.compress(body), 30), id="damaged"),
        pytest.param(lambda body: gzip.compress(body) + b"\0", id="trailing zero"),
        pytest.param(lambda body: gzip.compress(body) + b"garbage", id="trailing garbage"),
        pytest.param(lambda body: gzip.compress(body) + gzip.compress(b" ")[:-1], id="second member cut"),
        pytest.param(lambda body: gzip.compress(body) + gzip.compress(body), id="two documents"),
        pytest.param(lambda body: gzip.compress(gzip.compress(body)), id="compressed twice"),
        pytest.param(lambda body: gzip.compress(body) + gzip.compress(b"") * MAX_MEMBERS, id="too many members"),
        pytest.param(lambda _body: gzip.compress(b"{"), id="compressed nonsense"),
    ],
)
def test_a_body_that_is_not_complete_gzip_of_json_is_a_400(
    damage: Callable[[bytes], bytes], sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    assert_refused(send_compressed(sync_job, damage(batch(item))), 400, user)


@pytest.mark.parametrize(
    "coding", ["deflate", "br", "zstd", "gzip, gzip", "gzip, identity", "compress", "x", "gzip;q=1"]
)
def test_any_other_content_coding_is_a_415_that_names_gzip(
    coding: str, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    response = send_compressed(sync_job, gzip.compress(batch(item)), coding)

    assert_refused(response, 415, user)
    assert response.headers["Accept-Encoding"] == "gzip"


def test_a_media_type_other_than_json_is_a_415_that_names_no_coding(sync_job: Caller, item: dict[str, Any]) -> None:
    # RFC 9110, section 12.5.3.
    response = send(sync_job, gzip.compress(batch(item)), content_type="text/plain", headers=GZIP)

    assert response.status_code == 415
    assert "Accept-Encoding" not in response.headers


def test_a_body_may_decompress_to_1_mib(sync_job: Caller, item: dict[str, Any]) -> None:
    assert send_compressed(sync_job, gzip.compress(batch(item).ljust(MIB))).status_code == 201


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(lambda body: gzip.compress(body.ljust(MIB + 1)), id="in one member"),
        pytest.param(lambda body: gzip.compress(body) + gzip.compress(b" " * (MIB + 1 - len(body))), id="in two"),
        pytest.param(lambda body: gzip.compress(body.ljust(MIB)) + gzip.compress(b" "), id="in a last byte"),
        pytest.param(lambda body: gzip.compress(body.ljust(MIB + 1)) + b"garbage", id="before garbage"),
    ],
)
def test_a_body_that_decompresses_to_more_than_1_mib_is_a_413(
    pack: Callable[[bytes], bytes], sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    response = send_compressed(sync_job, pack(batch(item)))

    assert_refused(response, 413, user)
    assert response.json["detail"] == "The body has more than 1,048,576 bytes, as sent or decompressed."


def test_a_compressed_body_of_more_than_1_mib_is_a_413_even_if_it_decompresses_to_1_mib(
    sync_job: Caller, user: Caller
) -> None:
    assert_refused(send_compressed(sync_job, gzip.compress(os.urandom(MIB), 0)), 413, user)


def test_a_decompression_bomb_is_refused_without_inflating_it(sync_job: Caller, user: Caller) -> None:
    bomb = gzip.compress(bytes(200 * MIB), 1)
    assert len(bomb) < MIB
    tracemalloc.start()
    try:
        response = send_compressed(sync_job, bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert_refused(response, 413, user)
    assert peak < 10 * MIB


def test_a_fault_in_a_compressed_body_is_named_by_its_pointer(sync_job: Caller, item: dict[str, Any]) -> None:
    response = send_compressed(sync_job, gzip.compress(batch(item | {"balance": "x"})))

    assert [error["field"] for error in response.json["errors"]] == ["/snapshots/0/balance"]
