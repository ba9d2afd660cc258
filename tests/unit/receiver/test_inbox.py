"""Order, repeats, gaps, and going on after a kill."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuernetwork.receiver import Erasure, Gap, Inbox, Item, Offered, RefusedToken, Share, Withdrawn


def share(seq: int | None, name: str | None = None) -> Share:
    name = name or f"s{seq}"
    return Share(
        share_id=name,
        program="risk-score",
        issuer_id="bank",
        recipient_id="bank",
        stream_seq=seq,
        jti=f"j-{name}-{seq}",
        evaluation_id="e",
        issued_at_ms=1,
        received_at_ms=2,
        purpose="fraud_authorization",
        schema_version=1,
        token_epoch=1,
        card_token="t",
        match={},
        fields={},
    )


def withdrawn(seq: int, name: str | None = None) -> Withdrawn:
    name = name or f"s{seq}"
    return Withdrawn(name, "risk-score", "bank", "bank", seq, f"jw-{name}-{seq}", "e", 1, 2, "killed")


def erasure(seq: int, *names: str) -> Erasure:
    return Erasure("erasure-1", names or ("s1",), "bank", seq, f"je-{seq}", 1, 2)


def drain(inbox: Inbox) -> list[Item]:
    found = []
    while (item := inbox.take()) is not None:
        inbox.handled(item)
        found.append(item)
    return found


@given(st.permutations(range(1, 12)), st.lists(st.integers(1, 11)), st.sets(st.integers(1, 11)))
def test_whatever_the_order_and_the_repeats_each_is_handed_out_once_in_order(
    order: list[int], repeats: list[int], tombstones: set[int]
) -> None:
    inbox = Inbox()
    handed: list[Item] = []
    for seq in [*order, *repeats]:
        inbox.offer(withdrawn(seq) if seq in tombstones else share(seq))
        handed += drain(inbox)
    assert [item.stream_seq for item in handed] == list(range(1, 12))
    assert [isinstance(item, Withdrawn) for item in handed] == [seq in tombstones for seq in range(1, 12)]
    assert sorted(inbox.acks()) == sorted(item.jti for item in handed)
    assert inbox.gap() is None


@given(st.permutations(range(1, 9)), st.lists(st.booleans(), min_size=40, max_size=40))
def test_a_receiver_killed_anywhere_loses_nothing_and_repeats_only_what_was_not_saved(
    order: list[int], kills: list[bool]
) -> None:
    inbox, saved = Inbox(), json.dumps(Inbox().state())
    effects: list[int] = []
    acknowledged: set[str] = set()
    fate = iter(kills)
    for _ in range(len(kills)):
        for seq in order:
            if share(seq).jti not in acknowledged:
                inbox.offer(share(seq))
        item = inbox.take()
        if item is None:
            break
        assert item.stream_seq is not None
        effects.append(item.stream_seq)
        if not next(fate, False):
            inbox.handled(item)
            saved = json.dumps(inbox.state())
            acknowledged.update(inbox.acks())
            inbox.acked(inbox.acks())
        else:
            inbox = Inbox()
            inbox.restore(json.loads(saved))
    assert sorted(effects) == effects
    if len(effects) < len(kills):
        assert set(effects) == set(range(1, 9))


def test_nothing_is_acknowledged_before_it_was_handled() -> None:
    inbox = Inbox()
    inbox.offer(share(1))
    first = inbox.take()
    assert first is not None
    assert inbox.acks() == []
    assert inbox.take() is first
    inbox.handled(first)
    assert inbox.acks() == [first.jti]
    assert inbox.acks() == [first.jti]
    inbox.acked([first.jti])
    assert inbox.acks() == []


def test_a_gap_is_reported_and_holds_what_comes_after_it() -> None:
    inbox = Inbox()
    for seq in (1, 4, 6):
        inbox.offer(share(seq))
    assert [item.stream_seq for item in drain(inbox)] == [1]
    assert inbox.gap() == Gap(first=2, last=3, held=2)
    inbox.offer(share(2))
    inbox.offer(withdrawn(3))
    assert [item.stream_seq for item in drain(inbox)] == [2, 3, 4]
    assert inbox.gap() == Gap(first=5, last=5, held=1)
    assert inbox.unsafe_skip_gap() == Gap(first=5, last=5, held=1)
    assert [item.stream_seq for item in drain(inbox)] == [6]
    assert inbox.unsafe_skip_gap() is None


def test_a_full_inbox_takes_the_missing_one_and_refuses_later_ones() -> None:
    inbox = Inbox(held_max=2)
    assert [inbox.offer(share(seq)) for seq in (2, 3, 4)] == [Offered.TAKEN, Offered.TAKEN, Offered.FULL]
    assert inbox.offer(share(1)) is Offered.TAKEN
    assert [item.stream_seq for item in drain(inbox)] == [1, 2, 3]
    assert share(4).jti not in inbox.acks()
    assert inbox.offer(share(4)) is Offered.TAKEN


def test_a_repeat_of_something_handled_is_acknowledged_again() -> None:
    duplicates: list[str] = []
    inbox = Inbox(on_duplicate=lambda item: duplicates.append(item.share_id))
    inbox.offer(share(1))
    drain(inbox)
    inbox.acked(inbox.acks())
    assert inbox.offer(share(1)) is Offered.DUPLICATE
    assert inbox.acks() == [share(1).jti]
    assert inbox.take() is None
    assert duplicates == ["s1"]


def test_a_share_seen_by_look_up_fills_its_number_without_being_handed_out() -> None:
    duplicates: list[str] = []
    inbox = Inbox(on_duplicate=lambda item: duplicates.append(item.share_id))
    assert inbox.note(replace(share(None, "s1"), jti="by-look-up"))
    assert not inbox.note(replace(share(None, "s1"), jti="by-look-up-again"))
    inbox.offer(share(1))
    inbox.offer(share(2))
    assert [item.share_id for item in drain(inbox)] == ["s2"]
    assert len(inbox.acks()) == 2
    assert duplicates == ["s1"]


def test_the_withdrawal_of_a_share_already_seen_is_handed_out() -> None:
    inbox = Inbox()
    inbox.note(share(None, "s1"))
    inbox.offer(withdrawn(1, "s1"))
    assert [type(item) for item in drain(inbox)] == [Withdrawn]


def test_a_withdrawal_takes_the_place_of_the_share_that_waits() -> None:
    inbox = Inbox()
    for seq in (1, 2):
        inbox.offer(share(seq))
    assert inbox.offer(withdrawn(2)) is Offered.TAKEN
    assert inbox.offer(share(2)) is Offered.DUPLICATE, "the data does not come back"
    assert [type(item) for item in drain(inbox)] == [Share, Withdrawn]
    assert withdrawn(2).jti in inbox.acks()
    assert share(2).jti not in inbox.acks()


def test_a_withdrawal_that_comes_while_the_share_is_handled_is_handed_out_next() -> None:
    inbox = Inbox()
    inbox.offer(share(1))
    given = inbox.take()
    assert given is not None
    inbox.offer(withdrawn(1))
    inbox.handled(given)
    assert [type(item) for item in drain(inbox)] == [Withdrawn]
    assert inbox.next_seq == 2


def test_the_withdrawal_of_a_share_handled_before_is_handed_out_once_and_then_acknowledged() -> None:
    inbox = Inbox()
    inbox.offer(share(1))
    drain(inbox)
    inbox.offer(share(2))
    assert inbox.offer(withdrawn(1)) is Offered.TAKEN
    assert inbox.offer(withdrawn(1)) is Offered.DUPLICATE
    assert withdrawn(1).jti not in inbox.acks()
    assert drain(inbox) == [withdrawn(1), share(2)]
    assert withdrawn(1).jti in inbox.acks()
    inbox.acked(inbox.acks())
    again = Inbox()
    again.restore(json.loads(json.dumps(inbox.state())))
    for one in (inbox, again):
        assert one.offer(withdrawn(1)) is Offered.DUPLICATE
        assert drain(one) == []
        assert one.acks() == [withdrawn(1).jti]


@given(
    st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.booleans()), max_size=40),
    st.sets(st.integers(1, 6)),
)
def test_whatever_comes_when_each_withdrawal_is_told_once_and_no_share_after_it(
    arrivals: list[tuple[int, bool, bool]], taken_back: set[int]
) -> None:
    inbox = Inbox()
    handed: list[Item] = []
    for seq, tombstone, handle in arrivals:
        inbox.offer(withdrawn(seq) if tombstone and seq in taken_back else share(seq))
        if handle:
            handed += drain(inbox)
    for seq in range(1, 7):
        inbox.offer(withdrawn(seq) if seq in taken_back else share(seq))
    handed += drain(inbox)
    assert {item.stream_seq for item in handed if isinstance(item, Withdrawn)} == taken_back
    kinds = [(item.stream_seq, isinstance(item, Withdrawn)) for item in handed]
    assert len(set(kinds)) == len(kinds)
    for seq in taken_back:
        assert (seq, False) not in kinds[kinds.index((seq, True)) :]
    assert inbox.next_seq == 7


def test_two_items_with_one_number_or_one_jti_are_refused() -> None:
    inbox = Inbox()
    inbox.offer(share(2))
    with pytest.raises(RefusedToken, match="sequence_conflict"):
        inbox.offer(share(2, "other"))
    inbox.offer(share(1))
    drain(inbox)
    with pytest.raises(RefusedToken, match="sequence_conflict"):
        inbox.offer(replace(share(3, "other"), jti=share(1).jti))
    with pytest.raises(RefusedToken, match="claims"):
        inbox.offer(share(None, "loose"))


def test_a_receiver_without_state_starts_at_the_lowest_that_comes() -> None:
    inbox = Inbox(next_seq=None)
    assert inbox.take() is None
    for seq in (9, 7, 8):
        inbox.offer(share(seq))
    assert [item.stream_seq for item in drain(inbox)] == [7, 8, 9]


def test_what_is_remembered_is_bounded() -> None:
    inbox = Inbox(remembered_max=10)
    for seq in range(1, 200):
        inbox.offer(share(seq))
        drain(inbox)
    assert len(inbox.state()["seen"]) <= 10


def test_handled_takes_only_what_was_given_out() -> None:
    inbox = Inbox()
    inbox.offer(share(1))
    with pytest.raises(ValueError, match="take"):
        inbox.handled(share(1))


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"version": 2, "next_seq": 1, "seen": []},
        {"version": 1, "next_seq": 0, "seen": []},
        {"version": 1, "next_seq": True, "seen": []},
        {"version": 1, "next_seq": 1, "seen": [1]},
        {"version": 1, "next_seq": 1, "seen": None},
    ],
)
def test_a_state_of_another_shape_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="state"):
        Inbox().restore(state)


def test_a_state_holds_ids_alone() -> None:
    inbox = Inbox()
    inbox.offer(replace(share(1), fields={"email": "canary@example.test"}, card_token="canary-token"))
    drain(inbox)
    assert "canary" not in json.dumps(inbox.state())


def test_an_order_to_erase_is_handed_out_once_in_its_turn_and_then_acknowledged() -> None:
    inbox = Inbox()
    assert inbox.offer(erasure(2)) is Offered.TAKEN
    assert inbox.take() is None, "what it is about comes first"
    inbox.offer(share(1))
    assert [type(item) for item in drain(inbox)] == [Share, Erasure]
    assert inbox.acks() == ["j-s1-1", "je-2"]
    inbox.acked(inbox.acks())
    assert inbox.offer(erasure(2)) is Offered.DUPLICATE
    assert drain(inbox) == []
    assert inbox.acks() == ["je-2"], "its acknowledgement was lost"


def test_orders_of_one_case_are_each_handed_out_also_after_a_restart() -> None:
    inbox = Inbox()
    inbox.offer(erasure(1, "a"))
    drain(inbox)
    again = Inbox()
    again.restore(json.loads(json.dumps(inbox.state())))
    assert again.offer(erasure(1, "a")) is Offered.DUPLICATE
    again.offer(erasure(2, "b"))
    assert [item.share_ids for item in drain(again) if isinstance(item, Erasure)] == [("b",)]


@pytest.mark.parametrize("other", [share(1), withdrawn(1)])
def test_an_order_does_not_share_its_place_with_anything(other: Item) -> None:
    inbox = Inbox()
    inbox.offer(erasure(1))
    with pytest.raises(RefusedToken, match="sequence_conflict"):
        inbox.offer(other)
