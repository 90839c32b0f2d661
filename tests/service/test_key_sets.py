"""Tokens that are verified by a published key set (rule 15)."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from structlog.testing import capture_logs

from config import Settings
from service import jwks
from service.jwks import KeySet
from tests.support import PATIENCE_SECONDS, assert_unauthorized, claims, private_key, read, token, until
from tests.support.apps import ASYMMETRIC, verifying
from tests.support.key_publisher import Publisher, jwk, published

# An age past half the lifespan, from which on a key set is refreshed.
EARLY_REFRESH_SECONDS = 0.6 * jwks.LIFESPAN_SECONDS


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher()
    publisher.publish(jwk("ES256", "first"))
    yield publisher
    publisher.close()


@pytest.fixture(autouse=True)
def generous_fetch_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer for a key set than in production, because a busy machine may delay it."""
    monkeypatch.setattr(jwks, "TIMEOUT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(jwks, "UNKNOWN_KEY_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def short_timeout(generous_fetch_timeouts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "TIMEOUT_SECONDS", 0.1)


class Clock:
    """A clock that stands still until it is set; it determines the age of a key set."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(jwks, "time", clock)
    return clock


@pytest.fixture
def by_key_set(settings: Settings, publisher: Publisher) -> Iterator[Flask]:
    with verifying(settings, "ES256", JWT_JWKS_URL=publisher.url) as app:
        yield app


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_token_of_a_published_key_works(settings: Settings, publisher: Publisher, algorithm: str) -> None:
    publisher.publish(jwk(algorithm, "second"), jwk(algorithm, "first"))
    with verifying(settings, algorithm, JWT_JWKS_URL=publisher.url) as app:
        assert read(app, published("first", algorithm)).status_code == 200
        assert read(app, published("second", algorithm)).status_code == 200


@pytest.mark.parametrize(
    "bearer",
    [
        pytest.param(lambda: token(claims(), key=private_key("ES256"), algorithm="ES256"), id="no kid"),
        pytest.param(lambda: published("second"), id="unknown kid"),
        pytest.param(lambda: published("second", kid="first"), id="another key's kid"),
        pytest.param(lambda: published("first", kid=""), id="empty kid"),
        pytest.param(lambda: token(claims(), kid="first"), id="HS256"),
        pytest.param(lambda: published("first", "EdDSA"), id="another algorithm"),
    ],
)
def test_a_token_that_no_published_key_signed_is_refused(by_key_set: Flask, bearer: Callable[[], str]) -> None:
    assert_unauthorized(read(by_key_set, bearer()))


@pytest.mark.parametrize(
    "unfit", [{"use": "enc"}, {"kid": None}], ids=["published for encryption", "published without an id"]
)
def test_a_published_key_that_is_not_for_signatures_is_not_used(
    by_key_set: Flask, publisher: Publisher, unfit: dict[str, Any]
) -> None:
    publisher.publish(jwk("ES256", "first", **unfit), jwk("ES256", "second"))
    assert_unauthorized(read(by_key_set, published("first")))
    assert read(by_key_set, published("second")).status_code == 200


def test_made_up_key_ids_do_not_cost_a_fetch_each(clock: Clock, by_key_set: Flask, publisher: Publisher) -> None:
    for _ in range(10):
        assert_unauthorized(read(by_key_set, published("first", kid=str(uuid4()))))
    assert read(by_key_set, published("first")).status_code == 200
    assert publisher.fetches == 1


@pytest.mark.usefixtures("short_timeout")
@pytest.mark.parametrize("trouble", ["down", "500", "hangs", "drips", "garbage", "no object", "no keys", "redirect"])
def test_a_token_is_a_401_while_the_key_set_cannot_be_fetched(
    by_key_set: Flask, publisher: Publisher, trouble: str
) -> None:
    misbehave(publisher, trouble)
    assert_unauthorized(read(by_key_set, published("first")))


def misbehave(publisher: Publisher, trouble: str) -> None:
    match trouble:
        case "down":
            publisher.close()
        case "500":
            publisher.status = 500
        case "redirect":
            publisher.status = 302
        case "hangs":
            publisher.responding.clear()
        case "drips":
            publisher.drips = True
        case "garbage":
            publisher.body = b"\xff<html>"
        case "no object":
            publisher.body = b"[1]"
        case "no keys":
            publisher.body = b"{}"


def test_a_key_once_fetched_works_while_its_publisher_is_down(by_key_set: Flask, publisher: Publisher) -> None:
    assert read(by_key_set, published("first")).status_code == 200
    publisher.close()
    assert read(by_key_set, published("first")).status_code == 200


def test_a_token_that_was_verified_before_is_refused_once_its_key_is_withdrawn(
    clock: Clock, by_key_set: Flask, publisher: Publisher
) -> None:
    bearer = published("first")
    assert [read(by_key_set, bearer).status_code for _ in range(2)] == [200, 200]
    publisher.publish(jwk("ES256", "second"))
    clock.now += EARLY_REFRESH_SECONDS
    until(lambda: read(by_key_set, bearer).status_code == 401)
    assert read(by_key_set, published("second")).status_code == 200


def test_a_token_that_was_verified_before_is_refused_once_its_key_set_is_too_old(
    clock: Clock, by_key_set: Flask, publisher: Publisher
) -> None:
    bearer = published("first")
    assert read(by_key_set, bearer).status_code == 200
    publisher.close()
    clock.now += jwks.LIFESPAN_SECONDS
    assert_unauthorized(read(by_key_set, bearer))


def has(keys: KeySet, name: str) -> bool:
    try:
        return bool(keys.key(name))
    except KeyError:
        return False


def test_a_key_published_later_is_picked_up(publisher: Publisher) -> None:
    keys = KeySet(publisher.url, "ES256", cooldown=0)
    assert not has(keys, "second")
    publisher.publish(jwk("ES256", "first"), jwk("ES256", "second"))
    until(lambda: has(keys, "second"))


def test_a_key_published_later_is_picked_up_after_the_cooldown(clock: Clock, publisher: Publisher) -> None:
    keys = KeySet(publisher.url, "ES256")
    assert has(keys, "first")
    publisher.publish(jwk("ES256", "second"))
    assert not has(keys, "second")
    clock.now += jwks.COOLDOWN_SECONDS
    assert has(keys, "second")


def test_a_new_key_is_accepted_while_made_up_ids_are_sent(publisher: Publisher) -> None:
    keys = KeySet(publisher.url, "ES256", cooldown=0.05)
    assert has(keys, "first")
    publisher.publish(jwk("ES256", "second"))

    def is_accepted() -> bool:
        return has(keys, str(uuid4())) or has(keys, "second")

    until(is_accepted)


def test_unknown_key_ids_leave_threads_for_known_keys(publisher: Publisher) -> None:
    keys = KeySet(publisher.url, "ES256", cooldown=0)
    assert has(keys, "first")
    publisher.responding.clear()
    with ThreadPoolExecutor(2) as threads:
        made_up = [threads.submit(has, keys, str(uuid4())) for _ in range(20)]
        is_known = threads.submit(has, keys, "first").result(PATIENCE_SECONDS / 2)
        publisher.responding.set()
        assert is_known
        assert not any(lookup.result() for lookup in made_up)


def test_nobody_waits_for_an_unknown_key_after_a_failed_fetch(publisher: Publisher) -> None:
    keys = KeySet(publisher.url, "ES256", cooldown=0)
    assert has(keys, "first")
    publisher.status = 500
    assert not has(keys, "second")
    publisher.responding.clear()
    with ThreadPoolExecutor(1) as thread:
        assert not thread.submit(has, keys, "second").result(PATIENCE_SECONDS / 2)
        publisher.responding.set()


def test_a_withdrawn_key_stops_working(clock: Clock, publisher: Publisher) -> None:
    keys = KeySet(publisher.url, "ES256")
    assert has(keys, "first")
    publisher.publish(jwk("ES256", "second"))
    clock.now += jwks.LIFESPAN_SECONDS
    assert not has(keys, "first")
    assert has(keys, "second")


def test_the_only_key_stops_working_when_it_is_withdrawn(clock: Clock, publisher: Publisher) -> None:
    keys = KeySet(publisher.url, "ES256")
    assert has(keys, "first")
    publisher.publish()
    clock.now += jwks.LIFESPAN_SECONDS
    assert not has(keys, "first")


def test_a_key_works_until_the_lifespan_ends_although_a_refresh_failed(clock: Clock, publisher: Publisher) -> None:
    keys = KeySet(publisher.url, "ES256")
    assert has(keys, "first")
    publisher.status = 500
    clock.now += EARLY_REFRESH_SECONDS
    with capture_logs() as log:
        assert has(keys, "first")
        until(lambda: [entry["event"] for entry in log] == ["jwks_unavailable"])
    assert has(keys, "first")
    clock.now = jwks.LIFESPAN_SECONDS
    assert not has(keys, "first")


@pytest.mark.parametrize("trouble", ["500", "garbage", "no keys"])
def test_a_publisher_that_recovers_is_used_again(publisher: Publisher, trouble: str) -> None:
    keys = KeySet(publisher.url, "ES256", cooldown=0)
    good = publisher.body
    misbehave(publisher, trouble)
    assert not has(keys, "first")
    publisher.status, publisher.body = 200, good
    until(lambda: has(keys, "first"))


def test_concurrent_requests_share_one_fetch(publisher: Publisher) -> None:
    keys = KeySet(publisher.url, "ES256", cooldown=60)
    publisher.responding.clear()
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(has(keys, "first"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: publisher.fetches > 0)
    publisher.responding.set()
    for thread in threads:
        thread.join()
    assert found == [True] * 4
    assert publisher.fetches == 1
