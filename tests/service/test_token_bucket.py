"""The bucket itself: in process memory and in a real Valkey, against a model in exact fractions."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits import parse
from valkey import Valkey

from service import token_bucket
from service.token_bucket import Bucket, LocalBuckets, SharedBuckets, Take
from tests.support import PATIENCE_SECONDS
from tools import valkey_server
from tools.valkey_server import ValkeyServer

SECOND = 1_000_000
HOUR = 3600 * SECOND
HUNDRED = Bucket.of(parse("100/minute"))
# Refilled too slowly to gain a token while a test runs on the server's clock.
HUNDRED_A_DAY = Bucket.of(parse("100/day"))
START = 1_800_000_000 * SECOND


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with valkey_server.running() as server:
        yield server


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now * 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def local(clock: Clock) -> Take:
    return LocalBuckets(clock).take


@pytest.fixture
def shared(server: ValkeyServer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Take:
    """The script in use, except that it reads the time from a key, and that buckets do not expire in real time."""
    server.execute("FLUSHALL")
    script = token_bucket._SCRIPT
    replacements = {b"redis.call('TIME')": b"redis.call('LRANGE', 'clock', 0, 1)", b", 'PX', full_in": b""}
    for call, replacement in replacements.items():
        assert call in script
        script = script.replace(call, replacement)
    monkeypatch.setattr(token_bucket, "_SCRIPT", script)
    take = SharedBuckets(Valkey(unix_socket_path=str(server.socket))).take

    def at_the_time(key: str, bucket: Bucket, cost: int) -> token_bucket.State:
        server.execute("DEL", "clock")
        server.execute("RPUSH", "clock", clock.now // SECOND, clock.now % SECOND)
        return take(key, bucket, cost)

    return at_the_time


@pytest.fixture(params=["local", "shared"])
def take(request: pytest.FixtureRequest) -> Take:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def drain(take: Take, tries: int, bucket: Bucket = HUNDRED, key: str = "u") -> int:
    return sum(take(key, bucket, bucket.token).is_taken for _ in range(tries))


def test_a_bucket_begins_full_and_gives_no_more_tokens_than_it_holds(take: Take) -> None:
    assert drain(take, 150) == 100


def test_a_refused_request_costs_no_token(take: Take, clock: Clock) -> None:
    drain(take, 200)
    clock.now += 6 * SECOND

    assert drain(take, 50) == 10


def test_refill_is_continuous_to_the_microsecond(take: Take, clock: Clock) -> None:
    drain(take, 100)
    clock.now += 600_000 - 1
    assert drain(take, 2) == 0
    clock.now += 1
    assert drain(take, 2) == 1


def test_a_bucket_holds_no_more_than_its_capacity_however_long_it_is_unused(take: Take, clock: Clock) -> None:
    drain(take, 30)
    clock.now += 24 * HOUR

    assert drain(take, 200) == 100


def test_a_bucket_reports_its_remaining_tokens(take: Take) -> None:
    state = take("u", HUNDRED, HUNDRED.token)
    assert (state.is_taken, state.remaining, state.retry_after) == (True, 99, 0)
    drain(take, 98)
    assert take("u", HUNDRED, HUNDRED.token).remaining == 0

    refused = take("u", HUNDRED, HUNDRED.token)

    assert (refused.is_taken, refused.remaining, refused.retry_after) == (False, 0, 0.6)


def test_a_bucket_reports_when_it_is_full_again(shared: Take) -> None:
    drain(shared, 9)

    assert shared("u", HUNDRED, HUNDRED.token).full_at == START / SECOND + 6


def test_a_bucket_in_process_memory_reports_when_it_is_full_again_by_the_wall_clock(local: Take) -> None:
    drain(local, 9)

    before = time.time()
    full_at = local("u", HUNDRED, HUNDRED.token).full_at

    assert before + 5.99 <= full_at <= time.time() + 6.01


@pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["back", "forward"])
def test_a_clock_jump_neither_locks_a_user_out_nor_lets_more_in_than_the_bucket_holds(
    shared: Take, clock: Clock, jump: int
) -> None:
    assert drain(shared, 60) == 60

    clock.now += jump
    assert drain(shared, 200) == (40 if jump < 0 else 100)
    clock.now += 6 * SECOND
    assert drain(shared, 200) == 10


def test_keys_have_buckets_of_their_own(take: Take) -> None:
    assert [drain(take, 120, key=str(n)) for n in range(10)] == [100] * 10


steps = st.lists(st.tuples(st.integers(0, 4 * SECOND), st.integers(0, 3)), max_size=40)
limit_texts = st.sampled_from(["100/minute", "1/second", "7/minute", "3/hour", "1000000/second", "1/day"])


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(limit=limit_texts, steps=steps)
def test_a_bucket_admits_what_a_bucket_of_exact_fractions_admits(
    local: Take, shared: Take, clock: Clock, limit: str, steps: list[tuple[int, int]]
) -> None:
    item = parse(limit)
    bucket = Bucket.of(item)
    rate = Fraction(item.amount, item.get_expiry() * SECOND)
    tokens = Fraction(item.amount)
    key = f"{limit}-{time.monotonic_ns()}"

    for elapsed, cost in steps:
        clock.now += elapsed
        tokens = min(Fraction(item.amount), tokens + elapsed * rate)
        admitted = tokens >= cost
        tokens -= cost if admitted else 0
        for take in (local, shared):
            state = take(key, bucket, cost * bucket.token)
            assert (state.is_taken, state.remaining) == (admitted, int(tokens))
            assert state.retry_after == pytest.approx(float(max(Fraction(0), 1 - tokens) / rate / SECOND))


def test_a_bucket_in_process_memory_is_exact_under_threads(local: Take) -> None:
    start = threading.Barrier(8)

    def hit(_: int) -> int:
        start.wait(timeout=PATIENCE_SECONDS)
        return drain(local, 100)

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(hit, range(8))) == 100


def test_full_buckets_in_process_memory_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_bucket, "_MAX_BUCKETS", 100)
    buckets = LocalBuckets(clock)
    drain(buckets.take, 60, key="half empty")
    for n in range(1000):
        clock.now += SECOND // 100
        drain(buckets.take, 1, key=str(n))

    assert len(buckets._levels) < 300
    assert drain(buckets.take, 100, key="half empty") == 40 + 10000 // 600


# In the store


def buckets(server: ValkeyServer) -> SharedBuckets:
    server.execute("FLUSHALL")
    return SharedBuckets(Valkey(unix_socket_path=str(server.socket)))


def test_a_token_takes_one_call_to_the_store(server: ValkeyServer) -> None:
    take = buckets(server).take
    take("u", HUNDRED, 1)
    own_calls = -server.command_count() + server.command_count()
    before = server.command_count()

    for _ in range(10):
        take("u", HUNDRED, 1)

    # Each is an EVALSHA and the TIME, GET and SET that it runs inside the server.
    assert server.command_count() - before - own_calls == 10 * 4


def test_a_key_expires_when_its_bucket_is_full_again(server: ValkeyServer) -> None:
    seconds_until_full = 24 * 3600 // 10
    buckets(server).take("u", HUNDRED_A_DAY, 10 * HUNDRED_A_DAY.token)

    (key,) = server.execute("KEYS", "*")
    assert seconds_until_full - 60 < server.execute("PTTL", key) / 1000 <= seconds_until_full + 0.001


@pytest.mark.parametrize("spoil", [("LPUSH", "x"), ("SET", "nonsense"), ("HSET", "a", "b")], ids=lambda c: c[0])
def test_a_foreign_value_under_a_key_is_replaced(server: ValkeyServer, spoil: tuple[str, ...]) -> None:
    take = buckets(server).take
    take("u", HUNDRED_A_DAY, HUNDRED_A_DAY.token)
    (key,) = server.execute("KEYS", "*")
    server.execute("DEL", key)
    server.execute(spoil[0], key, *spoil[1:])

    assert drain(take, 105, HUNDRED_A_DAY) == 100
