"""The functions that run with the owner's rights: who may call them, and what they can be made to do."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from schemas.capture import CaptureBatch
from schemas.corrections import CorrectionBatch
from snapshots import batch, correcting
from snapshots.correcting import ContradictionError
from tests.support import correction, snapshot, usd
from tests.support.clusters import new_cluster
from tests.support.role_database import TRUSTED_FUNCTIONS, Database
from tools import postgres
from tools.migrate import migrate

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with postgres.running(new_cluster(tmp_path_factory.mktemp("trusted-functions") / "postgres")) as url:
        database = Database(url)
        database.deploy()
        yield database


@pytest.fixture
def service(deployed: Database) -> Iterator[Connection]:
    with psycopg.connect(deployed.url("snapshots_service"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def item(user_id: str, account_id: str) -> dict[str, Any]:
    return snapshot(user_id, account_id, "10000.00")


def capture(service: Connection, item: dict[str, Any]) -> tuple[str, str]:
    """Capture a snapshot; return its status and id."""
    [match] = batch.store(service, CaptureBatch().load({"snapshots": [item]})["snapshots"])
    return match.status, str(match.id)


def correct(service: Connection, *items: dict[str, Any]) -> list[str]:
    loaded = CorrectionBatch().load({"corrections": list(items)})["corrections"]
    return [match.status for match in correcting.store(service, loaded, "job")]


def balances(service: Connection, user_id: str) -> list[str]:
    query = "SELECT balance::text FROM balance_snapshots WHERE user_id = %s"
    return [balance for (balance,) in service.execute(query, [user_id])]


@pytest.mark.parametrize("replacement", [usd("100.00"), None], ids=["replaced", "withdrawn"])
def test_the_serving_role_captures_corrects_and_captures_again(
    service: Connection, user_id: str, item: dict[str, Any], replacement: dict[str, Any] | None
) -> None:
    _, id_ = capture(service, item)

    assert correct(service, correction(item, id_, replacement)) == ["corrected" if replacement else "withdrawn"]

    assert capture(service, item) == ("duplicate", id_)
    assert balances(service, user_id) == (["100.00"] if replacement else [])


def test_only_the_owner_and_the_serving_role_may_call_trusted_functions(deployed: Database) -> None:
    stranger = f"stranger_{uuid4().hex}"
    deployed.execute_as_superuser(f"CREATE ROLE {stranger}")

    assert deployed.trusted_functions() == TRUSTED_FUNCTIONS
    assert deployed.trusted_functions("snapshots_owner") == TRUSTED_FUNCTIONS
    assert deployed.trusted_functions(stranger) == set()


def test_the_next_migration_run_lets_the_serving_role_call_trusted_functions(deployed: Database) -> None:
    """Revoking the rights stands in for a role that does not exist yet: roles belong to the whole server."""
    later = Database(deployed.url())
    later.execute_as_superuser(f"ALTER DATABASE {later.name} OWNER TO snapshots_owner")
    with psycopg.connect(later.url("snapshots_owner"), autocommit=True) as owner:
        migrate(later.url("snapshots_owner"))
        owner.execute("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM snapshots_service")
        assert later.trusted_functions() == set()

    migrate(later.url("snapshots_owner"))

    assert later.trusted_functions() == TRUSTED_FUNCTIONS


@pytest.mark.parametrize("member", ["id", "user_id", "account_id", "source", "captured_at"])
def test_a_snapshot_is_superseded_only_if_its_id_its_user_and_its_whole_key_are_named(
    service: Connection, user_id: str, item: dict[str, Any], member: str
) -> None:
    _, id_ = capture(service, item)
    named = correction(item, id_, None)
    other = {"source": "manual_sync", "captured_at": "2025-01-02T00:00:00Z"}.get(member, str(uuid4()))

    with pytest.raises(ContradictionError):
        correct(service, named | {member: other})

    assert balances(service, user_id) == ["10000.00"]


def test_temporary_tables_do_not_replace_those_of_the_service(
    service: Connection, user_id: str, item: dict[str, Any]
) -> None:
    """A caller with the serving role's password could try this with names that come first in its search path."""
    _, id_ = capture(service, item)
    service.execute("CREATE TEMP TABLE superseded_snapshots (LIKE public.superseded_snapshots)")
    service.execute("CREATE TEMP TABLE accounts (LIKE public.accounts)")
    service.execute("SET search_path = pg_temp, public")
    service.execute(
        "SELECT public.supersede_snapshots(json_build_array(json_build_object('id', %s::text, 'user_id', %s::text,"
        " 'account_id', %s::text, 'source', %s::text, 'captured_at', %s::text, 'reason', 'x')), 'job')",
        [id_, *(item[name] for name in ("user_id", "account_id", "source", "captured_at"))],
    )

    audit = "SELECT count(*) FROM public.superseded_snapshots WHERE user_id = %s"
    assert service.execute(audit, [user_id]).fetchone() == (1,)
    assert balances(service, user_id) == []


def test_a_call_without_a_reason_supersedes_nothing(service: Connection, user_id: str, item: dict[str, Any]) -> None:
    _, id_ = capture(service, item)
    named = {"id": id_, **{name: item[name] for name in ("user_id", "account_id", "source", "captured_at")}}

    with pytest.raises(psycopg.errors.NotNullViolation):
        service.execute("SELECT supersede_snapshots(json_build_array(%s::json), 'job')", [json.dumps(named)])

    assert balances(service, user_id) == ["10000.00"]
