"""`make screenshot`: take the picture in README.md, the page with the demo portfolio."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import psycopg
from playwright.sync_api import sync_playwright

from tools import demo, local, postgres, processes
from tools.migrate import migrate

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "page.png"
WIDTH, HEIGHT = 1120, 990
START_SECONDS = 180
# The shell has no windows, which saves a fifth of the CPU time.
BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")


def find_browser() -> str | None:
    """Return the path of the first of these browsers that is installed, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def main() -> None:
    """Write the picture to the path of the first argument, or to docs."""
    browser = find_browser()
    if browser is None:
        sys.exit("make screenshot: there is no browser: apt-get install chromium-headless-shell")
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    processes.interrupt_on_signals()
    with tempfile.TemporaryDirectory(prefix="snapshots-") as folder, postgres.running(Path(folder) / "postgres") as url:
        migrate(url)
        with psycopg.connect(url) as connection:
            demo.load(connection)
        _serve_and_take(path, browser, url)
    print(f"{path}: {path.stat().st_size // 1024} KiB")


def _serve_and_take(path: Path, browser: str, database_url: str) -> None:
    port = processes.free_port()
    server = processes.start(
        [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "deploy" / "gunicorn.conf.py")],
        cwd=ROOT,
        env=local.environment(database_url) | {"PORT": str(port), "DOCS": "true"},
    )
    base = f"http://127.0.0.1:{port}"
    try:
        if not processes.wait_until_up(f"{base}/readyz", START_SECONDS, lambda: server.poll() is None):
            sys.exit("make screenshot: the service does not start")
        _take_screenshot(path, browser, f"{base}/#token={local.token(demo.USER)}")
    finally:
        processes.end(server)


def _take_screenshot(path: Path, browser: str, url: str) -> None:
    with sync_playwright() as playwright:
        # Chromium's sandbox does not run as root.
        chromium = playwright.chromium.launch(executable_path=browser, chromium_sandbox=os.geteuid() != 0)
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, timezone_id="UTC")
        page.goto(url)
        # A forced check does not wait until its target is visible.
        page.locator("#portfolio").wait_for()
        page.get_by_label("All", exact=True).check(force=True)
        page.locator("body:not(.loading) .series canvas").last.wait_for()
        page.screenshot(path=path)
        chromium.close()


if __name__ == "__main__":
    main()
