"""What any Flask service needs; nothing here knows what this one is about."""
