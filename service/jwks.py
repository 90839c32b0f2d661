"""Public keys that an identity service publishes and rotates (RFC 7517)."""

import threading
import time
from typing import Any

import structlog
from jwt import PyJWKClient, PyJWKSet

# How long a fetched set is trusted: a withdrawn key verifies tokens for that much longer at most.
LIFESPAN_SECONDS = 300.0
# The least time between two fetches, so that tokens with made-up key ids or an endpoint that is down
# cost one fetch in that time and not one a request. A new key waits that much at most.
COOLDOWN_SECONDS = 5.0
# How long a request waits for a fetch whose answer it needs.
TIMEOUT_SECONDS = 2.0

_KEY_TYPES = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}

_log = structlog.get_logger(__name__)


class KeySet:
    """The keys behind one URL, by key id.

    Fetched in the background when a key id is not known, which the request that brings it waits for, and from half
    the lifespan on, which nobody waits for: an endpoint that is down for less than the other half is not noticed.
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
        self._fetching: threading.Thread | None = None
        self._keys: dict[str, Any] = {}
        self._fetched = self._tried = float("-inf")

    def key(self, key_id: str) -> Any:
        """The public key of that id. Raises KeyError when the set has none now."""
        is_known = key_id in self._keys and self._age() < self._lifespan
        if not is_known or self._age() > self._lifespan / 2:
            self._refresh(wait=not is_known)
        if self._age() >= self._lifespan:
            raise KeyError(key_id)
        return self._keys[key_id]

    def edition(self) -> float | None:
        """What changes with every fetch, after which a token is verified anew; None: the set is too old."""
        if self._age() > self._lifespan / 2:
            self._refresh(wait=False)
        return self._fetched if self._age() < self._lifespan else None

    def _age(self) -> float:
        return time.monotonic() - self._fetched

    def _refresh(self, wait: bool) -> None:
        with self._lock:
            is_fetching = self._fetching is not None and self._fetching.is_alive()
            if not is_fetching and time.monotonic() - self._tried >= self._cooldown:
                self._tried = time.monotonic()
                self._fetching = threading.Thread(target=self._fetch, name="jwks", daemon=True)
                self._fetching.start()
            fetching = self._fetching
        if wait and fetching is not None:
            fetching.join(TIMEOUT_SECONDS)

    def _fetch(self) -> None:
        try:
            keys = PyJWKSet.from_dict(self._client.fetch_data()).keys
        except Exception as error:  # A network, an HTTP server and a parser, none of them ours.
            _log.error("jwks_unavailable", reason=type(error).__name__)
            return
        self._keys = {
            key.key_id: key.key
            for key in keys
            if key.key_id and key.key_type == self._key_type and key.public_key_use in (None, "sig")
        }
        self._fetched = time.monotonic()
