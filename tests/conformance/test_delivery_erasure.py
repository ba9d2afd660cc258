"""What every DeliveryStore has to hold for cardholders: items are found, rows go, orders are kept."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.feeds.fanout import ERASURES
from gateway.feeds.ports import Acknowledgement, DeliveryChange, FanOutChange, Notice
from gateway.feeds.records import tombstone_jti
from gateway.records.journal import EVALUATIONS, FIRST
from tests.conformance.test_delivery_store import (
    BASE_MS,
    LOOKUP,
    SSF,
    STREAM,
    fan_out,
    item,
    opened,
    row,
    share,
)

__all__ = ["opened"]

MINE, OTHERS, PAR = b"m" * 16, b"o" * 16, b"p" * 16


def filled(opened: Callable[[], Any]) -> Any:
    """Payments 1 and 3 are of one card, 2 of another. 3 is known by its PAR, and has the number too."""
    store = opened()
    change = fan_out(1, 2, 3)
    keys = {1: (MINE, b""), 2: (OTHERS, b""), 3: (PAR, MINE)}
    evaluations = [row(n, unit_key=unit, card_key=card) for n, (unit, card) in keys.items()]
    shares = [
        replace(share(n), merchant_id="m", platform_id="p", unit_key=unit, card_key=card)
        for n, (unit, card) in keys.items()
    ]
    store.commit_fan_out(replace(change, evaluations=evaluations, shares=shares))
    return store


def order(case_id: int, seq: int) -> FanOutChange:
    share_id = f"erasure-{case_id}-0-{STREAM}"
    placed = item(0, share_id=share_id, jti=tombstone_jti(share_id), stream_seq=seq, withdrawn=True)
    notice = Notice(case_id=case_id, recipient_id="bank", share_id=share_id, shares=2, told_at_ms=BASE_MS)
    return FanOutChange(
        topic=ERASURES, partition=0, position=case_id, at_ms=BASE_MS, items=[placed],
        next_seqs={STREAM: seq + 1}, notices=[notice],
    )  # fmt: skip


def test_what_is_open_about_a_card_is_found_by_each_transport_and_nothing_else(
    opened: Callable[[], Any],
) -> None:
    store = filled(opened)
    found = store.open_of_cards([MINE, b"x" * 16], 100)
    assert {(one.share_id, one.transport) for one in found} == {
        (share, transport) for share in ("s1", "s3") for transport in (SSF, LOOKUP)
    }
    assert len(store.open_of_cards([MINE], 3)) == 3
    assert {one.share_id for one in store.open_of_cards([PAR], 100)} == {"s3"}
    assert store.open_of_cards([MINE], 100, queued_before_ms=BASE_MS + 3) == []
    assert len(store.open_of_cards([MINE], 100, queued_before_ms=BASE_MS + 4)) == 4
    assert len(store.open_of_cards([MINE, PAR, OTHERS], 100)) == 6
    gone = [replace(one, withdrawn=True, jti=tombstone_jti(one.share_id)) for one in found]
    store.apply(DeliveryChange(withdrawn=gone))
    assert store.open_of_cards([MINE], 100) == []


def test_evaluations_of_a_card_are_found_in_spans_of_keys_and_forgotten_with_what_hangs_on_them(
    opened: Callable[[], Any],
) -> None:
    store = filled(opened)
    reader = store.reader()
    assert reader.evaluations_of_cards([MINE], -1, 3) == [1, 3]
    assert reader.evaluations_of_cards([MINE], 1, 3) == [3]
    assert reader.evaluations_of_cards([MINE], -1, 2) == [1]
    store.forget_evaluations([1, 3])
    assert reader.evaluations_of_cards([MINE], -1, 3) == []
    assert reader.share("s1") is None
    assert reader.share("s2") is not None
    assert [
        one.evaluation_key for one in reader.evaluations_of_key("cmp:same", from_ms=0, to_ms=1 << 60)
    ] == [2]
    # What is still open stays until it is answered, so that the stream has no gap.
    assert [one.stream_seq for one in store.pending(STREAM, 10)] == [2, 3, 4]
    queued = store.open_of_cards([MINE], 100)
    assert {one.share_id for one in queued} == {"s1", "s3"}, "what is queued is found without its payment"
    gone = [replace(one, withdrawn=True, jti=tombstone_jti(one.share_id)) for one in queued]
    store.apply(DeliveryChange(withdrawn=gone))
    assert store.open_of_cards([MINE], 100) == []
    assert store.known_shares(["s1", "s2", "s9"]) == {"s1", "s2"}, "its tombstone has the place"
    reader.close()


def test_an_order_takes_a_place_in_the_stream_and_its_answer_is_kept_when_the_item_is_gone(
    opened: Callable[[], Any],
) -> None:
    store = filled(opened)
    assert (store.offset(ERASURES, 0), store.erased_up_to()) == (FIRST, 0)
    store.commit_fan_out(order(7, 5))
    placed = store.pending(STREAM, 10)[-1]
    assert (placed.stream_seq, placed.withdrawn) == (5, True)
    answer = Acknowledgement(item=placed)
    store.apply(DeliveryChange(answers=[answer], at_ms=BASE_MS + 9))
    store = opened()
    reader = store.reader()
    (notice,) = reader.notices(7)
    assert (notice.shares, notice.told_at_ms, notice.answered_at_ms) == (2, BASE_MS, BASE_MS + 9)
    assert reader.notices(8) == []
    assert placed.share_id not in {one.share_id for one in store.pending(STREAM, 10)}
    assert (store.offset(ERASURES, 0), store.offset(EVALUATIONS, 0)) == (7, 3)
    store.forgotten(7, 2, at_ms=BASE_MS)
    assert (store.erased_up_to(), reader.erasure(7), reader.erasure(6)) == (7, (2, BASE_MS), None)
    reader.close()


def test_whose_card_it_was_stands_nowhere_in_the_file_once_all_that_was_queued_is_over(
    opened: Callable[[], Any], tmp_path: Path
) -> None:
    """Also where its row was moved, as rows are moved when others come between."""
    store = opened()
    numbers = [n * 37 % 101 for n in range(101)]
    keys = {n: sha256(b"%d" % n).digest() for n in numbers}
    # What was withdrawn before must not change how the rest is deleted.
    store.commit_fan_out(fan_out(200))
    gone = [replace(one, withdrawn=True) for one in store.open_of_shares(STREAM, ["s200"])]
    store.apply(DeliveryChange(withdrawn=gone))
    for at in range(0, len(numbers), 10):
        some = numbers[at : at + 10]
        shares = [
            replace(share(n, SSF), merchant_id="m", unit_key=keys[n][:16], card_key=keys[n][16:])
            for n in some
        ]
        change = replace(fan_out(*some), shares=shares, items=[item(n) for n in some])
        store.commit_fan_out(change)
    store.apply(DeliveryChange(answers=[Acknowledgement(item=item(n)) for n in numbers]))
    opened()
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    left = [n for n, key in keys.items() if key[:16] in everything or key[16:] in everything]
    assert left == []


def test_what_was_forgotten_or_withdrawn_stands_nowhere_in_the_file(
    opened: Callable[[], Any], tmp_path: Path
) -> None:
    store = filled(opened)
    withdrawn = [replace(one, withdrawn=True, jti=tombstone_jti(one.share_id), set_bytes=b"tombstone")
                 for one in store.open_of_cards([MINE], 100)]  # fmt: skip
    store.apply(DeliveryChange(withdrawn=withdrawn))
    store.forget_evaluations([1, 3])
    # Opened anew: with the one before closed, its log has been moved into the file, and is gone.
    opened()
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"signed-2" in everything
    for gone in (b"signed-1", b"signed-3", b"payment-1", b"payment-3", MINE, PAR):
        assert gone not in everything
