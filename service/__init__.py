"""What any Flask service needs, and that knows nothing of snapshots."""
