"""Poll and look-up, without I/O."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.feeds.delivery import (
    KEEP_SEALED_MS,
    MAX_ERRORS,
    MAX_REDELIVERIES,
    Apply,
    DeliveryCore,
    Found,
    LookedUp,
    Polled,
    Record,
    Reply,
    find,
    still_open,
)
from gateway.feeds.fanout import FanOut
from gateway.records.journal import EVALUATIONS
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import common_pb2 as common
from issuernetwork.v1 import feed_pb2 as v1
from tests.unit.feeds.records import (
    BASE_MS,
    EXPIRES_MS,
    FakeSigner,
    FakeSwitches,
    decision,
    entries,
    evaluation,
    quick_store,
    references,
)

STREAM = "stream-northgate-bank"


class Bench:
    """A core over a store with shares in it."""

    def __init__(self, path: Path) -> None:
        self.store = quick_store(path / "feeds.sqlite3")
        self.reader = self.store.reader()
        self.switches = FakeSwitches()
        signer = FakeSigner()
        self.core = DeliveryCore(store=self.store, signer_of=lambda _: signer, iss="https://us.test")
        self.fan_out = FanOut(
            store=self.store, reader=self.reader, signer_of=lambda _: signer, iss="https://us.test"
        )
        self.records: list[storage.DeliveryRecord] = []

    def share(self, *records: storage.Evaluation) -> None:
        batch = self.fan_out.plan(EVALUATIONS, entries(records), self.switches, now_ms=BASE_MS)
        self.store.commit_fan_out(batch.change)

    def on(self, event: Polled | LookedUp) -> Reply:
        self.records = []
        for action in self.core.on(event, self.switches, BASE_MS):
            if isinstance(action, Record):
                self.records += [storage.DeliveryRecord.FromString(raw) for raw in action.payloads]
            elif isinstance(action, Apply):
                self.store.apply(action.change)
            else:
                return action
        raise AssertionError("no reply")

    def poll(
        self, *acks: str, errors: dict[str, str] | None = None, max_events: int | None = None
    ) -> list[str]:
        reply = self.on(
            Polled(stream_id=STREAM, acknowledged=acks, set_errors=errors or {}, max_events=max_events)
        )
        return [item.jti for item in reply.items]

    def find(
        self, refs: common.MatchReferences, *, at_ms: int = BASE_MS, now_ms: int = BASE_MS,
        caught_up: bool = True,
    ) -> Found:  # fmt: skip
        return find(
            self.reader, "northgate-bank", refs, self.switches,
            attempted_at_ms=at_ms, now_ms=now_ms, caught_up=caught_up,
        )  # fmt: skip

    def close(self) -> None:
        self.reader.close()
        self.store.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.share(*(evaluation(number, decision(f"s{number}")) for number in range(4)))
    yield made
    made.close()


def payload_of(token: bytes) -> str:
    body = token.split(b".")[1]
    return base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)).decode()


def test_what_is_not_acknowledged_comes_again_with_the_same_bytes(bench: Bench) -> None:
    first = bench.on(Polled(stream_id=STREAM, max_events=2))
    assert first.more_available
    again = bench.on(Polled(stream_id=STREAM, max_events=2))
    assert [item.set_bytes for item in again.items] == [item.set_bytes for item in first.items]
    assert bench.poll("s0", "s1", "s0", "never-heard-of") == ["s2", "s3"]
    assert bench.poll("s0", "s2", "s3") == []


def test_a_poll_for_no_events_takes_the_answers_and_sends_nothing(bench: Bench) -> None:
    reply = bench.on(Polled(stream_id=STREAM, acknowledged=("s0",), max_events=0))
    assert (reply.items, reply.more_available) == ((), True)
    assert bench.poll() == ["s1", "s2", "s3"]


def test_the_record_of_sending_comes_before_the_bytes(bench: Bench) -> None:
    actions = bench.core.on(Polled(stream_id=STREAM), bench.switches, BASE_MS)
    assert [type(action) for action in actions] == [Record, Apply, Reply]
    assert isinstance(actions[0], Record)
    sent = [storage.DeliveryRecord.FromString(raw) for raw in actions[0].payloads]
    assert [(one.share_id, one.event) for one in sent] == [
        (f"s{number}", storage.DELIVERY_EVENT_SENT) for number in range(4)
    ]


def test_a_refused_set_is_offered_again_until_the_cap_and_then_a_tombstone_takes_its_place(
    bench: Bench,
) -> None:
    for _ in range(MAX_ERRORS - 1):
        assert "s0" in bench.poll(errors={"s0": "jwtAud"})
        assert not [one for one in bench.records if one.event == storage.DELIVERY_EVENT_REFUSED]
    reply = bench.poll(errors={"s0": "a free text, not a code"})
    assert reply == ["s0.w", "s1", "s2", "s3"], "the receiver's sequence would stand still"
    steps = [(one.event, one.jti, one.error_code) for one in bench.records if one.share_id == "s0"]
    assert steps == [
        (storage.DELIVERY_EVENT_REFUSED, "s0", "other"),
        (storage.DELIVERY_EVENT_WITHDRAWN, "s0.w", ""),
        (storage.DELIVERY_EVENT_SENT, "s0.w", ""),
    ]
    [tombstone, *_] = bench.store.pending(STREAM, 1)
    assert (tombstone.stream_seq, tombstone.withdrawn) == (1, True)
    assert '"reason":"refused"' in payload_of(tombstone.set_bytes)
    for _ in range(MAX_ERRORS):
        bench.poll(errors={"s0.w": "jwtAud"})
    assert bench.poll() == ["s1", "s2", "s3"], "a tombstone gets none of its own"


def test_a_set_that_is_passed_over_again_and_again_is_given_up(bench: Bench) -> None:
    for _ in range(MAX_REDELIVERIES):
        bench.poll(max_events=2)
    assert bench.poll("s1") == ["s0.w", "s2", "s3"]
    [refused] = [one for one in bench.records if one.event == storage.DELIVERY_EVENT_REFUSED]
    assert (refused.share_id, refused.error_code) == ("s0", "unanswered")


def test_a_set_sent_before_the_kill_and_not_answered_becomes_a_tombstone(bench: Bench) -> None:
    bench.poll()
    bench.switches.stop("risk-score")
    assert bench.poll("s1") == ["s0.w", "s2.w", "s3.w"]
    assert bench.poll("s0") == ["s0.w", "s2.w", "s3.w"], "an ack of the data is none of its withdrawal"
    assert bench.poll("s0.w", "s2.w", "s3.w") == []


def test_a_sweep_withdraws_look_ups_too_and_then_rests(bench: Bench) -> None:
    assert bench.core.sweep(bench.switches, BASE_MS) == []
    bench.switches.stop("risk-score")
    for action in bench.core.sweep(bench.switches, BASE_MS):
        if isinstance(action, Apply):
            bench.store.apply(action.change)
    assert bench.core.sweep(bench.switches, BASE_MS) == []
    bench.switches.stops.clear()
    assert bench.find(references(0)).match == v1.MATCH_RESULT_NOT_MATCHED, "withdrawn for good"


def test_sealed_bytes_that_nobody_fetches_give_way_to_tombstones_after_eight_days(bench: Bench) -> None:
    def expire(now_ms: int) -> None:
        while actions := bench.core.expire(now_ms):
            for action in actions:
                if isinstance(action, Apply):
                    bench.store.apply(action.change)

    def kept() -> list[str]:
        return sorted(row[0] for row in bench.store._connection.rows("select jti from sets"))

    bench.poll("s0", max_events=0)
    bench.store.expire(EXPIRES_MS + 1, 100)
    assert kept() == ["s1", "s2", "s3"], "what was acknowledged is gone at once"
    expire(BASE_MS + KEEP_SEALED_MS)
    assert kept() == ["s1", "s2", "s3"]
    expire(BASE_MS + KEEP_SEALED_MS + 1)
    assert kept() == ["s1.w", "s2.w", "s3.w"]
    pending = bench.store.pending(STREAM, 10)
    assert [one.stream_seq for one in pending] == [2, 3, 4]
    assert '"reason":"expired"' in payload_of(pending[0].set_bytes)


def test_data_may_leave_only_while_its_scope_is_open(bench: Bench) -> None:
    items = bench.on(Polled(stream_id=STREAM)).items
    assert still_open(items, bench.switches)
    bench.switches.stop("risk-score")
    assert not still_open(items, bench.switches)
    assert still_open(bench.on(Polled(stream_id=STREAM)).items, bench.switches), "tombstones may leave"


def test_key_references_decide_before_the_composite(bench: Bench) -> None:
    found = bench.find(references(2))
    assert (found.match, [item.share_id for item in found.items]) == (v1.MATCH_RESULT_UNIQUE, ["s2"])


def test_two_candidates_give_no_match_and_two_programs_of_one_payment_do(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    alike = common.MatchReferences(
        amount_minor=500, currency="USD", iin="90100101", last4="0042", card_acceptor_id="A"
    )
    first = evaluation(0)
    second = evaluation(1)
    for number, record in enumerate((first, second)):
        record.match.CopyFrom(alike)
        record.decisions.append(decision(f"a{number}"))
        record.decisions.append(decision(f"b{number}", program="enhanced-data"))
    bench.share(first)
    found = bench.find(alike)
    assert (found.match, sorted(item.share_id for item in found.items)) == (
        v1.MATCH_RESULT_UNIQUE, ["a0", "b0"],
    )  # fmt: skip
    batch = bench.fan_out.plan(EVALUATIONS, entries([second], first=1), bench.switches, now_ms=BASE_MS)
    bench.store.commit_fan_out(batch.change)
    assert bench.find(alike) == Found(v1.MATCH_RESULT_AMBIGUOUS)
    bench.close()


ALIKE = common.MatchReferences(
    amount_minor=500, currency="USD", iin="90100101", last4="0042", card_acceptor_id="A"
)


def alike(number: int, *decisions: storage.Decision, **changes: object) -> storage.Evaluation:
    """Payments that the composite cannot tell apart; each has a reference of its own."""
    match = common.MatchReferences(
        acquiring_institution_id="400001", retrieval_reference_number=f"{number:012d}"
    )
    match.MergeFrom(ALIKE)
    record = evaluation(number, **changes)
    record.match.CopyFrom(match)
    record.decisions.extend(decisions)
    return record


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def test_a_payment_that_is_not_shared_counts_among_those_that_the_composite_fits(empty: Bench) -> None:
    empty.share(alike(0, decision("a")), alike(1))
    assert empty.find(ALIKE) == Found(v1.MATCH_RESULT_AMBIGUOUS), "one card's data for another card"


def test_a_payment_known_by_a_stronger_key_gets_no_other_ones_data_by_the_composite(empty: Bench) -> None:
    held_out = alike(1)
    held_out.match.last4 = ""
    empty.share(alike(0, decision("a")), held_out)
    assert empty.find(ALIKE).match == v1.MATCH_RESULT_UNIQUE
    assert empty.find(alike(1).match) == Found(v1.MATCH_RESULT_NOT_MATCHED)


def test_the_composite_decides_only_when_all_payments_are_fanned_out(empty: Bench) -> None:
    empty.share(alike(0, decision("a")))
    assert empty.find(ALIKE, caught_up=False) == Found(v1.MATCH_RESULT_NOT_MATCHED)
    assert empty.find(alike(0).match, caught_up=False).match == v1.MATCH_RESULT_UNIQUE
    assert empty.find(ALIKE).match == v1.MATCH_RESULT_UNIQUE


def test_one_payment_asked_about_twice_is_one_candidate(empty: Bench) -> None:
    again = alike(0, request_id="again")
    empty.share(alike(0, decision("a")), again)
    assert empty.find(ALIKE).match == v1.MATCH_RESULT_UNIQUE


def test_a_look_up_finds_only_near_the_payment_time_and_until_it_expires(bench: Bench) -> None:
    assert bench.find(references(0), at_ms=BASE_MS + 15 * 60_000).match == v1.MATCH_RESULT_UNIQUE
    assert bench.find(references(0), at_ms=BASE_MS + 15 * 60_000 + 1).match == v1.MATCH_RESULT_NOT_MATCHED
    assert bench.find(references(0), now_ms=EXPIRES_MS).match == v1.MATCH_RESULT_NOT_MATCHED


def test_a_look_up_is_recorded_before_it_is_answered(bench: Bench) -> None:
    found = bench.find(references(0))
    reply = bench.on(LookedUp(items=found.items))
    assert reply.items == found.items
    assert [(one.share_id, one.transport, one.event) for one in bench.records] == [
        ("s0", common.TRANSPORT_LOOKUP, storage.DELIVERY_EVENT_SENT)
    ]
