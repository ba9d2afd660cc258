"""What every DeliveryStore has to hold. A backend joins by one line in BACKENDS."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded import delivery_sql as sql
from gateway.backends.embedded.delivery import SqliteDeliveryStore, shares_already_left
from gateway.feeds.ports import (
    Acknowledgement,
    DeliveryChange,
    FanOutChange,
    OutboxItem,
    ShareRow,
    StoreUnavailable,
)
from gateway.feeds.records import tombstone_jti
from gateway.outcomes.matching import EvaluationRow
from gateway.records.journal import EVALUATIONS, FIRST
from tests.unit.feeds.records import BASE_MS, LOOKUP, MESSAGE, SSF

BACKENDS: dict[str, Callable[[Path], Any]] = {
    "sqlite": lambda path: SqliteDeliveryStore(path / "feeds.sqlite3")
}
STREAM = "stream-bank"
ALWAYS_MS = 1 << 60


@pytest.fixture(params=sorted(BACKENDS))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Opens the store; opening it again closes the one before, as a restart does."""
    held: list[Any] = []

    def reopen() -> Any:
        while held:
            held.pop().close()
        held.append(BACKENDS[request.param](tmp_path))
        return held[0]

    yield reopen
    while held:
        held.pop().close()


def row(number: int, **changes: Any) -> EvaluationRow:
    made = EvaluationRow(
        evaluation_key=number, evaluation_id=f"e{number}", sender_id="payments", merchant_id="m",
        platform_id="p", payment_intent_id=f"payment-{number}", attempt_no=1, issuer_id="bank",
        unit_key=b"u" * 16, initiated_at_ms=BASE_MS + number, channel=1, mcc="5411", amount_minor=100,
        currency="USD", cardholder_region="US", merchant_country="US",
        match_keys=(f"rrn:{number}:1", "cmp:same"),
    )  # fmt: skip
    return replace(made, **changes)


def item(number: int, transport: int = SSF, **changes: Any) -> OutboxItem:
    on_stream = transport == SSF
    made = OutboxItem(
        share_id=f"s{number}", transport=transport, recipient_id="bank", program="risk-score",
        issuer_id="bank", evaluation_id=f"e{number}", stream_id=STREAM if on_stream else "",
        stream_seq=number + 1 if on_stream else 0, jti=f"s{number}", set_bytes=b"signed-%d" % number,
    )  # fmt: skip
    return replace(made, **changes)


def share(number: int, *transports: int, expires_at_ms: int = ALWAYS_MS) -> ShareRow:
    return ShareRow(
        share_id=f"s{number}", evaluation_key=number, program="risk-score", issuer_id="bank",
        recipient_id="bank", transports=transports or (SSF, LOOKUP), expires_at_ms=expires_at_ms,
    )  # fmt: skip


def fan_out(*numbers: int, records: tuple[bytes, ...] = (), expires_at_ms: int = ALWAYS_MS) -> FanOutChange:
    return FanOutChange(
        topic=EVALUATIONS,
        partition=0,
        position=max(numbers),
        at_ms=BASE_MS + max(numbers),
        evaluations=[row(number) for number in numbers],
        shares=[share(number, expires_at_ms=expires_at_ms) for number in numbers],
        items=[item(number, transport) for number in numbers for transport in (SSF, LOOKUP)],
        records=records,
        next_seqs={STREAM: max(numbers) + 2},
    )


def found(store: Any, number: int, **changes: Any) -> list[str]:
    reader = store.reader()
    try:
        asked = {"from_ms": 0, "to_ms": ALWAYS_MS, "now_ms": BASE_MS, **changes}
        recipient_id = asked.pop("recipient_id", "bank")
        return [one.share_id for _, one in reader.lookup(recipient_id, f"rrn:{number}:1", **asked)]
    finally:
        reader.close()


def test_a_fan_out_is_kept_whole_with_its_offset_across_a_restart(opened: Callable[[], Any]) -> None:
    store = opened()
    assert (store.offset(EVALUATIONS, 0), store.next_seq(STREAM)) == (FIRST, 1)
    store.commit_fan_out(fan_out(0, 1, 2, records=(b"a", b"b")))
    store = opened()
    assert (store.offset(EVALUATIONS, 0), store.next_seq(STREAM)) == (2, 4)
    assert store.unconfirmed_records() == [b"a", b"b"]
    assert [(one.stream_seq, one.set_bytes) for one in store.pending(STREAM, 10)] == [
        (1, b"signed-0"), (2, b"signed-1"), (3, b"signed-2"),
    ]  # fmt: skip
    assert store.known_shares(["s0", "s2", "s9"]) == {"s0", "s2"}
    assert store.scopes() == [("risk-score", "bank")]


def test_a_fan_out_that_fails_leaves_nothing_behind(opened: Callable[[], Any]) -> None:
    store = opened()
    store.commit_fan_out(fan_out(0))
    twice = fan_out(1, 0)
    with pytest.raises(StoreUnavailable):
        store.commit_fan_out(replace(twice, position=9))
    assert store.offset(EVALUATIONS, 0) == 0
    assert [one.share_id for one in store.pending(STREAM, 10)] == ["s0"]
    store.commit_fan_out(fan_out(1))


def test_what_was_answered_is_not_pending_and_its_bytes_stay_for_the_look_up_only(
    opened: Callable[[], Any],
) -> None:
    store = opened()
    store.commit_fan_out(fan_out(0, 1, 2, expires_at_ms=BASE_MS + 10))
    answers = [
        Acknowledgement(item=item(0)),
        Acknowledgement(item=item(1), error_code="jwtAud", final=False),
        Acknowledgement(item=item(2), error_code="jwtAud"),
    ]
    store.apply(DeliveryChange(answers=answers))
    store.apply(DeliveryChange(answers=answers[:1]))
    [left] = store.pending(STREAM, 10)
    assert (left.share_id, left.error_count) == ("s1", 1)
    assert found(store, 0) == ["s0"]
    assert found(store, 0, now_ms=BASE_MS + 10) == []
    assert store.expire(BASE_MS + 11, 100) == 3
    assert store.expire(BASE_MS + 11, 100) == 0
    assert [one.set_bytes for one in store.pending(STREAM, 10)] == [b"signed-1"]


def test_a_withdrawn_item_keeps_its_place_under_another_id_and_cannot_be_looked_up(
    opened: Callable[[], Any],
) -> None:
    store = opened()
    store.commit_fan_out(fan_out(0, 1))
    open_items = store.open_items("risk-score", "bank", 10)
    assert sorted((one.share_id, one.transport) for one in open_items) == [
        ("s0", LOOKUP), ("s0", SSF), ("s1", LOOKUP), ("s1", SSF),
    ]  # fmt: skip
    tombstone = item(0, jti="s0.w", set_bytes=b"gone", withdrawn=True)
    store.apply(DeliveryChange(withdrawn=[tombstone, item(0, LOOKUP, withdrawn=True, set_bytes=b"")]))
    assert [(one.jti, one.set_bytes, one.withdrawn) for one in store.pending(STREAM, 10)] == [
        ("s0.w", b"gone", True), ("s1", b"signed-1", False),
    ]  # fmt: skip
    assert (found(store, 0), found(store, 1)) == ([], ["s1"])
    # An answer to the data that was in flight is none to the tombstone.
    store.apply(DeliveryChange(answers=[Acknowledgement(item=item(0))]))
    assert [one.jti for one in store.pending(STREAM, 10)] == ["s0.w", "s1"]
    store.apply(DeliveryChange(answers=[Acknowledgement(item=tombstone)]))
    assert [one.jti for one in store.pending(STREAM, 10)] == ["s1"]


def test_what_left_is_counted_once_by_share_and_by_transport(
    opened: Callable[[], Any], tmp_path: Path
) -> None:
    store = opened()
    change = fan_out(0, 1)
    store.commit_fan_out(replace(change, shares=[share(0), share(1, SSF, LOOKUP, MESSAGE)]))
    for sent in ([item(0), item(0)], [item(0, LOOKUP)], [item(0)], [item(1, withdrawn=True)]):
        store.apply(DeliveryChange(sent=sent))
    left = shares_already_left(tmp_path / "feeds.sqlite3", "risk-score", "bank")
    assert (left.shares, left.ssf, left.lookup, left.message) == (2, 1, 1, 1)
    assert shares_already_left(tmp_path / "feeds.sqlite3", "risk-score").shares == 2
    assert shares_already_left(tmp_path / "feeds.sqlite3", "other").shares == 0
    assert shares_already_left(tmp_path / "none.sqlite3", "risk-score").shares == 0


def test_a_look_up_is_for_its_recipient_and_within_the_span_alone(opened: Callable[[], Any]) -> None:
    store = opened()
    store.commit_fan_out(fan_out(0, 1))
    assert found(store, 1) == ["s1"]
    assert found(store, 1, recipient_id="other-bank") == []
    assert found(store, 1, from_ms=BASE_MS + 2) == []
    assert found(store, 1, to_ms=BASE_MS) == []


def test_reports_are_remembered_by_kind_and_reporter(opened: Callable[[], Any]) -> None:
    opened().keep_reports("receipt", "bank", ["r1", "r2"], at_ms=BASE_MS)
    store = opened()
    assert store.known_reports("receipt", "bank", ["r1", "r3"]) == {"r1"}
    assert store.known_reports("label", "bank", ["r1"]) == set()
    assert store.known_reports("receipt", "other", ["r1"]) == set()
    store.keep_reports("receipt", "bank", ["r3"], at_ms=BASE_MS + 5)
    assert store.forget_reports(BASE_MS + 1, 1) == 1
    assert store.forget_reports(BASE_MS + 1, 9) == 1
    assert store.known_reports("receipt", "bank", ["r1", "r2", "r3"]) == {"r3"}


def test_payments_are_found_by_share_by_id_and_by_key(opened: Callable[[], Any]) -> None:
    store = opened()
    store.commit_fan_out(fan_out(0, 1))
    reader = store.reader()
    try:
        stored = reader.share("s1")
        assert (stored.program, stored.recipient_id, stored.evaluation) == ("risk-score", "bank", row(1))
        assert reader.share("s9") is None
        assert reader.evaluation_of_payment("payments", "payment-0", 1) == row(0)
        assert reader.evaluation_of_payment("others", "payment-0", 1) is None
        same = reader.evaluations_of_key("cmp:same", from_ms=0, to_ms=ALWAYS_MS)
        assert sorted(one.evaluation_key for one in same) == [0, 1]
    finally:
        reader.close()


def test_what_is_too_old_to_be_matched_is_forgotten_whole_and_what_is_younger_stays(
    opened: Callable[[], Any],
) -> None:
    store = opened()
    for number, expires_at_ms in enumerate((BASE_MS, BASE_MS, ALWAYS_MS)):
        store.commit_fan_out(fan_out(number, expires_at_ms=expires_at_ms))
    store.apply(DeliveryChange(answers=[Acknowledgement(item=item(number)) for number in (0, 1)]))
    assert store.expire(BASE_MS + 1, 100) == 2
    assert store.forget(BASE_MS + 2, 100) == 2
    assert store.forget(BASE_MS + 2, 100) == 0
    assert store.known_shares(["s0", "s1", "s2"]) == {"s2"}
    assert [one.share_id for one in store.pending(STREAM, 10)] == ["s2"]
    assert (found(store, 0), found(store, 2)) == ([], ["s2"])


def test_what_is_open_outlives_its_payment_until_it_is_answered(opened: Callable[[], Any]) -> None:
    store = opened()
    store.commit_fan_out(fan_out(0, 1))
    gone = [item(n, LOOKUP, withdrawn=True, set_bytes=b"") for n in (0, 1)]
    tombstone = item(0, jti="s0.w", set_bytes=b"gone", withdrawn=True)
    store.apply(DeliveryChange(withdrawn=[*gone, tombstone], answers=[Acknowledgement(item=item(1))]))
    assert store.forget(BASE_MS + 9, 100) == 2
    [left] = store.pending(STREAM, 10)
    assert (left.stream_seq, left.set_bytes) == (1, b"gone"), "a gap in the stream"
    store.apply(DeliveryChange(answers=[Acknowledgement(item=left)]))
    assert store.pending(STREAM, 10) == []
    assert store._connection.rows("select count(*) from outbox union all select count(*) from sets") == [
        (0,), (0,),
    ]  # fmt: skip


def test_open_items_are_found_by_the_time_of_their_fan_out(opened: Callable[[], Any]) -> None:
    store = opened()
    store.commit_fan_out(fan_out(0))
    store.commit_fan_out(fan_out(5))
    old = store.open_items("risk-score", "bank", 10, queued_before_ms=BASE_MS + 5)
    assert {one.share_id for one in old} == {"s0"}
    assert store.open_items("risk-score", "bank", 10, queued_before_ms=BASE_MS) == []


def test_a_database_of_before_is_taken_over_with_what_is_open(tmp_path: Path) -> None:
    path = tmp_path / "feeds.sqlite3"
    store = SqliteDeliveryStore(path)
    store.commit_fan_out(fan_out(0))
    for statement in ("drop index outbox_scope_age", "alter table outbox drop column queued_at_ms"):
        store._connection.rows(statement)
    store.close()
    store = SqliteDeliveryStore(path)
    store.commit_fan_out(fan_out(7))
    assert len(store.open_items("risk-score", "bank", 10)) == 4
    assert store.open_items("risk-score", "bank", 10, queued_before_ms=BASE_MS) == []
    store.close()


def of_party(number: int, merchant_id: str, consent_id: str) -> ShareRow:
    return replace(
        share(number), merchant_id=merchant_id, platform_id="p", consent_id=consent_id, unit_key=b"u" * 16
    )


def test_what_is_open_is_known_by_its_consent_until_it_is_withdrawn(opened: Callable[[], Any]) -> None:
    store = opened()
    change = fan_out(0, 1, 2, 3)
    shares = [of_party(0, "m1", "c1"), of_party(1, "m1", "c2"), of_party(2, "m2", ""), share(3)]
    evaluations = [row(n, merchant_id=f"m{1 + n // 2}") for n in range(4)]
    store.commit_fan_out(replace(change, shares=shares, evaluations=evaluations))
    # Of share 3 nobody knows the merchant: it has no consent that could lapse.
    assert sorted(store.open_consents()) == [("m1", "p", "c1"), ("m1", "p", "c2"), ("m2", "p", "")]
    found = store.open_of_consent("m1", "p", "c1", 10)
    assert {(one.share_id, one.transport) for one in found} == {("s0", SSF), ("s0", LOOKUP)}
    assert len(store.open_of_consent("m1", "p", "c1", 1)) == 1
    gone = [replace(one, withdrawn=True, jti=tombstone_jti(one.share_id)) for one in found]
    store.apply(DeliveryChange(withdrawn=gone))
    assert store.open_of_consent("m1", "p", "c1", 10) == []
    assert sorted(store.open_consents()) == [("m1", "p", "c2"), ("m2", "p", "")]


def test_what_is_queued_is_taken_back_also_where_its_payment_is_forgotten(
    opened: Callable[[], Any],
) -> None:
    """A label about a payment of 400 days ago may be on its way when the payment's rows go."""
    store = opened()
    change = fan_out(0, 1)
    store.commit_fan_out(replace(change, shares=[of_party(0, "m", "c1"), of_party(1, "m", "c1")]))
    store.apply(DeliveryChange(answers=[Acknowledgement(item=item(1))]))
    assert store.forget(BASE_MS + 9, 100) == 2
    assert store.open_consents() == [("m", "p", "c1")]
    queued = store.open_of_consent("m", "p", "c1", 10)
    assert sorted((one.share_id, one.transport) for one in queued) == [
        ("s0", LOOKUP), ("s0", SSF), ("s1", LOOKUP),
    ]  # fmt: skip
    assert len(store.open_of_cards([b"u" * 16], 10)) == 3
    gone = [replace(one, withdrawn=True, jti=tombstone_jti(one.share_id)) for one in queued]
    store.apply(DeliveryChange(withdrawn=gone))
    assert (store.open_consents(), store.open_of_cards([b"u" * 16], 10)) == ([], [])
    [tombstone] = store.pending(STREAM, 10)
    assert (tombstone.share_id, tombstone.withdrawn) == ("s0", True)
    store.apply(DeliveryChange(answers=[Acknowledgement(item=tombstone)]))
    assert rows_left(store) == {"shares": 0, "outbox": 0, "sets": 0}


def test_what_outlived_its_payment_goes_with_the_last_that_is_open_of_it(opened: Callable[[], Any]) -> None:
    store = opened()
    store.commit_fan_out(
        replace(fan_out(0, expires_at_ms=BASE_MS + 10), shares=[
            replace(of_party(0, "m", "c1"), expires_at_ms=BASE_MS + 10)
        ])
    )  # fmt: skip
    store.forget(BASE_MS + 9, 100)
    store.apply(DeliveryChange(answers=[Acknowledgement(item=item(0))]))
    assert store.open_consents() == [("m", "p", "c1")], "a look-up of it is open"
    assert store.expire(BASE_MS + 11, 10) == 1
    assert rows_left(store) == {"shares": 0, "outbox": 0, "sets": 0}


def rows_left(store: Any) -> dict[str, int]:
    tables = ("shares", "outbox", "sets")
    return {name: store._connection.rows(f"select count(*) from {name}")[0][0] for name in tables}


def test_what_is_taken_back_is_found_by_indexes_however_much_is_queued(tmp_path: Path) -> None:
    store = SqliteDeliveryStore(tmp_path / "feeds.sqlite3")
    for query, parameters, indexes in (
        (sql.OPEN_CONSENTS, (), {"COVERING INDEX shares_agreement"}),
        (sql.OPEN_OF_CONSENT, (1, 1), {"shares_agreement"}),
        (sql.OPEN_OF_CARDS.format(marks="?"), (1, b"", 1, b"", 1), {"shares_unit", "shares_card"}),
    ):
        plan = [str(row[3]) for row in store._connection.rows(f"explain query plan {query}", parameters)]
        assert {index for index in indexes if index in str(plan)} == indexes
        assert not [step for step in plan if step.startswith(("SCAN s", "SCAN o ")) and "INDEX" not in step]
    store.close()


def test_a_database_without_keys_of_cards_is_taken_over_with_what_is_open(tmp_path: Path) -> None:
    path = tmp_path / "feeds.sqlite3"
    store = SqliteDeliveryStore(path)
    store.commit_fan_out(replace(fan_out(0), shares=[of_party(0, "m", "c1")]))
    for statement in (
        *(f"drop index shares_{name}" for name in ("agreement", "unit", "card")),
        *(
            f"alter table shares drop column {name}"
            for name in ("queued", "agreement", "unit_key", "card_key", "merchant_id", "platform_id")
        ),
        "alter table evaluations drop column card_key",
    ):
        store._connection.rows(statement)
    store.close()
    store = SqliteDeliveryStore(path)
    store.commit_fan_out(fan_out(7))
    assert store.open_consents() == [("m", "p", "c1")]
    assert len(store.open_of_consent("m", "p", "c1", 10)) == 2
    assert {one.share_id for one in store.open_of_cards([b"u" * 16], 10)} == {"s0"}
    reader = store.reader()
    assert [one.card_key for one in reader.evaluations_of_key("rrn:0:1", from_ms=0, to_ms=1 << 60)] == [b""]
    reader.close()
    store.close()


def test_a_second_owner_is_refused(opened: Callable[[], Any], tmp_path: Path) -> None:
    opened()
    with pytest.raises(StoreUnavailable):
        SqliteDeliveryStore(tmp_path / "feeds.sqlite3")
