"""Wiring: the Flask app of the service, and the Flask app of its commands."""

from flask import Flask
from flask.json.provider import DefaultJSONProvider
from werkzeug.middleware.proxy_fix import ProxyFix

from config import CommandSettings, Settings
from service import (
    auth,
    compression,
    cors,
    db,
    docs,
    health,
    limits,
    logs,
    metrics,
    page,
    problems,
    request_parsing,
    tracing,
)
from snapshots import (
    API_INFO,
    AUTHORIZATION_HELP,
    MIGRATIONS,
    PAGE,
    PATH_PARAMETERS,
    PROBLEM_DESCRIPTIONS,
    TAGS,
    capture,
    cli,
    corrections,
    reads,
)

NAME = "balance_snapshots"
# The application_name shown in pg_stat_activity.
CONNECTION_NAME = "balance-snapshots"
PREFIX = "/api/v1"
MAX_BODY_BYTES = 1024 * 1024


def create_app(settings: Settings) -> Flask:
    """Create the WSGI application. It opens connections: call it in the process that serves."""
    logs.configure(settings.log_level)
    app = Flask(NAME, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False
    if settings.socket:
        # Only the reverse proxy reaches a unix socket, so its X-Forwarded-For is trusted for the client's address.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=0, x_host=0)  # type: ignore[method-assign]
    assert isinstance(app.json, DefaultJSONProvider)
    app.json.sort_keys = False

    # The order of these calls is that of their hooks before a request: trace id, authentication, rate limit.
    tracing.init_app(app, is_behind_proxy=bool(settings.socket))
    metrics.init_app(app, threads=settings.web_threads)
    request_parsing.init_app(app)
    problems.init_app(app, settings.problem_base_url)
    cors.init_app(app, settings.cors_origins)
    if not settings.socket:
        # With a socket, the reverse proxy compresses responses.
        compression.init_app(app)
    auth.init_app(app, settings)
    limits.init_app(app, settings, reads.blueprint)
    db.init_app(app, settings, application_name=CONNECTION_NAME)

    health.init_app(app, MIGRATIONS)
    app.register_blueprint(metrics.blueprint)
    app.register_blueprint(reads.blueprint, url_prefix=PREFIX)
    app.register_blueprint(capture.blueprint, url_prefix=PREFIX)
    app.register_blueprint(corrections.blueprint, url_prefix=PREFIX)
    if settings.docs:
        docs.init_app(
            app,
            info=API_INFO,
            base_path=PREFIX,
            tags=TAGS,
            path_parameters=PATH_PARAMETERS,
            authorization_help=AUTHORIZATION_HELP,
            limited=reads.blueprint,
            problem_base_url=settings.problem_base_url,
            problem_descriptions=PROBLEM_DESCRIPTIONS,
        )
        page.init_app(app, PAGE)
    metrics.start_at_zero(app)
    return app


def connect_app(app: Flask) -> None:
    """Wait briefly for the first connection to the database. Call it before a process serves."""
    db.wait_until_connected(app)


def close_app(app: Flask) -> None:
    """Close the app's connections and stop its threads."""
    limits.close(app)
    db.close(app)


def create_command_app(settings: CommandSettings) -> Flask:
    """Create the app of the flask command. It serves nothing. Logs go to stderr: stdout is a command's output."""
    logs.configure(settings.log_level, "stderr")
    app = Flask(NAME, static_folder=None)
    cli.init_app(app, settings.database_url)
    return app
