"""The page at / and the static files: what is served, and for how long it may be cached."""

import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from config import Settings
from service.page import chart_library
from tests.support import ROOT
from tests.support.apps import serving

# dist/uPlot.iife.min.js of uPlot 1.6.31, as its authors published it on npm.
UPLOT = "2d27e8ad3d228164525ce213f9dc716f39b4e3aee0cc773fb3491c96cf4921a2"
LOADED = ("page.js", "page.css", "icon.svg", "uplot.iife.min.js", "uplot.min.css")


def assets(client: FlaskClient) -> dict[str, str]:
    """Return the URLs that the page loads, by file name."""
    found = re.findall(r'(?:src|href)="(/assets/[^"]+)"', client.get("/").text)
    return {url.rpartition("/")[2]: url for url in found}


def test_the_page_links_to_the_documentation(anonymous: FlaskClient) -> None:
    links = re.findall(r'<a href="([^"]+)"', anonymous.get("/").text)

    assert links == ["/docs", "/openapi.json"]
    assert [anonymous.get(link).status_code for link in links] == [200, 200]


def test_the_page_may_load_and_run_only_what_the_service_serves(anonymous: FlaskClient) -> None:
    page = anonymous.get("/")

    assert page.content_type == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}
    assert {policy[name] for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert page.headers["Cache-Control"] == "private, no-store"


def test_every_asset_of_the_page_is_served(anonymous: FlaskClient) -> None:
    loaded = assets(anonymous)

    assert set(loaded) == set(LOADED)
    modules = {f"./{file.name}" for file in (ROOT / "snapshots" / "page").glob("*.js")}
    for name, url in loaded.items():
        assert anonymous.get(url).status_code == 200, name
    imported = re.findall(r'from "([^"]+)"', anonymous.get(loaded["page.js"]).text)
    assert imported
    assert set(imported) <= modules


@pytest.mark.parametrize("name", LOADED)
def test_an_asset_may_be_cached_for_good_because_its_url_changes_with_its_content(
    anonymous: FlaskClient, name: str
) -> None:
    asset = anonymous.get(assets(anonymous)[name])

    assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert asset.headers["X-Content-Type-Options"] == "nosniff"


def test_changed_content_has_a_different_url(
    settings: Settings, anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = assets(anonymous)
    (tmp_path / "index.html").write_text((ROOT / "snapshots" / "page" / "index.html").read_text())
    (tmp_path / "page.js").write_text("changed();")
    monkeypatch.setattr("app.PAGE", tmp_path)
    with serving(settings) as app:
        after = assets(app.test_client())

        assert after["page.js"] != before["page.js"]
        assert app.test_client().get(before["page.js"]).status_code == 404


def test_a_file_that_a_client_already_has_is_not_sent_again(anonymous: FlaskClient) -> None:
    url = assets(anonymous)["page.css"]
    first = anonymous.get(url)
    # nginx weakens the ETag of a response that it compresses.
    for etag in (first.headers["ETag"], f"W/{first.headers['ETag']}"):
        again = anonymous.get(url, headers={"If-None-Match": etag})

        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
    assert anonymous.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    assert anonymous.get(url, headers={"If-Match": '"other"', "Range": "lines=1-2"}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/assets/{}/index.html", "/assets/{}/none.js", "/assets/0/page.js", "/assets/{}/..%2fpage.js"]
)
def test_no_other_file_is_served(anonymous: FlaskClient, path: str) -> None:
    version = assets(anonymous)["page.js"].split("/")[2]
    response = anonymous.get(path.format(version))

    assert response.status_code == 404
    assert response.headers["Cache-Control"] == "private, no-store"


def test_the_setting_that_turns_the_documentation_off_turns_the_page_off(
    settings: Settings, anonymous: FlaskClient
) -> None:
    urls = ["/", *assets(anonymous).values()]
    with serving(replace(settings, docs=False)) as app:
        responses = [app.test_client().get(url) for url in urls]

    assert {(r.status_code, r.content_type) for r in responses} == {(404, "application/problem+json")}


def test_the_chart_library_is_the_one_that_its_authors_published() -> None:
    script, _ = chart_library()

    assert hashlib.sha256(script.read_bytes()).hexdigest() == UPLOT


def test_the_package_that_carries_the_library_is_never_run() -> None:
    code = (
        "import app, sys; from service.page import chart_library; chart_library(); sys.exit('youplot' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
