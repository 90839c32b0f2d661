"""The connection to PostgreSQL that requests use: its waits end at a deadline, and it notices a promotion."""

import time
from typing import Any

import psycopg
from prometheus_client import Gauge

IN_USE = Gauge("db_connections_in_use", "Connections that requests hold.", multiprocess_mode="livesum")


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose every wait for the server ends at a deadline.

    Nothing else ends a wait for a frozen server: the server's own timeouts do not elapse then, and libpq's cover only
    the network.
    """

    deadline: float | None = None
    """On the monotonic clock; None waits forever."""
    has_responded: bool = False
    """Whether the server has responded since the connection was checked out."""
    server_was_standby: bool = False
    """Whether the server was a standby when the connection was made."""

    @property
    def server_is_standby(self) -> bool:
        """Whether the server was a standby at the end of the last statement; the server reports each change."""
        return self.info.parameter_status("in_hot_standby") == "on"

    @property
    def server_was_promoted(self) -> bool:
        """Whether the server was promoted since the connection was made, and so may lack what the primary writes."""
        return self.server_was_standby and not self.server_is_standby

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if self.deadline is None:
            return super().wait(gen, interval, timeout)
        try:
            result = super().wait(gen, interval, self.deadline - time.monotonic())
        except psycopg.OperationalError:
            if time.monotonic() >= self.deadline:
                # The late response must not be mistaken for the next query's.
                self.close()
            raise
        self.has_responded = True
        return result
