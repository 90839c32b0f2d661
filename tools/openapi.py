"""Write the contract that the service serves to docs/openapi.json, where a change of it shows in review."""

import json
from pathlib import Path

from app import close_app, create_app
from config import Settings

FILE = Path(__file__).parent.parent / "docs" / "openapi.json"


def document() -> str:
    """The contract under the default settings, as the file holds it."""
    settings = Settings.from_env({"DATABASE_URL": "postgresql://", "JWT_SECRET_KEY": "-" * 32, "LOG_LEVEL": "ERROR"})
    app = create_app(settings)
    answer = app.test_client().get("/openapi.json")
    close_app(app)
    return json.dumps(answer.json, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(document())
