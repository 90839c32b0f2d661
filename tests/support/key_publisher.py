"""A published key set: an HTTP server that misbehaves when told to, and tokens signed by its keys."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt

from tests.support import PATIENCE_SECONDS, claims, private_key, token


def jwk(algorithm: str, name: str, **members: Any) -> dict[str, Any]:
    public = private_key(algorithm, name).public_key()
    as_dict: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True)
    return {**as_dict, "kid": name, **members}


def published(name: str, algorithm: str = "ES256", **headers: Any) -> str:
    """Return a token signed by the key of that name."""
    return token(claims(), key=private_key(algorithm, name), algorithm=algorithm, **({"kid": name} | headers))


class Publisher:
    """An HTTP server that publishes a key set, counts the requests for it, and can be told to misbehave."""

    def __init__(self) -> None:
        self.fetches = 0
        self.status = 200
        self.body = b""
        self.responding = threading.Event()
        self.responding.set()
        self.drips = False
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.fetches += 1
                publisher.responding.wait(PATIENCE_SECONDS)
                with contextlib.suppress(OSError):  # a client that stopped waiting
                    self.send_response(publisher.status)
                    self.end_headers()
                    while publisher.drips:  # each pause is shorter than a client's timeout
                        self.wfile.write(b" ")
                        time.sleep(0.02)
                    self.wfile.write(publisher.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks.json"

    def publish(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()

    def close(self) -> None:
        self.drips = False
        self.responding.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
