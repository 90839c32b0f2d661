"""Entry point of the flask command: the app of the commands, with the settings of this process."""

import os
import sys

import click

from app import create_command_app
from config import CommandSettings, ConfigError

USAGE_ERROR = 2

try:
    app = create_command_app(CommandSettings.from_env(os.environ))
except ConfigError as error:
    click.echo(f"The command cannot run:\n{error}", err=True)
    sys.exit(USAGE_ERROR)
