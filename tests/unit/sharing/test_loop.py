"""The hot loop over a front of lists: identity, deadlines, shedding, errors, drain."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.runtime.clock import MS
from gateway.sharing import queue as queue_module
from gateway.sharing.items import (
    DEADLINE_EXCEEDED,
    INTERNAL,
    INVALID_ARGUMENT,
    PERMISSION_DENIED,
    UNAUTHENTICATED,
    Tally,
)
from gateway.sharing.loop import HELD_UP_MS, LOOK_MIN_MS, LOOK_MS, HotLoop
from gateway.sharing.ports import BATCH_ENRICH, ENRICH, IncomingCall
from gateway.sharing.queue import ANSWER_MS, LONE_MS, NEAR_PART
from issuernetwork.v1 import enrichment_pb2
from tests.kit.faults import Instead
from tests.kit.payments import payment
from tests.unit.sharing.kit import NOW_MS, Kit


@dataclass(frozen=True)
class Known:
    principal_id: str
    role: str


CALLERS = {
    b"shop": Known("shop-1", "caller"),
    b"store": Known("store-2", "caller"),
    b"bank": Known("northgate-bank", "issuer"),
}


class ListFront:
    """Implements `CallFront`."""

    def __init__(self) -> None:
        self.queue: deque[IncomingCall] = deque()
        self.answers: dict[int, bytes] = {}
        self.failures: dict[int, tuple[int, str]] = {}
        self.closed = False
        self._next = 0

    def call(self, payload: bytes, *, method: int = ENRICH, who: Any = b"shop", left: Any = None) -> int:
        self._next += 1
        self.queue.append(IncomingCall(self._next, method, payload, who, left))
        return self._next

    def age(self, due_ns: dict[int, int], now_ns: int) -> None:
        """What is left of the time of those that wait is as of now."""
        self.queue = deque(
            [one._replace(remaining_ms=(due_ns[one.call_id] - now_ns) / MS) for one in self.queue]
        )

    def recv(self, max_calls: int, timeout_ms: int) -> list[IncomingCall] | None:
        if self.closed:
            return None
        return [self.queue.popleft() for _ in range(min(max_calls, len(self.queue)))]

    def respond(self, call_id: int, payload: bytes) -> None:
        assert call_id not in self.answers
        assert call_id not in self.failures
        self.answers[call_id] = payload

    def fail(self, call_id: int, code: int, message: str) -> None:
        assert call_id not in self.answers
        assert call_id not in self.failures
        self.failures[call_id] = (code, message)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class Rig:
    def __init__(self) -> None:
        self.kit = Kit()
        self.front = ListFront()
        self.tallies: list[Tally] = []
        self.loop = HotLoop(
            self.front,
            self.kit.gateway,
            self.kit.clock,
            CALLERS.get,  # type: ignore[arg-type]
            on_batch=lambda tally, calls, duration_ns: self.tallies.append(tally),
        )

    def one(self, payload: bytes, **options: Any) -> Any:
        """The answer or (code, message) of a call by itself."""
        call_id = self.front.call(payload, **options)
        self.loop.step()
        if call_id in self.front.failures:
            return self.front.failures[call_id]
        answer = self.front.answers[call_id]
        if options.get("method") == BATCH_ENRICH:
            return enrichment_pb2.BatchEnrichAuthorizationsResponse.FromString(answer)
        return enrichment_pb2.EnrichAuthorizationResponse.FromString(answer)


def raw(number: int = 1) -> bytes:
    return payment(number, now_ms=NOW_MS).SerializeToString()


def test_without_known_credentials_nothing_is_evaluated() -> None:
    rig = Rig()
    assert rig.one(raw(), who=None)[0] == UNAUTHENTICATED
    assert rig.one(raw(), who=b"other")[0] == UNAUTHENTICATED
    assert rig.one(raw(), who=b"bank")[0] == PERMISSION_DENIED
    assert not rig.kit.journal.payloads


def test_each_call_of_a_batch_is_its_own_callers_whoever_calls_before_it() -> None:
    rig = Rig()
    callers = [b"shop", b"shop", b"store", b"bank", b"bank", None, b"shop", b"other", b"store"]
    ids = [rig.front.call(raw(number), who=who) for number, who in enumerate(callers)]
    rig.loop.step()
    refused = {b"bank": PERMISSION_DENIED, None: UNAUTHENTICATED, b"other": UNAUTHENTICATED}
    told = {call_id: code for call_id, (code, _) in rig.front.failures.items()}
    assert told == {
        call_id: refused[who] for call_id, who in zip(ids, callers, strict=True) if who in refused
    }
    senders = [record.sender_id for record in rig.kit.journal.records()]
    assert senders == [CALLERS[who].principal_id for who in callers if who not in refused]


def test_a_call_that_cannot_be_answered_is_ended_and_the_others_have_their_answers() -> None:
    rig = Rig()
    ids = [rig.front.call(raw(number)) for number in range(3)]
    respond = rig.front.respond

    def broken(call_id: int, payload: bytes) -> None:
        if call_id == ids[1]:
            raise RuntimeError("gone")
        respond(call_id, payload)

    rig.front.respond = broken  # type: ignore[method-assign]
    rig.loop.step()
    assert sorted(rig.front.answers) == [ids[0], ids[2]]
    assert rig.front.failures[ids[1]][0] == INTERNAL


def test_bytes_that_are_no_message_are_refused_without_an_echo() -> None:
    code, message = Rig().one(b"\xff\xffsecret")
    assert code == INVALID_ARGUMENT
    assert "secret" not in message


@pytest.mark.parametrize("count", [0, 257])
def test_a_batch_call_takes_1_to_256_items(count: int) -> None:
    requests = [payment(n, now_ms=NOW_MS) for n in range(count)]
    payload = enrichment_pb2.BatchEnrichAuthorizationsRequest(requests=requests).SerializeToString()
    assert Rig().one(payload, method=BATCH_ENRICH)[0] == INVALID_ARGUMENT


def test_calls_of_both_kinds_that_gathered_are_one_commit() -> None:
    rig = Rig()
    requests = [payment(n, now_ms=NOW_MS) for n in range(3)]
    batch = enrichment_pb2.BatchEnrichAuthorizationsRequest(requests=requests).SerializeToString()
    ids = [rig.front.call(raw(10)), rig.front.call(batch, method=BATCH_ENRICH), rig.front.call(raw(11))]
    rig.loop.step()
    assert rig.kit.journal.batches == [5]
    assert sorted(rig.front.answers) == ids


def test_a_call_that_cannot_be_answered_in_time_gets_a_cheap_answer_at_once_and_no_record() -> None:
    rig = Rig()
    assert rig.one(raw(1), left=ANSWER_MS + LONE_MS + 0.5).degraded_reason == ""
    answer = rig.one(raw(2), left=ANSWER_MS + LONE_MS - 0.5)
    assert (answer.request_id, answer.degraded_reason) == ("p-r-2", "over_deadline")
    assert (answer.completeness, len(answer.decisions)) == (enrichment_pb2.COMPLETENESS_DEGRADED, 0)
    assert len(rig.kit.journal.payloads) == 1
    assert (rig.tallies[0].over_deadline, rig.tallies[1].over_deadline) == (0, 1)


def test_each_item_of_a_batch_that_comes_too_late_has_its_answer() -> None:
    requests = [payment(n, now_ms=NOW_MS) for n in range(3)]
    payload = enrichment_pb2.BatchEnrichAuthorizationsRequest(requests=requests).SerializeToString()
    rig = Rig()
    rig.one(raw())
    answer = rig.one(payload, method=BATCH_ENRICH, left=1.0)
    assert [one.response.request_id for one in answer.items] == ["p-r-0", "p-r-1", "p-r-2"]
    assert {one.response.degraded_reason for one in answer.items} == {"over_deadline"}


def test_who_may_not_call_learns_nothing_of_the_load() -> None:
    assert Rig().one(raw(), who=b"other", left=1.0)[0] == UNAUTHENTICATED
    assert Rig().one(raw(), who=b"bank", left=1.0)[0] == PERMISSION_DENIED


def test_a_call_whose_deadline_has_passed_is_not_evaluated() -> None:
    rig = Rig()
    assert rig.one(raw(), left=0.0)[0] == DEADLINE_EXCEEDED
    assert not rig.kit.journal.payloads


def test_a_queue_that_is_too_long_sheds_its_newest_calls_with_a_cheap_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue_module, "QUEUE_LIMIT_MS", 1)
    monkeypatch.setattr(queue_module, "STANDING_AFTER_MS", 1e9)
    rig = Rig()
    ids = [rig.front.call(raw(n)) for n in range(600)]
    while len(rig.front.answers) < 600:
        assert rig.loop.step()
    degraded = [
        enrichment_pb2.EnrichAuthorizationResponse.FromString(rig.front.answers[n]).degraded_reason
        for n in ids
    ]
    kept = degraded.count("")
    assert 0 < kept < 600
    assert degraded == [""] * kept + ["overloaded"] * (600 - kept)
    assert len(rig.kit.journal.payloads) == kept


def test_while_the_loop_is_held_up_calls_are_answered_in_its_place_before_they_are_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    soon, later = rig.front.call(raw(1), left=50.0), rig.front.call(raw(2), left=500.0)
    near_ms = 50 - 50 // NEAR_PART
    velocity, answered = rig.kit.velocity, list[list[int]]()

    def hang(batch: Any) -> Any:
        for ms in (HELD_UP_MS - 1, near_ms - HELD_UP_MS + 2, near_ms + 1):
            rig.kit.clock.advance_ms(ms)
            if len(answered) == 1:
                rig.front.call(raw(3), left=50.0)
            rig.loop.look_after()
            answered.append(sorted(rig.front.answers))
        return velocity.touch(batch)

    monkeypatch.setattr(rig.kit.gateway.counting, "store", Instead(velocity, touch=hang))
    rig.loop.step()
    assert answered == [[], [soon], [soon, 3]]
    reasons = [
        enrichment_pb2.EnrichAuthorizationResponse.FromString(rig.front.answers[n]).degraded_reason
        for n in (soon, later, 3)
    ]
    assert reasons == ["over_deadline", "", "over_deadline"]
    # The one that had its answer was not gone on with: it had no arm yet.
    assert [one.request_id for one in rig.kit.journal.records()] == ["p-r-2"]
    assert [tally.late for tally in rig.tallies if tally.items] == [0, 1]


@settings(max_examples=60, deadline=None)
@given(
    left=st.floats(NEAR_PART * LOOK_MIN_MS + 1, 80),
    slept=st.floats(0, 1),
    behind=st.floats(0, 100),
)
def test_however_long_between_looks_who_is_held_up_has_an_answer_in_time(
    left: float, slept: float, behind: float
) -> None:
    rig = Rig()
    clock, waits = rig.kit.clock, dict[int, int]()
    velocity = rig.kit.velocity
    rig.one(raw(0), left=left)
    rest_ns = rig.loop.look_after()
    rests_ns, late = [rest_ns], set[int]()

    def call(number: int) -> None:
        waits[rig.front.call(raw(number), left=left)] = clock.monotonic_ns() + int(left * MS)

    def hang(batch: Any) -> Any:
        next_ns, began_ns = clock.monotonic_ns() + int(slept * rest_ns), clock.monotonic_ns()
        behind_ns = began_ns + int(behind * MS)
        while len(rig.front.answers) < 3:
            called = len(waits) == 2
            clock._monotonic_ns = max(next_ns if called else min(next_ns, behind_ns), clock._monotonic_ns)
            if not called and clock._monotonic_ns >= behind_ns:
                call(2)
            late.update(n for n in waits if n not in rig.front.answers and clock.monotonic_ns() >= waits[n])
            if clock._monotonic_ns >= next_ns:
                rig.front.age(waits, clock.monotonic_ns())
                rests_ns.append(rig.loop.look_after())
                next_ns = clock._monotonic_ns + rests_ns[-1]
        return velocity.touch(batch)

    rig.kit.gateway.counting.store = Instead(velocity, touch=hang)  # type: ignore[assignment]
    call(1)
    rig.loop.step()
    assert not late  # what is raised above is a fault of the velocity store's
    assert len(rests_ns) > 1
    assert LOOK_MIN_MS * MS <= min(rests_ns) <= max(rests_ns) <= LOOK_MS * MS


def test_a_call_that_is_begun_late_and_held_up_is_answered_in_time_too() -> None:
    """It waited behind another: at the look after its batch was begun it has 12 of its 100 ms left."""
    rig = Rig()
    clock, velocity = rig.kit.clock, rig.kit.velocity
    number = rig.front.call(raw(1), left=13.0)
    in_time: list[bool] = []

    def hang(batch: Any) -> Any:
        ((call, _, due_ns),) = rig.loop._in_hand
        rig.loop._in_hand = [(call, due_ns - 100 * MS, due_ns)]
        clock.advance_ms(1)
        rest_ns = rig.loop.look_after()
        while number not in rig.front.answers:
            clock._monotonic_ns += rest_ns
            rest_ns = rig.loop.look_after()
        in_time.append(clock.monotonic_ns() < due_ns)
        return velocity.touch(batch)

    rig.kit.gateway.counting.store = Instead(velocity, touch=hang)  # type: ignore[assignment]
    rig.loop.step()
    assert in_time == [True]


def test_after_a_stop_what_is_under_way_is_served_and_the_front_is_closed() -> None:
    rig = Rig()

    class Stopped:
        def is_set(self) -> bool:
            return True

        def wait(self, timeout_s: float) -> bool:
            return True

    ids = [rig.front.call(raw(n)) for n in range(300)]
    rig.loop.run(Stopped())
    assert sorted(rig.front.answers) == ids
    assert rig.front.closed
    assert rig.loop.step() is False
