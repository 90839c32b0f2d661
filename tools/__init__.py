"""Development tools: what the make targets run. The service imports nothing from here."""
