"""CORS through nginx: a page of another origin in a real browser, and nginx's own problems."""

import functools
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Error, Page

from tests.support import API, LATEST, PATIENCE_SECONDS, ROOT, SCOPE, snapshot, user_token
from tests.support.browser import needs_browser
from tests.support.stack_client import (
    BASE_URL,
    assert_problem,
    capture,
    frozen_service,
    needs_nginx,
    read,
    send_request,
    started,
    unreachable_service,
)
from tools import stack
from tools.processes import free_port
from tools.stack import Stack

pytestmark = needs_nginx

ALLOWED = "https://app.example.com"
LONG = f"https://{'long.' * 40}example.com"
# Sends a request as a page would, and returns the parts of the response that the page can read.
FETCH = """async ([url, options, names]) => {
    const response = await fetch(url, options);
    const headers = Object.fromEntries(names.map((name) => [name, response.headers.get(name)]));
    return {status: response.status, headers, text: await response.text()};
}"""


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of another web server, which serves a page at two origins: 127.0.0.1 and localhost."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("<!DOCTYPE html><link rel=icon href=data:,><title>Another origin</title>")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def shared(site: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that the page at 127.0.0.1 may call, and the one at localhost may not."""
    origins = f"http://127.0.0.1:{site},{ALLOWED},{LONG}"
    with started(tmp_path_factory.mktemp("state"), CORS_ORIGINS=origins) as shared:
        yield shared


@pytest.fixture
def page(tab: Page, site: int) -> Page:
    """A page of the allowed origin, which must report no error."""
    tab.goto(f"http://127.0.0.1:{site}/")
    return tab


def fetch(page: Page, url: str, *names: str, scope: str = "", user_id: str = "", **options: Any) -> dict[str, Any]:
    """Send a request from the page with a user's token; return the status, these headers and the text that it reads."""
    bearer = f"Bearer {user_token(user_id or str(uuid4()), scope=scope)}"
    headers = {"Authorization": bearer, **options.pop("headers", {})}
    return dict(page.evaluate(FETCH, [url, {"headers": headers, **options}, list(names)]))


def post(*snapshots: dict[str, Any]) -> dict[str, Any]:
    """The options of a request that captures snapshots."""
    body = json.dumps({"snapshots": snapshots})
    return {"method": "POST", "body": body, "headers": {"Content-Type": "application/json"}}


@needs_browser
def test_a_page_of_an_allowed_origin_captures_and_reads_headers_and_body(shared: Stack, page: Page) -> None:
    user_id, account_id = str(uuid4()), str(uuid4())
    sent = post(*(snapshot(user_id, account_id, captured_at=f"2025-01-0{day}T00:00:00Z") for day in (1, 2)))

    captured = fetch(page, f"{shared.base}{LATEST}", "X-Trace-Id", scope=SCOPE, **sent)
    account = f"{shared.base}{API}/accounts/{account_id}"
    listed = fetch(
        page, f"{account}/balance-snapshots?limit=1", "Link", "X-RateLimit-Remaining", "X-Trace-Id", user_id=user_id
    )
    csv = fetch(
        page,
        f"{account}/balance-history.csv?start_date=2025-01-01&end_date=2025-02-01",
        "Content-Disposition",
        user_id=user_id,
    )

    assert captured["status"] == 201
    assert captured["headers"]["X-Trace-Id"]
    assert (listed["status"], listed["headers"]["X-RateLimit-Remaining"]) == (200, "99")
    assert 'rel="next"' in listed["headers"]["Link"]
    assert csv["headers"]["Content-Disposition"] == f'attachment; filename="balance-history-{account_id}.csv"'
    assert len(csv["text"].splitlines()) == 3


@needs_browser
def test_a_page_of_an_allowed_origin_can_read_why_it_was_refused(shared: Stack, page: Page) -> None:
    unauthorized = fetch(page, f"{shared.base}{LATEST}", headers={"Authorization": "Bearer x"})
    large = fetch(page, f"{shared.base}{LATEST}", "X-Trace-Id", method="POST", body=" " * 1_048_577)

    assert unauthorized["status"] == 401
    assert '"detail": "The token is not valid."' in unauthorized["text"]
    # nginx's own problem.
    assert large["status"] == 413
    assert large["headers"]["X-Trace-Id"] in large["text"]


@needs_browser
def test_the_documented_example_reads_from_a_page(shared: Stack, page: Page) -> None:
    (example,) = re.findall(
        r"^```js\n(.*?)^```", (ROOT / "docs" / "integrating.md").read_text(), re.DOTALL | re.MULTILINE
    )
    program = f"async ([API, token]) => {{ {example} return body.total_count; }}"

    assert page.evaluate(program, [f"{shared.base}{API}", user_token(str(uuid4()))]) == 0
    with pytest.raises(Error, match=r"The token is not valid\. \(0 s, [0-9a-f]{32}\)"):
        page.evaluate(program, [f"{shared.base}{API}", "x"])


@pytest.fixture
def refused_page(shared_tab: Page, site: int) -> Iterator[Page]:
    """A page of another origin, to which the browser reports each refusal as an error."""
    shared_tab.goto(f"http://localhost:{site}/")
    yield shared_tab
    shared_tab.goto("about:blank")


@needs_browser
def test_a_page_of_another_origin_reads_nothing_and_captures_nothing(shared: Stack, refused_page: Page) -> None:
    user_id = str(uuid4())
    sent = post(snapshot(user_id, str(uuid4())))

    with pytest.raises(Error, match="Failed to fetch"):
        fetch(refused_page, f"{shared.base}{LATEST}", user_id=user_id)
    with pytest.raises(Error, match="Failed to fetch"):
        # It needs no preflight.
        refused_page.evaluate("url => fetch(url)", f"{shared.base}/healthz")
    with pytest.raises(Error, match="Failed to fetch"):
        fetch(refused_page, f"{shared.base}{LATEST}", scope=SCOPE, **sent)

    assert read(shared, user_id).json["total_count"] == 0


def test_a_preflight_needs_no_token_and_passes_nginx(shared: Stack) -> None:
    requested = {
        "Access_Control_Request_Method": "POST",
        "Access_Control_Request_Headers": "authorization,content-type",
    }

    response = send_request(shared, LATEST, "OPTIONS", Origin=ALLOWED, **requested)

    assert (response.status, response.body) == (204, b"")
    assert response.headers["Access-Control-Allow-Origin"] == ALLOWED
    assert "POST" in response.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize(("origin", "allowed"), [(ALLOWED, True), (LONG, True), ("https://other.example.com", False)])
def test_a_problem_of_nginx_has_the_headers_of_the_services_responses(
    shared: Stack, origin: str, allowed: bool
) -> None:
    of_service = read(shared, str(uuid4()), Origin=origin)

    response = send_request(shared, "/metrics", Origin=origin)

    assert_problem(response, 404)
    assert response.headers.get_all("Access-Control-Allow-Origin") == ([origin] if allowed else None)
    assert response.headers.get_all("Vary") == ["Origin"]
    for name in ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Access-Control-Allow-Credentials"):
        assert response.headers.get_all(name) == of_service.headers.get_all(name)


def test_a_page_can_read_that_the_service_is_down_and_that_the_caller_sends_too_many_reads(shared: Stack) -> None:
    headers = {"Authorization": f"Bearer {user_token(str(uuid4()))}", "Origin": ALLOWED}
    with unreachable_service(shared):
        responses = [capture(shared, Origin=ALLOWED)]
    with frozen_service(shared), ThreadPoolExecutor(5) as threads:
        responses += threads.map(lambda _: send_request(shared, LATEST, **headers), range(5))

    assert sorted(response.status for response in responses) == [429, 502, 504, 504, 504, 504]
    for response in responses:
        assert response.headers["Access-Control-Allow-Origin"] == ALLOWED
        assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]


def check_nginx(folder: Path, origins: str) -> subprocess.CompletedProcess[str]:
    """Have nginx check its configuration with these CORS_ORIGINS."""
    environment = stack.nginx_environment(
        f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}", "unix:/none", BASE_URL, cors_origins=origins
    )
    command = [str(stack.DEPLOY / "nginx.sh"), str(folder), "-t"]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )


@pytest.mark.parametrize("origins", ['https://a.example"; }', "https://a.example;", "$host", "*"])
def test_nginx_refuses_origins_that_it_would_misread(tmp_path: Path, origins: str) -> None:
    done = check_nginx(tmp_path, origins)

    assert done.returncode == 1
    assert "is not an origin like https://app.example.com." in done.stderr


def test_nginx_accepts_an_origin_that_is_named_twice_as_the_service_does(tmp_path: Path) -> None:
    done = check_nginx(tmp_path, f"{ALLOWED}, {LONG},{ALLOWED}")

    assert done.returncode == 0, done.stderr
