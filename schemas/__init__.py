"""Requests and responses as marshmallow schemas; no Flask, no SQL."""
