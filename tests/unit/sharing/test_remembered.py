"""What is remembered of the last minutes, on the engine and on its twin."""

from typing import Any

import pytest

from gateway.runtime.native import engines
from gateway.sharing.remembered import UNRECORDED, WINDOW_MS, Earlier, Remembered
from issuernetwork.storage.v1 import journal_pb2
from tests.unit.sharing.kit import NOW_MS, ListJournal

DIGEST = b"d" * 16
both_twins = pytest.mark.parametrize(
    "native",
    [
        pytest.param(None, id="python"),
        pytest.param(
            engines,
            id="rust",
            marks=pytest.mark.skipif(engines is None, reason="the engines of native/ are not built here"),
        ),
    ],
)


def evaluation(number: int, *, decided_at_ms: int = NOW_MS) -> journal_pb2.Evaluation:
    return journal_pb2.Evaluation(
        sender_id="shop-1",
        request_id=f"request-{number}",
        payment_intent_id=f"intent-{number}",
        attempt_no=1,
        decided_at_ms=decided_at_ms,
        request_digest=DIGEST,
        answer=b"answer %d " % number * 20,
    )


def replayed(native: Any, count: int, *, slots: int = 1 << 12, ring_bytes: int = 1 << 16) -> Remembered:
    journal = ListJournal()
    remembered = Remembered(journal, slots=slots, ring_bytes=ring_bytes, native=native)
    for number in range(count):
        record = evaluation(number)
        (position,) = journal.append("evaluations", [record.SerializeToString()])
        remembered.replay(record, position)
    return remembered


def look(remembered: Remembered, number: int, **changed: Any) -> tuple[Earlier | None, bool]:
    asked = {
        "sender_id": "shop-1",
        "payment_intent_id": f"intent-{number}",
        "attempt_no": 1,
        "request_id": f"request-{number}",
        "now_ms": NOW_MS + 1,
    }
    _, _, earlier, seen = remembered.look(*(asked | changed).values())
    return earlier, seen


@both_twins
def test_a_request_and_its_attempt_are_each_found_by_their_own_names(native: Any) -> None:
    remembered = replayed(native, 3)
    same = Earlier(DIGEST, b"answer 1 " * 20)
    assert look(remembered, 1) == (same, True)
    assert look(remembered, 1, request_id="another") == (None, True)
    assert look(remembered, 1, attempt_no=2) == (same, False)
    assert look(remembered, 1, payment_intent_id="another") == (same, False)
    assert look(remembered, 1, sender_id="shop-2") == (None, False)
    assert look(remembered, 9) == (None, False)


@both_twins
def test_what_is_older_than_the_window_is_not_known(native: Any) -> None:
    remembered = replayed(native, 1)
    assert look(remembered, 0, now_ms=NOW_MS + WINDOW_MS) == (Earlier(DIGEST, b"answer 0 " * 20), True)
    assert look(remembered, 0, now_ms=NOW_MS + WINDOW_MS + 1) == (None, False)


@both_twins
@pytest.mark.parametrize("ring_bytes", [0, 500, 1 << 16])
def test_an_answer_is_found_whether_the_ring_still_holds_it_or_not(native: Any, ring_bytes: int) -> None:
    remembered = replayed(native, 20, ring_bytes=ring_bytes)
    for number in range(20):
        assert look(remembered, number) == (Earlier(DIGEST, b"answer %d " % number * 20), True)


@both_twins
def test_another_record_at_the_place_of_the_request_is_not_its_answer(native: Any) -> None:
    journal = ListJournal()
    remembered = Remembered(journal, slots=1 << 12, ring_bytes=0, native=native)
    journal.append("evaluations", [evaluation(5).SerializeToString()])
    remembered.replay(evaluation(1), 0)
    assert look(remembered, 1) == (None, True)


@both_twins
def test_an_answer_without_a_record_is_given_again_within_the_window(native: Any) -> None:
    remembered = replayed(native, 1)
    kept = Earlier(DIGEST, b"not recorded")
    remembered.unrecorded("shop-1", "request-7", kept, now_ms=NOW_MS)
    remembered.unrecorded("shop-1", "request-0", kept, now_ms=NOW_MS)
    assert look(remembered, 7) == (kept, False)
    assert look(remembered, 0) == (kept, True)
    assert look(remembered, 7, now_ms=NOW_MS + WINDOW_MS + 1) == (None, False)
    assert look(remembered, 8) == (None, False)


@both_twins
def test_answers_without_a_record_have_a_limit_and_the_oldest_go_first(native: Any) -> None:
    remembered = Remembered(ListJournal(), slots=16, ring_bytes=0, native=native)
    for number in range(UNRECORDED + 1):
        remembered.unrecorded("shop-1", f"request-{number}", Earlier(DIGEST, b""), now_ms=NOW_MS)
    assert look(remembered, 0) == (None, False)
    assert look(remembered, 1) == (Earlier(DIGEST, b""), False)


@both_twins
def test_the_last_requests_stay_when_the_table_is_full(native: Any) -> None:
    journal = ListJournal()
    remembered = Remembered(journal, slots=64, ring_bytes=1 << 16, native=native)
    for number in range(400):
        record = evaluation(number, decided_at_ms=NOW_MS - 400 + number)
        (position,) = journal.append("evaluations", [record.SerializeToString()])
        remembered.replay(record, position)
    assert look(remembered, 399) == (Earlier(DIGEST, b"answer 399 " * 20), True)
    assert sum(look(remembered, number)[1] for number in range(400)) <= 64
