"""The parts that any Flask service needs; nothing here knows what this one serves."""
