"""Write the contract that the service serves to docs/openapi.json, so that changes to it show in review."""

import json
from pathlib import Path

from app import close_app, create_app
from config import Settings

FILE = Path(__file__).parent.parent / "docs" / "openapi.json"


def document() -> str:
    """Return the content of the file: the contract under the default settings."""
    settings = Settings.from_env({"DATABASE_URL": "postgresql://", "JWT_SECRET_KEY": "-" * 32, "LOG_LEVEL": "ERROR"})
    app = create_app(settings)
    response = app.test_client().get("/openapi.json")
    close_app(app)
    return json.dumps(response.json, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(document())
