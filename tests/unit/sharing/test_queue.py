"""What may wait for the hot loop, what is begun, and what is answered at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.runtime.clock import MS
from gateway.sharing.items import degraded_answer, degraded_tail, request_id_of, unevaluated
from gateway.sharing.ports import ENRICH, IncomingCall
from gateway.sharing.queue import (
    ANSWER_MS,
    BATCH_BYTES,
    BATCH_CALLS,
    CALM_AFTER_MS,
    QUEUE_LIMIT_MS,
    STANDING_AFTER_MS,
    STANDING_PART,
    Queue,
)
from issuernetwork.v1 import enrichment_pb2
from tests.kit.payments import payment

DEADLINE_MS = 50.0
CALL = bytes(750)


def calls(count: int, *, first: int = 0, left: float | None = DEADLINE_MS) -> list[IncomingCall]:
    return [IncomingCall(first + at, ENRICH, CALL, None, left) for at in range(count)]


def ids(waiting: list[tuple[IncomingCall, int, int]]) -> list[int]:
    return [one[0].call_id for one in waiting]


class Overload:
    """A queue under a load that it cannot bear, round by round."""

    def __init__(self) -> None:
        self.queue = Queue()
        self.now_ns = 0
        self._next = 0

    def round(self, per_ms: float, batch_ms: float = 5.0) -> tuple[list[int], list[int], list[int]]:
        came = calls(int(per_ms * batch_ms), first=self._next)
        self._next += len(came)
        self.now_ns += int(batch_ms * MS)
        self.queue.put(came, self.now_ns, self.now_ns)
        cut = self.queue.cut(self.now_ns)
        taken, late = self.queue.take(self.now_ns)
        return ids(cut), ids(taken), ids(late)


def test_a_burst_waits_and_is_served_in_its_order() -> None:
    queue = Queue()
    queue.put(calls(600), 0, 0)
    assert queue.cut(0) == []
    taken = [ids(queue.take(at * MS)[0]) for at in range(3)]
    assert [n for batch in taken for n in batch] == list(range(600))
    assert max(map(len, taken)) == BATCH_CALLS


def test_a_queue_that_stands_keeps_the_newest_and_no_more_than_their_part_of_time() -> None:
    load = Overload()
    cut, taken, late = [], [], []
    for _ in range(40):
        cut, taken, late = load.round(per_ms=60.0)
    assert load.queue.standing
    assert (len(cut) + len(taken), late) == (300, [])
    assert max(cut) < min(taken)
    work_ns = len(taken) * len(CALL) * load.queue.took.ns_per_byte
    assert work_ns <= DEADLINE_MS * MS / STANDING_PART < work_ns * 1.1
    assert load.queue.limit_ns([(calls(1)[0], 0, int(DEADLINE_MS * MS))]) == DEADLINE_MS * MS // STANDING_PART


def test_calls_with_much_time_wait_for_longer_in_the_same_queue() -> None:
    load = Overload()
    for _ in range(40):
        load.round(per_ms=60.0)
    patient = calls(600, first=10**6, left=None)
    load.queue.put(patient, load.now_ns, load.now_ns)
    assert ids(load.queue.cut(load.now_ns)) == []


def test_a_queue_stands_only_after_a_time_and_until_the_load_has_been_away_for_one() -> None:
    load = Overload()
    rounds = STANDING_AFTER_MS // 5
    for _ in range(rounds):
        load.round(per_ms=60.0)
        assert not load.queue.standing
    load.round(per_ms=60.0)
    load.round(per_ms=60.0)
    assert load.queue.standing
    for _ in range(CALM_AFTER_MS // 5):
        load.round(per_ms=2.0)
        assert load.queue.standing
    load.round(per_ms=2.0)
    load.round(per_ms=2.0)
    assert not load.queue.standing


def test_a_burst_behind_an_idle_time_is_no_queue_that_stands() -> None:
    queue = Queue()
    for idle_ms in (1_000, 1_020):
        assert queue.cut(idle_ms * MS) == []
    now_ns = 1_040 * MS
    queue.put(calls(600), now_ns, now_ns)
    assert queue.cut(now_ns) == []
    assert not queue.standing
    assert len(queue.take(now_ns)[0]) == BATCH_CALLS


def test_the_limit_follows_what_batches_are_measured_to_take() -> None:
    fast, slow = Overload(), Overload()
    for _ in range(60):
        for load, ns_per_byte in ((fast, 40), (slow, 400)):
            _, taken, _ = load.round(per_ms=60.0)
            size = len(taken) * len(CALL)
            load.queue.took.note(size, size * ns_per_byte)
    assert len(fast.round(per_ms=60.0)[1]) > 5 * len(slow.round(per_ms=60.0)[1])


def test_one_stall_of_the_disk_does_not_change_what_is_expected_by_much() -> None:
    queue = Queue()
    before_ns = queue.took.expected_ns(0)
    queue.took.note(750, 500 * MS)
    assert queue.took.expected_ns(0) < 2 * before_ns


@pytest.mark.parametrize("stalled_ms", [100, 2_000, 60_000])
def test_after_stalls_calls_are_begun_again_whatever_was_measured_meanwhile(stalled_ms: int) -> None:
    load = Overload()
    for _ in range(50):
        load.queue.took.note(750, stalled_ms * MS)
        load.queue.took.note(80_000, stalled_ms * MS)
    rounds = 0
    while load.queue.took.expected_ns(75_000) > 10 * MS:
        _, taken, _ = load.round(per_ms=10.0)
        if taken:
            size = len(taken) * len(CALL)
            load.queue.took.note(size, MS + size * 60)
        rounds += 1
        assert rounds < 400, "two seconds"
    assert len(load.round(per_ms=10.0)[1]) == 50


def test_what_is_more_than_the_limit_goes_newest_first() -> None:
    queue = Queue()
    fits = queue.limit_bytes() // len(CALL)
    assert fits * len(CALL) * queue.took.ns_per_byte <= QUEUE_LIMIT_MS * MS
    queue.put(calls(fits + 10, left=None), 0, 0)
    assert sorted(ids(queue.cut(0))) == list(range(fits, fits + 10))


@given(
    st.lists(st.tuples(st.integers(0, 4 * BATCH_BYTES), st.none() | st.floats(0, 200)), max_size=40),
    st.integers(0, 300),
)
def test_every_call_goes_one_way_and_what_is_begun_has_the_time(
    came: list[tuple[int, float | None]], now_ms: int
) -> None:
    queue, now_ns = Queue(), now_ms * MS
    queue.put([IncomingCall(at, ENRICH, bytes(n), None, left) for at, (n, left) in enumerate(came)], 0, 0)
    gone = ids(queue.cut(now_ns))
    while queue:
        taken, late = queue.take(now_ns)
        assert taken or late, "it comes to an end"
        gone += ids(taken) + ids(late)
        assert all(one[2] == 0 or one[2] > now_ns for one in taken)
        if len(taken) > 1:
            assert all(one[2] == 0 or one[2] - now_ns >= ANSWER_MS * MS for one in taken)
        assert all(one[2] for one in late)
    assert (sorted(gone), queue.size) == (list(range(len(came))), 0)


@given(st.binary(max_size=300))
def test_a_cheap_answer_is_a_message_of_its_caller_whatever_was_sent(payload: bytes) -> None:
    answer = enrichment_pb2.EnrichAuthorizationResponse.FromString(
        degraded_answer(payload, degraded_tail("overloaded"))
    )
    assert (answer.completeness, answer.degraded_reason) == (
        enrichment_pb2.COMPLETENESS_DEGRADED,
        "overloaded",
    )


@pytest.mark.parametrize("request_id", ["r-1", "r" * 127, "r" * 128, "\u00e9", ""])
def test_a_cheap_answer_has_the_id_of_its_request(request_id: str) -> None:
    request = payment(1)
    request.request_id = request_id
    payload = request.SerializeToString()
    answer = enrichment_pb2.EnrichAuthorizationResponse.FromString(
        degraded_answer(payload, degraded_tail("overloaded"))
    )
    full = enrichment_pb2.EnrichAuthorizationResponse.FromString(
        unevaluated(request_id_of(payload), "overloaded")
    )
    assert answer == full
