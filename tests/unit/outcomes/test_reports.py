"""Receipts and labels: what is recorded, what is said back, and what is shared of it."""

import json
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey

from gateway.outcomes.labels import LabelDesk, PolicyNow, Reporter
from gateway.outcomes.matching import EvaluationRow, StoredShare, match_keys
from gateway.outcomes.receipts import take_receipts
from gateway.programs.documents import load_policy
from gateway.programs.switches import SwitchView
from gateway.programs.table import compile_table
from gateway.records.reasons import Reason
from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing.jwe import Sealer
from gateway.sealing.jwk import recipient_keys
from gateway.sealing.keys import MacKey, StaticRecipientKeys
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.server.policy import read_policy
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import feed_pb2 as v1
from tests.kit.installation import SAMPLE_POLICY
from tests.unit.feeds.records import BASE_MS, references

BANK = "northgate-bank"
NOW_MS = 1_770_000_000_000
ISSUER, SENDER = Reporter(BANK, True), Reporter("payments", False)
FRAUD = "fraud-reports"


def row(number: int, **changes: Any) -> EvaluationRow:
    values: dict[str, Any] = {
        "evaluation_key": number, "evaluation_id": f"e{number}", "sender_id": "payments",
        "merchant_id": "m-0001", "platform_id": "plat-1", "payment_intent_id": f"payment-{number}",
        "attempt_no": 1, "issuer_id": BANK, "unit_key": b"u" * 16, "initiated_at_ms": BASE_MS + number,
        "channel": 1, "mcc": "5411", "amount_minor": 1000, "currency": "USD", "cardholder_region": "US",
        "merchant_country": "US", "match_keys": match_keys(references(number)),
    }  # fmt: skip
    return EvaluationRow(**{**values, **changes})


class Index:
    """Payments in a list."""

    def __init__(self, *rows: EvaluationRow) -> None:
        self.rows = rows

    def share(self, share_id: str) -> StoredShare | None:
        for one in self.rows:
            if share_id == f"share-{one.evaluation_key}":
                return StoredShare(
                    share_id=share_id, program="risk-score", issuer_id=one.issuer_id,
                    recipient_id=one.issuer_id, evaluation=one,
                )  # fmt: skip
        return None

    def evaluation_of_payment(self, sender_id: str, intent: str, attempt_no: int) -> EvaluationRow | None:
        wanted = (sender_id, intent, attempt_no)
        return next(
            (r for r in self.rows if (r.sender_id, r.payment_intent_id, r.attempt_no) == wanted), None
        )

    def evaluations_of_key(self, match_key: str, *, from_ms: int, to_ms: int) -> list[EvaluationRow]:
        return [r for r in self.rows if match_key in r.match_keys and from_ms <= r.initiated_at_ms <= to_ms]


class Macs:
    def unit(self) -> MacKey:
        return MacKey(b"1" * 32)

    velocity = share = unit

    def token(self, recipient_id: str, epoch: int) -> MacKey:
        return self.unit()


@pytest.fixture(scope="module")
def key() -> ECKey:
    return ECKey.generate_key("P-256", {"kid": "k1", "use": "enc", "alg": "ECDH-ES+A256KW"}, private=True)


@pytest.fixture(scope="module")
def table() -> Any:
    return compile_table(load_policy(read_policy(SAMPLE_POLICY), version=3))


class Desk:
    def __init__(self, key: ECKey, table: Any, *rows: EvaluationRow) -> None:
        keys = recipient_keys(BANK, json.dumps({"keys": [key.as_dict(private=False)]}))
        self.key, self.table, self.known = key, table, set[str]()
        self.desk = LabelDesk(
            index=Index(*rows),
            pseudonyms=Pseudonyms(Macs()),
            sealer=Sealer(UnsafeSeededEntropy(1), SimClock(wall_ms=NOW_MS), StaticRecipientKeys(tuple(keys))),
        )
        self.view: SwitchView | None = SwitchView(1)

    def take(self, label: v1.LabelEvent, reporter: Reporter) -> Any:
        policy = PolicyNow(table=self.table, stops=self.view, now_ms=NOW_MS)
        [verdict] = self.desk.take([label], reporter=reporter, known=self.known, policy=policy)
        return verdict

    def record(self, label: v1.LabelEvent, reporter: Reporter) -> storage.LabelRecord:
        verdict = self.take(label, reporter)
        assert verdict.record is not None, verdict.issues
        return storage.LabelRecord.FromString(verdict.record)


def label(label_id: str = "l1", **changes: Any) -> v1.LabelEvent:
    values: dict[str, Any] = {
        "label_id": label_id, "kind": v1.LABEL_KIND_FRAUD, "source": v1.LABEL_SOURCE_TC40,
        "verb": v1.LABEL_VERB_REPORTED, "state": v1.LABEL_STATE_CONFIRMED, "fraud_type": "06",
        "amount_minor": 1000, "effective_at_ms": NOW_MS - 10, "reported_at_ms": NOW_MS - 5,
    }  # fmt: skip
    return v1.LabelEvent(**{**values, **changes})


def take(receipt: v1.Receipt, known: set[str] | None = None, recipient_id: str = BANK) -> Any:
    [verdict] = take_receipts(
        [receipt], recipient_id=recipient_id, index=Index(row(0)), known=known or set(), now_ms=NOW_MS
    )
    return verdict


GOOD = {"receipt_id": "r", "share_id": "share-0", "use": v1.RECEIPT_USE_USED}


def test_a_receipt_is_joined_to_its_payment_and_gets_our_time() -> None:
    verdict = take(v1.Receipt(**GOOD, approved=False, recorded_at_ms=5))  # type: ignore[arg-type]
    record = storage.ReceiptRecord.FromString(verdict.record)
    assert (record.sender_id, record.payment_intent_id, record.attempt_no) == ("payments", "payment-0", 1)
    assert record.receipt.recorded_at_ms == NOW_MS
    assert (record.receipt.HasField("approved"), record.receipt.approved) == (True, False)


def test_an_unknown_share_and_a_foreign_share_read_alike() -> None:
    unknown = take(v1.Receipt(**{**GOOD, "share_id": "share-9"}))  # type: ignore[arg-type]
    foreign = take(v1.Receipt(**GOOD), recipient_id="other-bank")  # type: ignore[arg-type]
    assert unknown.issues == foreign.issues
    assert unknown.record is None
    assert foreign.record is None


@pytest.mark.parametrize(
    ("changes", "field", "recorded"),
    [
        ({"receipt_id": ""}, "receipt_id", False),
        ({"receipt_id": "x" * 65}, "receipt_id", False),
        ({"use": 0}, "use", False),
        ({"use": 99}, "use", False),
        ({"share_id": "\n"}, "share_id", False),
        ({"match": 99}, "match", True),
        ({"received_at_ms": -1}, "received_at_ms", True),
        ({"decided_at_ms": NOW_MS + 60_001}, "decided_at_ms", True),
    ],
)
def test_a_bad_field_of_a_receipt_is_named_and_only_a_required_one_refuses_it(
    changes: dict[str, Any], field: str, recorded: bool
) -> None:
    verdict = take(v1.Receipt(**{**GOOD, **changes}))
    assert [issue.field for issue in verdict.issues] == [field]
    assert (verdict.record is not None) == recorded


def test_a_repeated_report_is_recorded_once(key: ECKey, table: Any) -> None:
    assert take(v1.Receipt(**GOOD), {"r"}).duplicate  # type: ignore[arg-type]
    desk = Desk(key, table, row(0))
    first = desk.take(label(payment_intent_id="payment-0"), SENDER)
    again = desk.take(label(payment_intent_id="payment-0"), SENDER)
    assert (first.duplicate, again.duplicate, again.record) == (False, True, None)


def test_a_senders_report_is_released_to_the_issuer_of_the_card_and_opens_there(
    key: ECKey, table: Any
) -> None:
    record = Desk(key, table, row(0)).record(
        label(payment_intent_id="payment-0", source_ref="case-7"), SENDER
    )
    assert (record.matched, record.evaluation_id, record.unit_key) == (True, "e0", b"u" * 16)
    [decision] = record.decisions
    assert (decision.program, decision.recipient_id) == (FRAUD, BANK)
    assert decision.outcome == storage.DECISION_OUTCOME_RELEASED
    body = json.loads(jwe.decrypt_compact(decision.sealed.decode(), key, algorithms=[
        "ECDH-ES+A256KW", "A256GCM"]).plaintext or b"")  # fmt: skip
    assert body["share_id"] == decision.share_id
    assert body["fields"] == {
        "label_state": "confirmed", "label_source": "tc40", "fraud_type": "06", "reported_at": NOW_MS - 5,
        "effective_at": NOW_MS - 10, "fraud_amount_minor": 1000, "external_ref": "case-7",
    }  # fmt: skip
    assert body["match"]["keys"] == list(match_keys(references(0)))


def test_a_correction_is_a_share_of_its_own(key: ECKey, table: Any) -> None:
    desk = Desk(key, table, row(0))
    ids = {
        desk.record(label(label_id, payment_intent_id="payment-0", source_ref="case-7"), SENDER)
        .decisions[0]
        .share_id
        for label_id in ("l1", "l2")
    }
    assert len(ids) == 2


def test_an_issuers_own_report_is_not_sent_back_to_it(key: ECKey, table: Any) -> None:
    record = Desk(key, table, row(0)).record(label(share_id="share-0"), ISSUER)
    assert (record.matched, list(record.decisions)) == (True, [])


def test_an_issuer_finds_a_payment_that_was_never_shared_by_its_references(key: ECKey, table: Any) -> None:
    desk = Desk(key, table, row(0), row(1, issuer_id="harbor-federal"))
    assert desk.record(label("l1", match=references(0)), ISSUER).payment_intent_id == "payment-0"
    assert not desk.record(label("l2", match=references(1)), ISSUER).matched, "another bank's card"


def test_a_sender_reports_about_its_own_payments_alone(key: ECKey, table: Any) -> None:
    desk = Desk(key, table, row(0, sender_id="others"))
    for number, about in enumerate(
        ({"payment_intent_id": "payment-0"}, {"share_id": "share-0"}, {"match": references(0)})
    ):
        record = desk.record(label(f"l{number}", **about), SENDER)
        assert (record.matched, list(record.decisions)) == (False, [])


def test_two_payments_that_fit_are_no_match(key: ECKey, table: Any) -> None:
    alike = match_keys(references(0))
    desk = Desk(key, table, row(0), row(1, match_keys=alike))
    assert not desk.record(label(match=references(0)), SENDER).matched
    again = Desk(key, table, row(0), row(1, payment_intent_id="payment-0", match_keys=alike))
    assert again.record(label(match=references(0)), SENDER).matched, "two records of one attempt"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("killed", Reason.KILLED),
        ("stale", Reason.POLICY_STALE),
        ("region", Reason.REGION_UNKNOWN),
        ("opted out", Reason.MERCHANT_OPTED_OUT),
    ],
)
def test_what_may_not_leave_is_withheld_and_the_label_recorded(
    key: ECKey, table: Any, change: str, reason: Reason
) -> None:
    changes = {"region": {"cardholder_region": ""}, "opted out": {"merchant_id": "m-0190"}}.get(change, {})
    desk = Desk(key, table, row(0, **changes))
    if change == "killed":
        desk.view = SwitchView(2, {(FRAUD, BANK): Reason.KILLED})
    if change == "stale":
        desk.view = None
    [decision] = desk.record(label(payment_intent_id="payment-0"), SENDER).decisions
    assert decision.outcome == storage.DECISION_OUTCOME_WITHHELD
    assert (decision.withhold_reason, decision.share_id, decision.sealed) == (reason, "", b"")


def test_without_the_recipients_key_nothing_is_released(key: ECKey, table: Any) -> None:
    desk = Desk(key, table, row(0, issuer_id="harbor-federal"))
    [decision] = desk.record(label(payment_intent_id="payment-0"), SENDER).decisions
    assert (decision.withhold_reason, decision.sealed) == (Reason.KEY_UNAVAILABLE, b"")


@pytest.mark.parametrize(
    ("changes", "field", "recorded"),
    [
        ({"label_id": ""}, "label_id", False),
        ({"kind": 0}, "kind", False),
        ({"source": 99}, "source", False),
        ({"verb": 0}, "verb", False),
        ({"effective_at_ms": 0}, "effective_at_ms", False),
        ({"effective_at_ms": NOW_MS + 60_001}, "effective_at_ms", False),
        ({"payment_intent_id": ""}, "share_id", False),
        ({"state": 99}, "state", True),
        ({"dispute_stage": 99}, "dispute_stage", True),
        ({"fraud_type": "not a code at all"}, "fraud_type", True),
        ({"currency": "usd"}, "currency", True),
        ({"amount_minor": -1}, "amount_minor", True),
        ({"attempt_no": -1}, "attempt_no", True),
        ({"source_ref": "x" * 65}, "source_ref", True),
        ({"reported_at_ms": -1}, "reported_at_ms", True),
    ],
)
def test_a_bad_field_of_a_label_is_named_and_only_a_required_one_refuses_it(
    key: ECKey, table: Any, changes: dict[str, Any], field: str, recorded: bool
) -> None:
    verdict = Desk(key, table, row(0)).take(label(**{"payment_intent_id": "payment-0", **changes}), SENDER)
    assert [issue.field for issue in verdict.issues] == [field]
    assert (verdict.record is not None) == recorded


CANARY = b"canary.person@example.com"
UNKNOWN_FIELD = b"\xba\x3e" + bytes([len(CANARY)]) + CANARY
"""Field 999, length-delimited: of a contract that this build does not know."""


@pytest.mark.parametrize("nested", [False, True])
def test_a_field_that_the_contract_does_not_know_is_never_recorded(
    key: ECKey, table: Any, nested: bool
) -> None:
    raw = label(payment_intent_id="payment-0", match=references(0)).SerializeToString()
    hidden = b"\x32" + bytes([len(UNKNOWN_FIELD)]) + UNKNOWN_FIELD if nested else UNKNOWN_FIELD
    told = v1.LabelEvent.FromString(raw + hidden)
    assert CANARY in told.SerializeToString()
    assert CANARY not in Desk(key, table, row(0)).take(told, SENDER).record
    if not nested:
        receipt = v1.Receipt.FromString(v1.Receipt(**GOOD).SerializeToString() + UNKNOWN_FIELD)  # type: ignore[arg-type]
        assert CANARY not in take(receipt).record


@pytest.mark.parametrize("changes", [{}, {"payment_intent_id": "payment-0"}])
def test_references_find_the_payment_and_are_not_recorded(
    key: ECKey, table: Any, changes: dict[str, Any]
) -> None:
    record = Desk(key, table, row(0)).record(label(match=references(0), **changes), SENDER)
    assert record.matched
    assert not record.label.HasField("match")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("network_match_key", "x" * 3_000_000),
        ("network_transaction_id", "x" * 65),
        ("iin", "4111111111111111"),
        ("last4", "41111"),
        ("card_acceptor_id", "canary.person@example.com"),
        ("retrieval_reference_number", "1" * 13),
        ("stan", "1234567"),
        ("acquiring_institution_id", "1" * 12),
        ("transmission_date_time", "now"),
        ("currency", "usd"),
        ("attempted_at_ms", -1),
    ],
)
def test_a_bad_reference_is_named_and_not_looked_for(
    key: ECKey, table: Any, name: str, value: object
) -> None:
    match = references(0)
    setattr(match, name, value)
    verdict = Desk(key, table, row(0)).take(label(match=match), SENDER)
    assert [issue.field for issue in verdict.issues] == [f"match.{name}"]
    assert len(verdict.record) < 2_000


def test_an_amount_that_no_payment_has_is_not_recorded(key: ECKey, table: Any) -> None:
    verdict = Desk(key, table, row(0)).take(
        label(payment_intent_id="payment-0", amount_minor=4_111_111_111_111_111), SENDER
    )
    assert [issue.field for issue in verdict.issues] == ["amount_minor"]
    assert storage.LabelRecord.FromString(verdict.record).label.amount_minor == 0
