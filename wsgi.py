"""What gunicorn imports: the service, with the settings of this process."""

import atexit

from app import close_app, create_app
from config import Settings

app = create_app(Settings.load())
# The interpreter calls this when the last request is answered and before it freezes the threads of the pool. From
# Python 3.13 on a pool that nobody closed waits for them in vain, 20 seconds in all.
atexit.register(close_app, app)
