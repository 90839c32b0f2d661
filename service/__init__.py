"""The parts that any Flask service needs; nothing here knows about snapshots."""
