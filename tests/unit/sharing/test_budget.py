"""What is not begun where a batch's earlier steps took the time, and what keeps its arm."""

from typing import Any

import pytest

from gateway.records.reasons import Reason
from gateway.runtime.clock import MS
from gateway.sharing.items import Item, Tally
from gateway.sharing.queue import ANSWER_MS
from issuernetwork.v1 import enrichment_pb2
from tests.kit.faults import Instead
from tests.kit.payments import payment
from tests.unit.sharing.kit import NOW_MS, RELEASED, Kit

HURRIED, PATIENT = 20, 2_000


class Slow:
    """A gateway one of whose steps takes time; every other payment has little of it."""

    def __init__(self) -> None:
        self.kit = Kit()
        self.tally = Tally()

    def enrich(self, count: int) -> list[enrichment_pb2.EnrichAuthorizationResponse]:
        now_ns = self.kit.clock.monotonic_ns()
        items = [Item("shop", payment(n, now_ms=NOW_MS).SerializeToString()) for n in range(count)]
        due = [now_ns + (PATIENT if n % 2 else HURRIED) * MS for n in range(count)]
        results = self.kit.gateway.enrich(items, self.tally, due)
        return [enrichment_pb2.EnrichAuthorizationResponse.FromString(result) for result in results]  # type: ignore[arg-type]


def test_what_would_come_too_late_behind_a_slow_fetch_is_dropped_without_a_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Slow()
    velocity = slow.kit.velocity

    def touch(batch: Any) -> Any:
        slow.kit.clock.advance_ms(HURRIED - 1)
        return velocity.touch(batch)

    monkeypatch.setattr(slow.kit.gateway.counting, "store", Instead(velocity, touch=touch))
    answers = slow.enrich(40)
    assert [one.degraded_reason for one in answers] == ["over_deadline", ""] * 20
    assert all(not one.decisions and one.request_id for one in answers[::2])
    assert [one.request_id for one in slow.kit.journal.records()] == [f"p-r-{n}" for n in range(1, 40, 2)]
    assert (slow.tally.degraded, slow.tally.evaluated) == (20, 20)


def test_what_would_come_too_late_behind_slow_decisions_keeps_its_arm_and_shares_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick, slow = Slow(), Slow()
    monkeypatch.setattr(
        slow.kit.gateway, "_has_key", lambda entry: bool(slow.kit.clock.advance_ms(HURRIED) or True)
    )
    expected, answers = quick.enrich(40), slow.enrich(40)
    assert [one.degraded_reason for one in answers] == ["over_deadline", ""] * 20
    assert [one.degraded_reason for one in expected] == [""] * 40
    hurried = {answer.request_id for answer in answers[::2]}
    shared = 0
    for theirs, ours in zip(quick.kit.journal.records(), slow.kit.journal.records(), strict=True):
        for before, after in zip(theirs.decisions, ours.decisions, strict=True):
            assert (before.arm, before.eligible) == (after.arm, after.eligible)
            if ours.request_id not in hurried:
                assert before.outcome == after.outcome
            elif before.outcome == RELEASED:
                shared += 1
                assert after.withhold_reason == Reason.OVER_DEADLINE
                assert not after.sealed
    assert shared, "some of the hurried ones would have been shared"


def test_a_batch_without_deadlines_is_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    velocity = slow.kit.velocity
    monkeypatch.setattr(
        slow.kit.gateway.counting,
        "store",
        Instead(velocity, touch=lambda batch: (slow.kit.clock.advance_ms(10_000), velocity.touch(batch))[1]),
    )
    items = [Item("shop", payment(n, now_ms=NOW_MS).SerializeToString()) for n in range(4)]
    results = slow.kit.gateway.enrich(items, slow.tally, [0] * 4)
    assert len(slow.kit.journal.payloads) == len(results) == 4


def test_the_fetch_is_told_when_the_first_payment_has_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    fetch = slow.kit.gateway._fetch
    told: list[int] = []
    monkeypatch.setattr(
        slow.kit.gateway,
        "_fetch",
        Instead(fetch, fetch=lambda batch, until_ns: (told.append(until_ns), fetch.fetch(batch, until_ns))),
    )
    due_ns = slow.kit.clock.monotonic_ns() + HURRIED * MS
    slow.enrich(4)
    assert due_ns - HURRIED * MS < told[0] < due_ns - ANSWER_MS * MS
    items = [Item("shop", payment(9, now_ms=NOW_MS).SerializeToString())]
    for due in (0, 1):
        slow.kit.gateway.enrich(items, slow.tally, [due])
    # Without a deadline there is no limit; where it has passed there is no time at all.
    assert told[1:] == [0, 1]
