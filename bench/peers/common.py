"""What both peers do as the service does: verify tokens, take tokens from its bucket, set headers and log requests."""

import json
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

import jwt
from fastapi import FastAPI, HTTPException, Request, Response
from valkey.asyncio import Valkey

SCRIPT = (Path(__file__).parent.parent.parent / "service" / "token_bucket.lua").read_text()
AMOUNT = int(os.environ.get("API_READ_LIMIT", "100/minute").partition("/")[0])
TOKEN = 60_000_000
SECRET = os.environ["JWT_SECRET_KEY"]
Interval = Literal["day", "week", "month", "quarter", "year"]
SCOPE = "balance-snapshots:write"

_log = logging.getLogger("peer")


def add_to(app: FastAPI) -> None:
    """Add the trace id and the request log."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    @app.middleware("http")
    async def _trace(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        started_at = time.perf_counter()
        trace_id = request.headers.get("x-trace-id") or uuid4().hex
        response = await call_next(request)
        response.headers["X-Trace-Id"] = trace_id
        response.headers["Cache-Control"] = "private, no-store"
        line = {
            "event": "request",
            "method": request.method,
            "path": request.url.path,
            "status": response.status_code,
            "trace_id": trace_id,
            "duration_ms": round((time.perf_counter() - started_at) * 1000, 3),
        }
        _log.info(json.dumps(line))
        return response


def claims(request: Request) -> dict[str, str]:
    """Return the verified claims of the request's token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise HTTPException(401)
    try:
        return dict(jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]}, leeway=10))
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None


def bucket(instant: datetime, interval: Interval) -> object:
    """Return a key that is the same for all instants of one calendar bucket in UTC."""
    day = instant.astimezone(UTC).date()
    buckets = {
        "day": day,
        "week": day.isocalendar()[:2],
        "month": (day.year, day.month),
        "quarter": (day.year, (day.month - 1) // 3),
        "year": day.year,
    }
    return buckets[interval]


class Limiter:
    """Token bucket in the shared store."""

    def __init__(self) -> None:
        url = os.environ["REDIS_URL"].replace("valkey+unix://", "unix://")
        self._script = Valkey.from_url(url).register_script(SCRIPT)

    async def take(self, subject: str, response: Response) -> None:
        """Take a token and set the headers. Raises HTTPException 429 if the bucket is empty."""
        is_taken, level, now = await self._script([f"peers:{subject}"], [AMOUNT * TOKEN, AMOUNT, TOKEN])
        response.headers["X-RateLimit-Limit"] = str(AMOUNT)
        response.headers["X-RateLimit-Remaining"] = str(level // TOKEN)
        response.headers["X-RateLimit-Reset"] = str(math.ceil((now + (AMOUNT * TOKEN - level) / AMOUNT) / 1_000_000))
        if not is_taken:
            raise HTTPException(429)
