"""What gunicorn imports: the service, with the settings of this process."""

from app import create_app
from config import Settings

app = create_app(Settings.load())
