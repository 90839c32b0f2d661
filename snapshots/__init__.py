"""The domain: reading and capturing balance snapshots."""
