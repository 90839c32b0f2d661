"""How gunicorn serves: threads, because a request mostly waits for PostgreSQL, and one pool a worker."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from config import Settings
from service.logs import logging_config

# Faulty settings end the master here, with a line each; a worker that failed on them would be started for ever.
_settings = Settings.load()

wsgi_app = "wsgi:app"
bind = f"{_settings.host}:{_settings.port}"
workers = _settings.web_concurrency
threads = _settings.web_threads
worker_class = "gthread"
# Each worker opens its own pool and its own limiter, after the fork.
preload_app = False
control_socket_disable = True
# A heartbeat on a disk can stall a worker.
worker_tmp_dir = "/dev/shm"  # noqa: S108
# The service writes the one line a request.
accesslog = None
logconfig_dict = logging_config(_settings.log_level)
