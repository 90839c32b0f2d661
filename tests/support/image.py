"""The image that a Dockerfile of deploy/ builds, without Docker."""

import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Image(NamedTuple):
    """The properties of an image that matter to a service."""

    user: str
    path: str = ""
    """The folders of the image's own programs, which precede the usual ones in PATH."""
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    workdir: str = "/"
    files: Mapping[str, Path] = {}
    """By path in the container."""


def build(dockerfile: Path, context: Path, folder: Path) -> Image:
    """Copy what the Dockerfile copies into `folder`, and return the image with its user and command.

    Nothing is installed: /venv is this environment.
    """
    lines = re.findall(r"^([A-Z]+) (.+)$", dockerfile.read_text(), re.MULTILINE)
    instructions = {instruction: arguments for instruction, arguments in lines if instruction != "COPY"}
    for source, target in _copies(lines):
        assert _is_in_context(source, context), f"{source} is ignored"
        _copy(context / source, folder / target.lstrip("/"))
    files = {f"/{path.name}": path for path in folder.glob("*")} if folder.exists() else {}
    path = re.search(r"PATH=([^:]+):", instructions.get("ENV", ""))
    if path and path[1] == "/venv/bin":
        files["/venv"] = Path(sys.prefix).resolve()
    return Image(
        instructions["USER"],
        path[1] if path else "",
        command=json.loads(instructions.get("CMD", "[]")),
        workdir=instructions.get("WORKDIR", "/"),
        files=files,
    )


def _copies(lines: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for instruction, arguments in lines:
        if instruction == "COPY" and not arguments.startswith("--from"):
            *sources, target = arguments.split()
            yield from (
                (source, f"{target}{Path(source).name}" if target.endswith("/") else target) for source in sources
            )


def _is_in_context(source: str, context: Path) -> bool:
    """Return whether .dockerignore, which excludes everything but its exceptions, lets a file or folder pass."""
    ignored, *kept = (context / ".dockerignore").read_text().split()
    assert ignored == "*"
    return any(f"!{path}" in kept for path in (source, *map(str, Path(source).parents)))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
