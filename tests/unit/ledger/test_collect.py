"""What goes into the ledger: all that left or may have left, once, and nothing personal."""

import json
from typing import Any

from gateway.ledger.entry import PREFIX
from gateway.programs.consents import Party, Setting
from gateway.programs.model import Tier
from gateway.programs.switches import EVERY_ISSUER
from gateway.records.journal import DELIVERIES, LABELS
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import feed_pb2
from issuernetwork.v1.common_pb2 import PURPOSE_FRAUD_AUTHORIZATION, TRANSPORT_LOOKUP
from tests.unit.feeds.records import BASE_MS, decision, evaluation
from tests.unit.ledger.kit import CHAIN, MESSAGE, SSF, Ledger, delivery


def bodies(ledger: Ledger, chain: str = CHAIN) -> list[dict[str, Any]]:
    return [json.loads(data[PREFIX.size :]) for data in ledger.entries(chain)]


def test_a_share_is_in_the_ledger_when_it_leaves_and_not_when_it_is_decided(ledger: Ledger) -> None:
    ledger.evaluate(1, 2)
    ledger.record(delivery(1, storage.DELIVERY_EVENT_ENQUEUED), delivery(2, storage.DELIVERY_EVENT_ENQUEUED))
    assert ledger.step() == 0
    ledger.send(2)
    assert ledger.step() == 1
    assert [body["share"]["share_id"] for body in bodies(ledger)] == ["share-2"]


def test_an_entry_says_under_what_the_share_left_and_how(ledger: Ledger) -> None:
    made = decision("share-1", transports=(SSF,))
    made.consent_id, made.contract_id, made.enrolment_id = "consent-1", "contract-1", "enrolment-1"
    made.purpose, made.field_mask, made.dictionary_version = PURPOSE_FRAUD_AUTHORIZATION, 0b1011, 1
    made.card_token, made.token_epoch, made.payload_sha256 = "ct_1", 2, b"p" * 32
    record = evaluation(1, made, policy_version=7, decided_at_ms=BASE_MS)
    ledger.gateway.append("evaluations", [record.SerializeToString()])
    ledger.send(1)
    ledger.step()
    [body] = bodies(ledger)
    assert body.pop("share") == {
        "card_token": "ct_1", "consent_id": "consent-1", "contract_id": "contract-1",
        "decided_at_ms": BASE_MS, "dictionary_version": 1,
        "enrolment_id": "enrolment-1", "evaluation_id": "evaluation-1",
        "field_mask": "000000000000000b", "issuer_id": "northgate-bank", "payload_sha256": "70" * 32,
        "policy_version": 7, "profile": "", "program": "risk-score", "purpose": "fraud_authorization",
        "recipient_id": "northgate-bank", "recipient_kid": "", "sender_id": "payments", "share_id": "share-1",
        "token_epoch": 2,
    }  # fmt: skip
    assert body == {
        "at_ms": BASE_MS + 1, "kind": "share", "left": "sent", "position": 0, "transport": "ssf",
        "delivery": {
            "jti": "share-1", "set_sha256": "73" * 32, "stream_id": "stream-northgate-bank", "stream_seq": 2,
        },
    }  # fmt: skip


def test_while_two_epochs_overlap_a_card_is_found_by_the_tokens_of_both(ledger: Ledger) -> None:
    made = decision("share-1", transports=(SSF,))
    made.card_token, made.token_epoch, made.previous_card_token = "ct_2", 2, "ct_1"
    record = evaluation(1, made)
    record.unit_key = b"u" * 16
    ledger.gateway.append("evaluations", [record.SerializeToString()])
    ledger.send(1)
    ledger.step()
    [body] = bodies(ledger)
    told = {name: body["share"][name] for name in ("card_token", "token_epoch", "previous_card_token")}
    assert told == {"card_token": "ct_2", "token_epoch": 2, "previous_card_token": "ct_1"}
    reader = ledger.store.reader()
    try:
        for token in ("ct_1", "ct_2"):
            units = reader.units_of([], [token])
            assert (units, reader.shares_of_units(units)) == ([b"u" * 16], ["share-1"])
        assert reader.units_of([], ["ct_3"]) == []
    finally:
        reader.close()


def test_a_share_for_the_message_is_in_the_ledger_once_its_evaluation_is_durable(ledger: Ledger) -> None:
    """Its caller may have been told `undetermined`, or nothing: the ledger has it all the same."""
    ledger.evaluate(1, transports=(MESSAGE, SSF))
    ledger.step()
    ledger.send(1)
    ledger.step()
    assert [(body["left"], body["transport"]) for body in bodies(ledger, "evaluations/0")] == [
        ("returned", "message")
    ]
    assert [(body["left"], body["transport"]) for body in bodies(ledger)] == [("sent", "ssf")]


def test_what_is_sent_again_or_recorded_twice_is_in_the_ledger_once_for_each_transport(
    ledger: Ledger,
) -> None:
    ledger.evaluate(1, transports=(MESSAGE, SSF, TRANSPORT_LOOKUP))
    ledger.evaluate(1, transports=(MESSAGE, SSF, TRANSPORT_LOOKUP))
    ledger.send(1, 1)
    ledger.step()
    ledger.evaluate(1, transports=(MESSAGE, SSF, TRANSPORT_LOOKUP))
    ledger.record(delivery(1), delivery(1, transport=TRANSPORT_LOOKUP))
    ledger.step()
    assert [body["transport"] for body in bodies(ledger)] == ["ssf", "lookup"]
    assert len(bodies(ledger, "evaluations/0")) == 1


def test_a_tombstone_is_no_disclosure(ledger: Ledger) -> None:
    ledger.evaluate(1)
    ledger.record(delivery(1, jti="share-1.w"), delivery(1, storage.DELIVERY_EVENT_WITHDRAWN))
    assert ledger.step() == 0


def test_what_leaves_of_a_label_is_in_the_ledger_with_its_decision(ledger: Ledger) -> None:
    label = storage.LabelRecord(
        sender_id="payments", issuer_id="northgate-bank", label_evaluation_id="label-1", policy_version=3,
        decisions=[decision("share-1")], label=feed_pb2.LabelEvent(recorded_at_ms=BASE_MS),
    )  # fmt: skip
    ledger.feeds.append(LABELS, [label.SerializeToString()])
    ledger.send(1)
    ledger.step()
    [body] = bodies(ledger)
    assert (body["share"]["evaluation_id"], body["share"]["policy_version"]) == ("label-1", 3)


def test_a_share_without_a_decision_that_is_known_is_in_the_ledger_and_says_so(ledger: Ledger) -> None:
    ledger.send(9)
    ledger.step()
    [body] = bodies(ledger)
    assert body["share"]["decision_unknown"] is True
    assert body["share"]["share_id"] == "share-9"


def test_records_that_were_lost_before_they_were_read_leave_a_word_of_it(ledger: Ledger) -> None:
    ledger.share(1)
    ledger.send(2, 3)
    ledger.sql("update offsets set position = -5 where topic = ?", DELIVERIES)
    ledger.step()
    assert {"after": -5, "kind": "gap", "resumed_at": 0} in bodies(ledger)


def test_administrative_acts_are_in_the_ledger_without_a_name_or_a_reason(ledger: Ledger) -> None:
    ledger.policy.apply({"programs/risk-score.yaml": "x"}, actor="maria", reason="first")
    ledger.policy.kill("risk-score", EVERY_ISSUER, actor="maria", reason="call from the bank")
    ledger.policy.revive("risk-score", actor="maria", approver="joao", reason="mended")
    ledger.policy.pause("risk-score", "northgate-bank", actor="maria", reason="look")
    ledger.policy.resume("risk-score", "northgate-bank", actor="maria", reason="fine")
    ledger.policy.apply({"programs/risk-score.yaml": "x"}, actor="maria", reason="back", restored_from=1)
    assert ledger.step() == 6
    acts = bodies(ledger, "acts")
    assert sorted(act["act"] for act in acts) == [
        "apply",
        "kill",
        "pause",
        "resume",
        "revive",
        "rollback",
    ]
    assert {act["row_sha256"] for act in acts if len(act["row_sha256"]) == 64}
    written = b"".join(ledger.entries("acts"))
    for word in (b"maria", b"joao", b"call from", b"mended"):
        assert word not in written
    assert ledger.step() == 0, "each is in the ledger once"


def test_what_merchants_said_is_in_the_ledger_by_its_hash_and_without_their_names(ledger: Ledger) -> None:
    def said(merchant_id: str, tier: Tier) -> Setting:
        return Setting(Party.MERCHANT, merchant_id, tier, "2026", "form CANARY", 0)

    ledger.consents.put([said("CANARY-m-1", Tier.BASIC)], actor="maria", reason="signed")
    import_id = ledger.consents.start_import(actor="maria", reason="list")
    ledger.consents.stage(import_id, [said(f"CANARY-m-{n}", Tier.NONE) for n in range(50)])
    assert ledger.step() == 1, "an import is no act before it is in force"
    ledger.consents.finish_import(import_id)
    assert ledger.step() == 1
    acts = bodies(ledger, "acts")
    assert [act["act"] for act in acts] == ["consent", "import_consents"]
    assert len({act["row_sha256"] for act in acts}) == 2
    written = b"".join(ledger.entries("acts"))
    assert b"CANARY" not in written
    assert b"maria" not in written
    assert ledger.step() == 0


def test_nothing_of_a_payment_but_pseudonyms_and_ids_is_in_the_ledger(ledger: Ledger) -> None:
    record = evaluation(1, decision("share-1", transports=(MESSAGE, SSF)), decided_at_ms=BASE_MS)
    record.match.card_acceptor_id = "CANARY-ACCEPTOR"
    record.match.retrieval_reference_number = "CANARYRRN"
    record.unit_key = b"unit-of-the-card"
    record.card_key = b"name-of-the-card"
    record.answer = b"CANARY-ANSWER"
    record.decisions[0].sealed = b"CANARY-SEALED"
    record.decisions[0].match_keys.append("CANARY-KEY")
    ledger.gateway.append("evaluations", [record.SerializeToString()])
    ledger.send(1)
    ledger.step()
    ledger.keeper.close()
    everything = b"".join(path.read_bytes() for path in ledger.state.ledger_db.parent.iterdir())
    ledger.start()
    assert b"share-1" in everything
    assert b"CANARY" not in everything
    assert b"payment-1" not in everything
    assert b"m-0001" not in everything
    written = b"".join(one for chain in ("evaluations/0", CHAIN) for one in ledger.entries(chain))
    assert b"unit-of-the-card" not in written
    assert b"name-of-the-card" not in written, "only the index by card has it, which is no part of a chain"
