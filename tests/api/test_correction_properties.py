"""Random captures, corrections, withdrawals and redeliveries, against a model that keeps the whole history."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from tests.support import Caller, Response, correction, faults, snapshot, usd, user_token

DAYS = 3
# Few keys and few values, so that they often coincide.
days = st.integers(1, DAYS)
balances = st.sampled_from(["1.00", "2.00", "3.00"])


@dataclass(frozen=True)
class Capture:
    items: list[tuple[int, str]]
    """Days and balances."""


@dataclass(frozen=True)
class Correct:
    items: list[tuple[int, int, str | None]]
    """Days, places of snapshots, counted back from the newest of the day (some were never stored), and balances."""


@dataclass(frozen=True)
class Redeliver:
    age: int
    """The index of an earlier request, counted backwards."""


steps = st.one_of(
    st.builds(Capture, st.lists(st.tuples(days, balances), min_size=1, max_size=4)),
    st.builds(Correct, st.lists(st.tuples(days, st.integers(0, 3), st.none() | balances), min_size=1, max_size=3)),
    st.builds(Redeliver, st.integers(0, 5)),
)


@dataclass
class Key:
    """The history of one day's key."""

    values: dict[str, str] = field(default_factory=dict)
    """Balances of all snapshots that were ever stored, by id, oldest first."""
    current: str | None = None
    replaced_by: dict[str, str | None] = field(default_factory=dict)
    """The replacements of superseded snapshots, by their ids."""

    def superseded_with(self, balance: str) -> str | None:
        return max((id_ for id_ in self.replaced_by if self.values[id_] == balance), default=None)

    def is_same(self, id_: str, balance: str | None) -> bool:
        replaced_by = self.replaced_by[id_]
        return balance == (replaced_by and self.values[replaced_by])


class Model:
    """The expected responses and state of the service; new ids are taken from the service's responses."""

    def __init__(self) -> None:
        self.keys = {day: Key() for day in range(1, DAYS + 1)}
        self.audit: list[list[str]] = []
        """The ids that each batch superseded, oldest batch first."""

    def capture(self, items: list[tuple[int, str]]) -> list[tuple[str, str | None]]:
        """Return each item's status and the id of a duplicate."""
        expected: list[tuple[str, str | None]] = []
        new = {day: {b for d, b in items if d == day and not self._known(day, b)} for day in self.keys}
        seen = set()
        for day, balance in items:
            if known := self._known(day, balance):
                expected.append(("duplicate", known))
            elif self.keys[day].current or len(new[day]) > 1:
                expected.append(("conflict", None))
            else:
                expected.append(("duplicate" if day in seen else "created", None))
                seen.add(day)
        return expected

    def _known(self, day: int, balance: str) -> str | None:
        key = self.keys[day]
        if key.current and key.values[key.current] == balance:
            return key.current
        return key.superseded_with(balance)

    def captured(self, items: list[tuple[int, str]], ids: Iterable[str]) -> None:
        for (day, balance), id_ in zip(items, ids, strict=True):
            if id_ not in self.keys[day].values:
                self.keys[day].values[id_] = balance
                self.keys[day].current = id_

    def correct(self, items: list[tuple[int, str, str | None]]) -> list[str]:
        """Return each correction's status."""
        expected = []
        seen = set()
        for day, id_, balance in items:
            key = self.keys[day]
            if id_ == key.current:
                balances = {b for d, i, b in items if (d, i) == (day, id_)}
                status = "corrected" if balance else "withdrawn"
                expected.append("conflict" if len(balances) > 1 else "duplicate" if id_ in seen else status)
                seen.add(id_)
            elif id_ in key.replaced_by:
                expected.append("duplicate" if key.is_same(id_, balance) else "conflict")
            else:
                expected.append("conflict")
        return expected

    def corrected(self, items: list[tuple[int, str, str | None]], replacements: Iterable[str | None]) -> None:
        moved = []
        for (day, id_, balance), replaced_by in zip(items, replacements, strict=True):
            key = self.keys[day]
            if id_ == key.current:
                key.replaced_by[id_] = key.current = replaced_by
                if replaced_by and balance:
                    key.values[replaced_by] = balance
                moved.append(id_)
            assert key.replaced_by[id_] == replaced_by
        self.audit.append(moved)


class Service:
    """The service, which gets the same requests as the model."""

    def __init__(self, app: Flask) -> None:
        self.user_id, self.account_id = str(uuid4()), str(uuid4())
        self._user = Caller(app, user_token(self.user_id))
        self._job = Caller(app, user_token("job", scope="balance-snapshots:write balance-snapshots:correct"))

    def item(self, day: int, balance: str = "0") -> dict[str, Any]:
        return snapshot(self.user_id, self.account_id, balance, captured_at=f"2025-01-0{day}T00:00:00Z")

    def capture(self, model: Model, items: list[tuple[int, str]]) -> None:
        expected = model.capture(items)
        response = self._job.capture(*(self.item(day, balance) for day, balance in items))
        statuses = [status for status, _ in expected]
        if "conflict" in statuses:
            assert_conflict(response, "snapshots", statuses)
            return
        assert response.status_code == (201 if "created" in statuses else 200), response.text
        found = response.json["snapshots"]
        assert [each["status"] for each in found] == statuses
        for (_, id_), each in zip(expected, found, strict=True):
            assert id_ in (None, each["id"])
        model.captured(items, [each["id"] for each in found])

    def correct(self, model: Model, items: list[tuple[int, str, str | None]]) -> None:
        statuses = model.correct(items)
        response = self._job.correct(
            *(correction(self.item(day), id_, usd(balance) if balance else None) for day, id_, balance in items)
        )
        if "conflict" in statuses:
            assert_conflict(response, "corrections", statuses)
            return
        assert response.status_code == 200, response.text
        found = response.json["corrections"]
        assert [(each["id"], each["status"]) for each in found] == [
            (id_, status) for (_, id_, _), status in zip(items, statuses, strict=True)
        ]
        counts = {f"{status}_count": statuses.count(status) for status in ("corrected", "withdrawn", "duplicate")}
        assert {name: response.json[name] for name in counts} == counts
        model.corrected(items, [each["replaced_by"] for each in found])

    def assert_matches(self, model: Model) -> None:
        """Fail unless the current snapshots, the totals and the corrections are those of the model."""
        current = [(id_, key.values[id_]) for day, key in model.keys.items() if (id_ := key.current)]
        if not any(key.values for key in model.keys.values()):
            assert self._user.corrections(self.account_id).status_code == 404
            return
        shown = self._user.recent(self.account_id).json["snapshots"]
        assert [(each["id"], each["balance"]) for each in shown] == current[::-1]
        totals = self._user.latest().json["total_balance_by_currency"]
        assert totals == ({"USD": current[-1][1]} if current else {})
        portfolio = self._user.get("/balance-history", start_date="2025-01-01", end_date="2025-01-31", interval="month")
        assert {s["currency"]: s["end_balance"] for s in portfolio.json["series"]} == totals
        superseded = {id_: (key, id_) for key in model.keys.values() for id_ in key.replaced_by}
        audit = [superseded[id_] for moved in model.audit[::-1] for id_ in sorted(moved, reverse=True)]
        listed = self._user.corrections(self.account_id, limit="100").json["corrections"]
        assert [(each["id"], each["balance"], each["replaced_by"]) for each in listed] == [
            (id_, key.values[id_], key.replaced_by[id_]) for key, id_ in audit
        ]


def assert_conflict(response: Response, member: str, statuses: list[str]) -> None:
    assert response.status_code == 409, response.text
    assert list(faults(response)) == [f"/{member}/{n}" for n, status in enumerate(statuses) if status == "conflict"]


@given(story=st.lists(steps, min_size=1, max_size=12))
def test_the_service_matches_the_model_after_any_sequence_of_requests(
    app: Flask, story: list[Capture | Correct | Redeliver]
) -> None:
    service, model = Service(app), Model()
    requests: list[Any] = []
    for step in story:
        if isinstance(step, Redeliver):
            if step.age < len(requests):
                requests[-1 - step.age]()
        elif isinstance(step, Capture):
            requests.append(lambda items=step.items: service.capture(model, items))
            requests[-1]()
        else:
            items = [(day, nth_newest(model.keys[day], age), balance) for day, age, balance in step.items]
            requests.append(lambda items=items: service.correct(model, items))
            requests[-1]()
        service.assert_matches(model)


def nth_newest(key: Key, age: int) -> str:
    """Return the id of a snapshot of the key, or one that was never stored."""
    ids = list(key.values)
    return ids[-1 - age] if age < len(ids) else str(uuid4())
