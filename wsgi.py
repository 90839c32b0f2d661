"""Entry point of gunicorn: the service, with the settings of this process."""

import atexit

from app import close_app, connect_app, create_app
from config import Settings

app = create_app(Settings.load())
# The interpreter calls this after the last response and before it freezes the pool's threads. Since Python 3.13 a pool
# that is not closed by then waits for them in vain, for 20 seconds in all.
atexit.register(close_app, app)
connect_app(app)
