"""Settings: the environment variables of the service and its commands, typed and validated once, at startup.

Each field of `Settings` is the environment variable of the same name in upper case. NAME_FILE may name a file that
contains the value of NAME, such as a container's secret. An empty variable counts as not set. `CommandSettings` has
the few that commands need. `make docs` writes the table of settings into docs/operating.md.
"""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import jwt
import marshmallow as ma
import psycopg
from limits import parse_many as parse_limits
from psycopg.conninfo import conninfo_to_dict

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")


class ConfigError(Exception):
    """Invalid settings; the message has a line for each fault found."""


def _setting(load: ma.fields.Field[Any], doc: str, *, is_secret: bool = False) -> Any:
    return field(repr=not is_secret, metadata={"load": load, "doc": doc})


def _validate_limit(value: str) -> None:
    try:
        (limit,) = parse_limits(value)
        # The token bucket counts in microseconds times requests, and Lua counts exactly up to 2^53.
        if limit.amount >= 1 and limit.amount * limit.get_expiry() * 1_000_000 < 2**53:
            return
    except ValueError:
        pass
    raise ma.ValidationError("Must be a number of requests per period, like 100/minute.")


def _validate_store_url(value: str) -> None:
    try:
        url = urlsplit(value)
        if url.scheme in _STORE_SCHEMES and (url.port is None or url.port > 0):
            return
    except ValueError:
        pass
    raise ma.ValidationError(
        f"Must be a URL like redis://host:6379/0; its scheme must be one of {', '.join(_STORE_SCHEMES)}."
    )


_DATABASE_URL_MESSAGE = "Must be a URL that libpq accepts, like postgresql://user@host/name."


def _validate_database_url(value: str) -> None:
    try:
        if value.startswith(("postgresql://", "postgres://")):
            conninfo_to_dict(value)
            return
    except psycopg.ProgrammingError:
        pass  # The message of psycopg may contain the password.
    raise ma.ValidationError(_DATABASE_URL_MESSAGE)


def validate_database_url(value: str) -> None:
    """Raise ConfigError unless libpq accepts this URL; the message omits the URL, which may contain a password."""
    try:
        _validate_database_url(value)
    except ma.ValidationError:
        raise ConfigError(f"DATABASE_URL: {_DATABASE_URL_MESSAGE}") from None


class _Origins(ma.fields.Field[tuple[str, ...]]):
    """Web origins separated by commas, each as a browser sends it in `Origin` (RFC 6454)."""

    _PATTERN = re.compile(r"(http|https)://[a-z0-9._-]+(?::([1-9][0-9]{0,4}))?")
    _DEFAULT_PORTS = (("http", "80"), ("https", "443"))

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        origins = tuple(origin.strip() for origin in value.split(","))
        for origin in origins:
            parts = self._PATTERN.fullmatch(origin)
            if not parts or parts.groups() in self._DEFAULT_PORTS or int(parts[2] or 1) > 65535:
                raise ma.ValidationError(
                    f"{origin!r} is not an origin as browsers send it, like https://app.example.com or"
                    " http://localhost:3000: lower case, without a path, a default port or a wildcard."
                )
        return origins


_STORE_SCHEMES = ("redis", "rediss", "redis+unix", "valkey", "valkeys", "valkey+unix")
_url = ma.validate.URL(schemes={"http", "https"}, require_tld=False)


@dataclass(frozen=True, kw_only=True)
class CommandSettings:
    """Settings of the commands, which the service needs too."""

    database_url: str = _setting(
        ma.fields.String(required=True, validate=_validate_database_url),
        "The PostgreSQL database, as a URL that libpq accepts: `postgresql://user@host/name`.",
        is_secret=True,
    )
    log_level: str = _setting(
        ma.fields.String(load_default="INFO", validate=ma.validate.OneOf(("DEBUG", "INFO", "WARNING", "ERROR"))),
        "The lowest level that is logged: DEBUG, INFO, WARNING or ERROR.",
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from the environment. Raises ConfigError."""
        schema = ma.Schema.from_dict({_variable(f.name): f.metadata["load"] for f in fields(cls)})()
        values = {name: value for name in schema.fields if (value := read_variable(environ, name))}
        try:
            loaded = schema.load(values)
        except ma.ValidationError as error:
            raise ConfigError(_lines(error.messages_dict)) from None
        settings = cls(**{name.lower(): value for name, value in loaded.items()})
        settings._validate()
        return settings

    def _validate(self) -> None:
        """Raise ConfigError for the first values found that contradict one another."""


@dataclass(frozen=True, kw_only=True)
class Settings(CommandSettings):
    """Settings of the service."""

    read_database_url: str | None = _setting(
        ma.fields.String(load_default=None, validate=_validate_database_url),
        "Standbys of the database, which answer reads: a URL in the form of DATABASE_URL, with one or more hosts.",
        is_secret=True,
    )
    jwt_algorithm: str = _setting(
        ma.fields.String(load_default="HS256", validate=ma.validate.OneOf(ALGORITHMS)),
        "The only algorithm accepted for tokens: " + ", ".join(ALGORITHMS) + ".",
    )
    jwt_secret_key: str | None = _setting(
        ma.fields.String(load_default=None),
        "HS256: the shared secret, at least 32 bytes.",
        is_secret=True,
    )
    jwt_public_key: str | None = _setting(
        ma.fields.String(load_default=None),
        "RS256, ES256, EdDSA: the public key in PEM; `\\n` stands for a line break.",
    )
    jwt_jwks_url: str | None = _setting(
        ma.fields.String(load_default=None, validate=_url),
        "RS256, ES256, EdDSA: the URL of a key set (RFC 7517), instead of one public key.",
    )
    jwt_issuer: str | None = _setting(ma.fields.String(load_default=None), "If set, the `iss` that a token must have.")
    jwt_audience: str | None = _setting(
        ma.fields.String(load_default=None), "If set, the `aud` that a token must have."
    )
    api_read_limit: str = _setting(
        ma.fields.String(load_default="100/minute", validate=_validate_limit),
        "Rate limit of each user, over all read endpoints together.",
    )
    redis_url: str | None = _setting(
        ma.fields.String(load_default=None, validate=_validate_store_url),
        "URL of the Redis or Valkey server in which all workers share the rate limit; a single worker needs none.",
        is_secret=True,
    )
    problem_base_url: str = _setting(
        ma.fields.String(load_default="https://api.dashtam.com/errors/", validate=_url),
        "Prefix of the `type` of every problem.",
    )
    cors_origins: tuple[str, ...] = _setting(
        _Origins(load_default=()),
        "Web origins whose pages may call the API, separated by commas, like `https://app.example.com`; nginx needs the"
        " same value.",
    )
    docs: bool = _setting(
        ma.fields.Boolean(load_default=True),
        "Whether the page at `/`, `/docs` and `/openapi.json` are served: `true` or `false`.",
    )
    host: str = _setting(
        ma.fields.String(load_default="127.0.0.1"),
        "The address gunicorn listens on; choose one that only the reverse proxy can reach.",
    )
    port: int = _setting(
        ma.fields.Integer(load_default=8000, validate=ma.validate.Range(1, 65535)),
        "The port gunicorn listens on.",
    )
    socket: str | None = _setting(
        ma.fields.String(load_default=None),
        "A unix socket for gunicorn to listen on instead of HOST and PORT, in a folder that only the reverse proxy may"
        " enter.",
    )
    web_concurrency: int | None = _setting(
        ma.fields.Integer(load_default=None, validate=ma.validate.Range(1, 256)),
        "Worker processes; more than one needs REDIS_URL. By default one for each core, or just one without REDIS_URL.",
    )
    web_threads: int = _setting(
        ma.fields.Integer(load_default=2, validate=ma.validate.Range(1, 256)),
        "Threads per worker; each uses at most one database connection at a time.",
    )

    @classmethod
    def load(cls) -> Self:
        """Load the settings of this process, or exit with a message that names the variables at fault."""
        try:
            return cls.from_env(os.environ)
        except ConfigError as error:
            sys.exit(f"The service cannot start:\n{error}")

    @property
    def address(self) -> str:
        """The TCP address gunicorn listens on, as in a URL: `127.0.0.1:8000`, `[::1]:8000`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def workers(self) -> int:
        """The number of worker processes: WEB_CONCURRENCY, or one for each core if they can share the rate limit."""
        return self.web_concurrency or (len(os.sched_getaffinity(0)) if self.redis_url else 1)

    @property
    def verification_key(self) -> Any:
        """The key that verifies tokens, unless there is a key set: the secret, or a public key object."""
        if self.jwt_algorithm == "HS256":
            return self.jwt_secret_key
        pem = (self.jwt_public_key or "").replace("\\n", "\n")
        return jwt.get_algorithm_by_name(self.jwt_algorithm).prepare_key(pem)

    def _validate(self) -> None:
        self._validate_keys()
        if self.workers > 1 and not self.redis_url:
            workers = f"{self.workers} workers (WEB_CONCURRENCY)"
            raise ConfigError(f"REDIS_URL: {workers} need Redis or Valkey to share the rate limit.")

    def _validate_keys(self) -> None:
        if self.jwt_algorithm == "HS256":
            if len((self.jwt_secret_key or "").encode()) < 32:
                raise ConfigError("JWT_SECRET_KEY: HS256 needs a secret of at least 32 bytes.")
            if self.jwt_public_key or self.jwt_jwks_url:
                raise ConfigError("JWT_ALGORITHM: a public key or a key set needs RS256, ES256 or EdDSA.")
        elif bool(self.jwt_public_key) == bool(self.jwt_jwks_url):
            raise ConfigError(f"JWT_PUBLIC_KEY, JWT_JWKS_URL: {self.jwt_algorithm} needs exactly one of the two.")
        elif self.jwt_public_key:
            try:
                is_public = not hasattr(self.verification_key, "private_bytes")
            except (jwt.InvalidKeyError, ValueError, TypeError):
                is_public = False
            if not is_public:
                raise ConfigError(f"JWT_PUBLIC_KEY: not a public key for {self.jwt_algorithm} in PEM.")


def settings_table() -> str:
    """Return the settings as a Markdown table."""
    rows = ["| Variable | Default | Meaning |", "| --- | --- | --- |"]
    for setting in fields(Settings):
        load = setting.metadata["load"]
        default = "required" if load.required else _default(load.load_default)
        rows.append(f"| `{_variable(setting.name)}` | {default} | {setting.metadata['doc']} |")
    return "\n".join(rows)


def _default(value: Any) -> str:
    if value in (None, ()):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def read_variable(environ: Mapping[str, str], name: str) -> str | None:
    """Return the value of a variable, or the content of the file that NAME_FILE names. Raises ConfigError."""
    path = environ.get(f"{name}_FILE")
    if not path:
        return environ.get(name)
    if environ.get(name):
        raise ConfigError(f"{name}: both {name} and {name}_FILE are set.")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}_FILE: cannot be read ({type(error).__name__}).") from None


def with_overrides(environ: Mapping[str, str], **values: str) -> dict[str, str]:
    """Return a copy of the environment with these values, which also win over NAME_FILE variables."""
    overridden = {f"{name}_FILE" for name in values}
    return {name: value for name, value in environ.items() if name not in overridden} | values


def _variable(name: str) -> str:
    return name.upper()


def _lines(messages: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {' '.join(faults)}" for name, faults in messages.items())
