"""`make fuzz`: send the service valid and invalid requests, and check every response against its contract.

Schemathesis generates the requests from /openapi.json and applies all of its checks. The service runs as in `make run`,
with a state folder of its own: python -m tools.fuzz [SEED] [EXAMPLES per operation].
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from config import read_variable, with_overrides
from snapshots import capture, corrections
from tools import demo, local, processes

ROOT = Path(__file__).parent.parent
START_SECONDS = 180
# Longer than anybody would wait for a run.
MAX_SECONDS = 3600


def main(arguments: list[str]) -> None:
    seed, examples = (int(number) for number in (arguments + ["1", "1000"][len(arguments) :]))
    with tempfile.TemporaryDirectory(prefix="snapshots-fuzz-") as folder, _service(Path(folder)) as (base, token):
        done = subprocess.run(
            [str(Path(sys.executable).with_name("schemathesis")), "run", f"{base}/openapi.json"]
            + ["--checks", "all", "--mode", "all", "--phases", "examples,coverage,fuzzing", "--seed", str(seed)]
            + ["--max-examples", str(examples), "--continue-on-failure", "--request-timeout", "60"]
            + ["--generation-database", "none", "--warnings", "off", "--header", f"Authorization: Bearer {token}"],
            cwd=folder,
            env=os.environ | {"SCHEMATHESIS_HOOKS": "tools.fuzz_hooks", "PYTHONPATH": str(ROOT)},
            timeout=MAX_SECONDS,
            check=False,
        )
    sys.exit(done.returncode)


# Settings that a developer's shell may hold for another purpose.
_CLEARED = (
    "DATABASE_URL",
    "REDIS_URL",
    "SOCKET",
    "JWT_ALGORITHM",
    "JWT_PUBLIC_KEY",
    "JWT_JWKS_URL",
    "DOCS",
    "CORS_ORIGINS",
)


@contextlib.contextmanager
def _service(folder: Path) -> Iterator[tuple[str, str]]:
    """Run the service; yield its base URL and a token for its demo user, who may also capture and correct."""
    local.STATE = folder
    port = processes.free_port()
    environment = with_overrides(
        os.environ,
        **dict.fromkeys(_CLEARED, ""),
        WEB_CONCURRENCY="1",
        STATE_DIR=str(folder),
        HOST="127.0.0.1",
        PORT=str(port),
        JWT_SECRET_KEY=read_variable(os.environ, "JWT_SECRET_KEY") or local.secret(),
        API_READ_LIMIT="1000000/minute",
    )
    log = folder / "service.log"
    with log.open("wb") as output:
        service = processes.start(
            [sys.executable, "-m", "tools.run"], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        base = f"http://127.0.0.1:{port}"
        if not processes.wait_until_up(f"{base}/readyz", START_SECONDS, lambda: service.poll() is None):
            sys.exit(f"make fuzz: the service does not start:\n{log.read_text(errors='replace')}")
        yield base, local.token(demo.USER, f"{capture.SCOPE} {corrections.SCOPE}")
    finally:
        processes.end(service)


if __name__ == "__main__":
    main(sys.argv[1:])
