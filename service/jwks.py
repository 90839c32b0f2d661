"""Public keys that an identity service publishes and rotates (RFC 7517)."""

import threading
import time
from typing import Any

import structlog
from jwt import PyJWKClient, PyJWKSet

# How long a fetched set is trusted: a withdrawn key verifies tokens for at most this long.
LIFESPAN_SECONDS = 300.0
# Minimum time between two fetches, so that tokens with made-up key ids do not cost a fetch each. A new key may be
# refused for this long.
COOLDOWN_SECONDS = 5.0
# Timeout of a fetch, and of a request that waits for one because there are no keys.
TIMEOUT_SECONDS = 2.0
# How long a request whose unknown key id started a fetch waits for it.
UNKNOWN_KEY_SECONDS = 0.5

_KEY_TYPES = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}

_log = structlog.get_logger(__name__)


class KeySet:
    """The keys behind one URL, by key id.

    They are fetched in the background: after half the lifespan, so that a shorter outage of the endpoint goes
    unnoticed, and for an unknown key id. Of the requests with unknown ids, only the one that starts a fetch waits for
    it, and only if the last fetch succeeded; the others are refused at once. Otherwise made-up ids and a silent
    endpoint would occupy all threads, and tokens with known keys could not be verified.
    """

    def __init__(
        self,
        url: str,
        algorithm: str,
        lifespan: float = LIFESPAN_SECONDS,
        cooldown: float = COOLDOWN_SECONDS,
    ) -> None:
        self._client = PyJWKClient(url, cache_jwk_set=False, timeout=TIMEOUT_SECONDS)
        self._key_type = _KEY_TYPES[algorithm]
        self._lifespan = lifespan
        self._cooldown = cooldown
        self._lock = threading.Lock()
        self._fetch = threading.Thread()
        self._has_failed = False
        self._keys: dict[str, Any] = {}
        self._version = 0
        self._fetched_at = self._started_at = float("-inf")

    def key(self, key_id: str) -> Any:
        """Return the public key with this id. Raises KeyError if the set has none or has expired."""
        if self._is_expired():
            # Without keys no token can be verified, so this wait delays no request that could be served.
            self._start_fetch()
            self._wait(TIMEOUT_SECONDS)
        elif key_id not in self._keys:
            if self._start_fetch() and not self._has_failed:
                self._wait(UNKNOWN_KEY_SECONDS)
        else:
            self._refresh_early()
        if self._is_expired():
            raise KeyError(key_id)
        return self._keys[key_id]

    def version(self) -> int | None:
        """Return a number that changes with every successful fetch, or None if the set has expired."""
        if self._is_expired():
            return None
        self._refresh_early()
        return self._version

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    def _is_expired(self) -> bool:
        return self._age() >= self._lifespan

    def _refresh_early(self) -> None:
        if self._age() > self._lifespan / 2:
            self._start_fetch()

    def _start_fetch(self) -> bool:
        """Start a fetch, unless one is in progress or the last one is too recent. Return whether it did."""
        with self._lock:
            now = time.monotonic()
            if self._fetch.is_alive() or now - self._started_at < self._cooldown:
                return False
            self._started_at = now
            self._fetch = threading.Thread(target=self._load, name="jwks", daemon=True)
            self._fetch.start()
            return True

    def _wait(self, seconds: float) -> None:
        fetch = self._fetch
        if fetch.is_alive():
            fetch.join(seconds)

    def _load(self) -> None:
        try:
            keys = PyJWKSet.from_dict(self._client.fetch_data()).keys
        except Exception as error:  # From the network, the HTTP server or the parser.
            self._has_failed = True
            _log.error("jwks_unavailable", reason=type(error).__name__)
            return
        self._keys = {
            key.key_id: key.key
            for key in keys
            if key.key_id and key.key_type == self._key_type and key.public_key_use in (None, "sig")
        }
        # Only after the keys are replaced, so that no token that an old key verified is cached under the new version.
        self._version += 1
        self._fetched_at = time.monotonic()
        self._has_failed = False
