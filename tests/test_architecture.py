"""The layout of the code: one-way imports, small modules, tests in tiers, and unique versions of migrations."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapshots import MIGRATIONS

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for folder in (".", "schemas", "service", "snapshots", "tools", "deploy")
    for path in (ROOT / folder).glob("*.py")
)

TESTS = sorted((ROOT / "tests").rglob("*.py"))

# The packages that each package may import.
MAY_IMPORT = {
    "config": set(),
    "schemas": {"schemas"},
    "service": {"service", "config"},
    "snapshots": {"snapshots", "schemas", "service"},
    "app": {"snapshots", "service", "config"},
    "wsgi": {"app", "config"},
    "commands": {"app", "config"},
    "deploy": {"app", "service", "config"},
    "tools": {"tools", "app", "snapshots", "schemas", "config"},
}
MAY_NOT_IMPORT = {
    "schemas": {"flask", "psycopg"},
    "snapshots/queries.py": {"flask", "service", "schemas"},
    "snapshots/statements.py": {"flask", "service", "schemas"},
    "snapshots/command_queries.py": {"flask", "service", "schemas"},
    "snapshots/batch.py": {"flask", "service", "schemas"},
    "snapshots/correcting.py": {"flask", "service", "schemas"},
    "tools": {"flask"},
}
# Whole words or parts of them, in names, texts and comments.
DOMAIN_WORDS = re.compile("(?i)(?:snapshot|account|balance|captur|holding|currenc|portfolio|batch)[a-z]*")
every_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))


def package(path: Path) -> str:
    return path.stem if path.parent == ROOT else path.parent.name


def imported(path: Path) -> Iterator[str]:
    """Yield the top-level names that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield (node.module or "").partition(".")[0]


@every_source
def test_imports_point_one_way(path: Path) -> None:
    assert {name for name in imported(path) if name in MAY_IMPORT} <= MAY_IMPORT[package(path)]


@every_source
def test_a_module_does_not_import_what_it_may_not_depend_on(path: Path) -> None:
    for place, forbidden in MAY_NOT_IMPORT.items():
        if place in (package(path), str(path.relative_to(ROOT))):
            assert not forbidden & set(imported(path))


@pytest.mark.parametrize("path", [path for path in SOURCES if package(path) == "service"], ids=lambda path: path.name)
def test_the_service_package_does_not_name_the_domain(path: Path) -> None:
    assert set(DOMAIN_WORDS.findall(path.read_text())) == set()


@every_source
def test_no_class_derives_from_a_database_error(path: Path) -> None:
    classes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    bases = {ast.unparse(base) for each in classes for base in each.bases}
    assert {base for base in bases if base.startswith("psycopg.") and base.endswith("Error")} == set()


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_at_most_300_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


def test_every_test_belongs_to_a_tier() -> None:
    tiers = {"api", "sql", "service", "cli", "system", "citus"}
    modules = {path.relative_to(ROOT / "tests") for path in TESTS if path.name.startswith("test_")}

    assert {path for path in modules if path.parts[0] not in tiers} == {Path("test_architecture.py")}


def test_no_two_migrations_share_a_version() -> None:
    versions = [path.name.partition("_")[0] for path in MIGRATIONS.glob("*.sql")]

    assert versions
    assert len(set(versions)) == len(versions)
