"""The page of the API's documentation and what it loads."""

import re
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from config import Settings
from tests.support.apps import serving
from tests.support.contract import docs_assets

LOADED = {"swagger-ui.css", "swagger-ui-bundle.js", "docs.css", "docs.js", "favicon-32x32.png"}


@pytest.mark.parametrize("path", ["/docs", "asset", "/openapi.json"])
def test_a_setting_turns_the_documentation_off(settings: Settings, anonymous: FlaskClient, path: str) -> None:
    url = docs_assets(anonymous)["swagger-ui.css"] if path == "asset" else path
    with serving(replace(settings, docs=False)) as app:
        response = app.test_client().get(url)

    assert response.status_code == 404
    assert response.content_type == "application/problem+json"


def test_the_docs_page_gets_all_files_that_it_needs_and_may_run_nothing_else(anonymous: FlaskClient) -> None:
    page = anonymous.get("/docs")

    assert "//" not in page.text
    loaded = docs_assets(anonymous)
    assert set(loaded) == LOADED
    assert {anonymous.get(url).status_code for url in loaded.values()} == {200}
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    assert "<script>" not in page.text


@pytest.mark.parametrize("name", sorted(LOADED))
def test_an_asset_may_be_cached_for_good_because_its_url_changes_with_its_content(
    anonymous: FlaskClient, name: str
) -> None:
    url = docs_assets(anonymous)[name]

    assert re.fullmatch(rf"/docs/[0-9a-f]{{16}}/{re.escape(name)}", url)
    assert anonymous.get(url).headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_no_other_file_is_served(anonymous: FlaskClient) -> None:
    folder = docs_assets(anonymous)["docs.js"].rpartition("/")[0]
    for path in ("/docs/", f"{folder}/none.js", f"{folder}/swagger-ui.js", f"{folder}/..%2fdocs.py", "/docs/0/docs.js"):
        assert anonymous.get(path).status_code == 404
