"""UUIDv7 in Python, for the peers."""

import os
from datetime import datetime
from uuid import UUID


def uuid7(instant: datetime, ordinal: int) -> UUID:
    """Return a UUIDv7 of the instant `ordinal` microseconds after the given one."""
    microseconds = int(instant.timestamp() * 1_000_000) + ordinal
    head = (microseconds // 1000 << 16) | (7 << 12) | (microseconds % 1000 * 4096 // 1000)
    tail = (int.from_bytes(os.urandom(8), "big") & ~(3 << 62)) | (2 << 62)
    return UUID(int=head << 64 | tail)
