"""Peers: two FastAPI services with byte-identical responses, as alternatives to compare with."""
