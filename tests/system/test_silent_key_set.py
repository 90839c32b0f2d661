"""Tokens of known keys while the key set's endpoint is silent and tokens with made-up key ids come in."""

import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from service.jwks import COOLDOWN_SECONDS
from tests.support import API, until
from tests.support.gunicorn_server import Gunicorn, serving
from tests.support.key_publisher import Publisher, jwk, published

# If each made-up key id held a thread for two seconds, nearly every read would wait that long.
MAX_MEDIAN_SECONDS = 1.0
FLOOD_SECONDS = 1.0
# Enough for the median to show it, whatever was read before the flood took effect.
MIN_READS = 10


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher()
    publisher.publish(jwk("ES256", "first"))
    yield publisher
    publisher.close()


@pytest.fixture
def gunicorn(database_url: str, publisher: Publisher, tmp_path: Path) -> Iterator[Gunicorn]:
    """A gunicorn with one worker, which takes its keys from the publisher."""
    settings = {"DATABASE_URL": database_url, "JWT_ALGORITHM": "ES256", "JWT_JWKS_URL": publisher.url}
    with serving(tmp_path, **settings, API_READ_LIMIT="1000000/minute") as gunicorn:
        yield gunicorn


def read(gunicorn: Gunicorn, bearer: str) -> int:
    head = f"GET {API}/balance-snapshots HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n"
    return gunicorn.send(f"{head}Connection: close\r\n\r\n".encode()).status


def test_made_up_key_ids_do_not_delay_tokens_of_known_keys(gunicorn: Gunicorn, publisher: Publisher) -> None:
    known = published("first")
    # A busy machine may take longer to fetch the keys than the service waits for them.
    until(lambda: read(gunicorn, known) == 200)
    publisher.responding.clear()
    time.sleep(COOLDOWN_SECONDS)
    ends = threading.Event()

    def flood() -> set[int]:
        statuses = set()
        while not ends.is_set():
            statuses.add(read(gunicorn, published("first", kid=str(uuid4()))))
        return statuses

    durations: list[float] = []
    with ThreadPoolExecutor(6) as attackers:
        floods = [attackers.submit(flood) for _ in range(6)]
        try:
            deadline = time.monotonic() + FLOOD_SECONDS
            while time.monotonic() < deadline or len(durations) < MIN_READS:
                started = time.monotonic()
                assert read(gunicorn, known) == 200
                durations.append(time.monotonic() - started)
        finally:
            ends.set()

    assert {status for each in floods for status in each.result()} == {401}
    assert publisher.fetches > 1
    assert statistics.median(durations) < MAX_MEDIAN_SECONDS
