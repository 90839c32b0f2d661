"""Times in CSV, all in one format, because data tools infer the format of a column from its first rows.

In JSON, a fraction that is zero is omitted (rule 8).
"""

import marshmallow as ma

from schemas.fields import Instant


def time_columns(schema: ma.Schema) -> frozenset[str]:
    """Return the names of the schema's fields that are times."""
    return frozenset(
        name
        for name, field in schema.fields.items()
        if isinstance(field, Instant) or field.metadata.get("format") == "date-time"
    )


def with_microseconds(time: str) -> str:
    """Return a time in UTC, as the database prints it, with six fraction digits."""
    return time if "." in time else f"{time.removesuffix('Z')}.000000Z"
