"""Capacity planning: the machines, disk, WAL and memory for a number of snapshots, from measured unit costs.

python -m bench.capacity USERS ACCOUNTS PER_DAY YEARS

Each of USERS has ACCOUNTS, each of which is captured PER_DAY times a day for YEARS. docs/scaling.md describes how the
unit costs were measured, and what is only assumed.
"""

import argparse
import math
from collections.abc import Callable
from typing import NamedTuple

# Measured (docs/scaling.md).
DISK_BYTES_OF_SNAPSHOT = 377
DISK_BYTES_OF_ACCOUNT = 205
WAL_BYTES = 482
WAL_BYTES_OF_FIRST_WRITE = 12_600
PAGES_OF_ACCOUNT = 2.1
"""Pages that a capture changes: one of each index, and a part of the last one of the table, which captures share."""
SERVICE_READS_PER_CORE = 800
DATABASE_READS_PER_CORE = 7500

# Assumed. The peak is a multiple of the average: sync jobs and people keep certain hours.
DAYS_PER_YEAR = 365
CHECKPOINTS_PER_DAY = 288
READS_OF_USER_PER_DAY = 20
PEAK = 10
ARCHIVED_DAYS = 7

# A database machine: 128 GB of memory, three quarters of it for pages; a disk of 4 TB, filled to 70 %, that can
# write 200 MB of WAL per second.
NODE_CACHE_BYTES = 96e9
NODE_DISK_BYTES = 2.8e12
NODE_WAL_BYTES_PER_SECOND = 200e6

_PAGE_BYTES = 8192
_SECONDS_PER_DAY = 86_400


class Demand(NamedTuple):
    users: int
    accounts: int
    """Per user."""
    per_day: float
    """Captures of each account."""
    years: float

    @property
    def snapshots_per_day(self) -> float:
        return self.users * self.accounts * self.per_day

    @property
    def snapshots(self) -> float:
        return self.snapshots_per_day * DAYS_PER_YEAR * self.years


class Capacity(NamedTuple):
    """The resources for a demand; disk and memory are those of one copy of the data."""

    snapshots: float
    captures_per_second: float
    reads_per_second: float
    disk: float
    wal_per_day: float
    wal_archive: float
    memory: float
    nodes_for_disk: int
    nodes_for_memory: int
    nodes_for_wal: int
    database_cores: int
    service_cores: int

    @property
    def nodes(self) -> int:
        """Machines that share the data."""
        return max(self.nodes_for_disk, self.nodes_for_memory, self.nodes_for_wal)

    @property
    def machines(self) -> int:
        """The nodes, a coordinator if there is more than one, and a standby of each."""
        return 2 * (self.nodes + (self.nodes > 1))


def plan(demand: Demand) -> Capacity:
    """Compute the resources for a demand. Rates are those of the peak."""
    captures_per_second = PEAK * demand.snapshots_per_day / _SECONDS_PER_DAY
    reads_per_second = PEAK * demand.users * READS_OF_USER_PER_DAY / _SECONDS_PER_DAY
    accounts = demand.users * demand.accounts
    disk = demand.snapshots * DISK_BYTES_OF_SNAPSHOT + accounts * DISK_BYTES_OF_ACCOUNT
    # The first change of a page after a checkpoint writes the whole page to the WAL.
    first_writes = min(1, CHECKPOINTS_PER_DAY / demand.per_day)
    wal_of_snapshot = first_writes * WAL_BYTES_OF_FIRST_WRITE + (1 - first_writes) * WAL_BYTES
    wal_per_day = demand.snapshots_per_day * wal_of_snapshot
    memory = accounts * PAGES_OF_ACCOUNT * _PAGE_BYTES
    return Capacity(
        snapshots=demand.snapshots,
        captures_per_second=captures_per_second,
        reads_per_second=reads_per_second,
        disk=disk,
        wal_per_day=wal_per_day,
        wal_archive=ARCHIVED_DAYS * wal_per_day,
        memory=memory,
        nodes_for_disk=math.ceil(disk / NODE_DISK_BYTES),
        nodes_for_memory=math.ceil(memory / NODE_CACHE_BYTES),
        nodes_for_wal=math.ceil(PEAK * wal_per_day / _SECONDS_PER_DAY / NODE_WAL_BYTES_PER_SECOND),
        database_cores=math.ceil(reads_per_second / DATABASE_READS_PER_CORE),
        service_cores=math.ceil(reads_per_second / SERVICE_READS_PER_CORE),
    )


def table(*demands: Demand) -> str:
    """Return a Markdown table with a column for each demand."""
    plans = [plan(demand) for demand in demands]
    rows: dict[str, list[str]] = {
        "Users x accounts x captures a day x years": [
            f"{d.users:,} x {d.accounts:,} x {d.per_day:g} x {d.years:g}" for d in demands
        ],
        "Snapshots": [f"{p.snapshots:.3g}" for p in plans],
        "Captured per second, at the peak": [f"{p.captures_per_second:,.0f}" for p in plans],
        "Reads per second, at the peak": [f"{p.reads_per_second:,.0f}" for p in plans],
        "Disk": [_size(p.disk) for p in plans],
        "WAL per day": [_size(p.wal_per_day) for p in plans],
        f"WAL archived, {ARCHIVED_DAYS} days": [_size(p.wal_archive) for p in plans],
        "Memory for the pages of captures and newest snapshots": [_size(p.memory) for p in plans],
        "Nodes of the database (for disk, memory, WAL)": [
            f"{p.nodes} ({p.nodes_for_disk}, {p.nodes_for_memory}, {p.nodes_for_wal})" for p in plans
        ],
        "Machines, with a coordinator and a standby of each": [f"{p.machines}" for p in plans],
        "Cores of the database, for the reads": [f"{p.database_cores}" for p in plans],
        "Cores of the service, for the reads": [f"{p.service_cores}" for p in plans],
    }
    lines = [f"| {what} | {' | '.join(cells)} |" for what, cells in rows.items()]
    return "\n".join([lines[0], "| --- " * (len(demands) + 1) + "|", *lines[1:]])


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.3g} PB"


def _number(of_type: Callable[[str], float], minimum: float, message: str) -> Callable[[str], float]:
    def load(text: str) -> float:
        try:
            number = of_type(text)
        except ValueError:
            number = math.nan
        if not minimum <= number < 1e12:
            raise argparse.ArgumentTypeError(message)
        return number

    return load


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m bench.capacity", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    whole = _number(int, 1, "must be a whole number from 1 to 10^12")
    positive = _number(float, 0.01, "must be a number from 0.01 to 10^12")
    parser.add_argument("users", type=whole, metavar="USERS")
    parser.add_argument("accounts", type=whole, metavar="ACCOUNTS", help="of each user")
    parser.add_argument("per_day", type=positive, metavar="PER_DAY", help="captures of each account")
    parser.add_argument("years", type=positive, metavar="YEARS")
    print(table(Demand(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
