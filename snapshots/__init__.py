"""The domain: reading and capturing balance snapshots."""

__version__ = "0.1.0"

ABOUT = (
    "What every account was worth, and when: captured by sync jobs, read as the latest of each account, as a history"
    " for a chart, and as a list. Money is a string and exact: parse it as a decimal. Times are UTC. HEAD works as GET."
    " Every error is a problem (RFC 9457)."
)
