"""The hot path without a transport: what is shared, what is recorded, and what callers are told."""

import base64
import hashlib
import json

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey

from gateway.records.reasons import Reason
from gateway.sealing.jwk import recipient_keys
from gateway.sealing.keys import StaticRecipientKeys
from gateway.sharing.items import ALREADY_EXISTS, INVALID_ARGUMENT, Refusal
from issuernetwork.storage.v1 import journal_pb2
from issuernetwork.v1 import common_pb2
from simulator.recipient_keys import ec_pair
from tests.kit.payments import HARBOR, LAKESIDE, MERIDIAN, payment
from tests.unit.sharing.kit import (
    NOW_MS,
    RELEASED,
    SHARED,
    UNDETERMINED,
    WITHHELD,
    Kit,
    requests,
    sample_pairs,
    shared_one,
)


def test_a_batch_is_one_append_and_one_velocity_trip() -> None:
    kit = Kit()
    kit.results(*requests(50))
    assert kit.journal.batches == [50]
    assert (kit.velocity.trips, kit.velocity.attempts) == (1, 50)


def test_what_is_answered_as_shared_is_what_the_journal_says_was_released() -> None:
    kit = Kit()
    answers = kit.answers(*requests(60, iin=MERIDIAN))
    told = {d.share_id for a in answers for d in a.decisions if d.status == SHARED}
    kept = {d.share_id for r in kit.journal.records() for d in r.decisions if d.outcome == RELEASED}
    assert told == kept
    assert 10 < len(told) < 60


def test_the_recipient_opens_what_was_sealed_and_finds_the_binding_in_it() -> None:
    kit = Kit()
    kit.results(*requests(20, iin=HARBOR))
    record, decision = next(
        (r, d) for r in kit.journal.records() for d in r.decisions if d.outcome == RELEASED
    )
    private = ECKey.import_key(sample_pairs()["harbor-federal"][1])
    opened = jwe.decrypt_compact(decision.sealed.decode(), private, algorithms=["ECDH-ES+A256KW", "A256GCM"])
    assert opened.plaintext is not None
    body = json.loads(opened.plaintext)
    assert body["share_id"] == decision.share_id
    assert (body["issuer_id"], body["recipient_id"]) == (record.issuer_id, decision.recipient_id)
    assert body["card_token"] == decision.card_token != ""
    assert body["fields"]["email"].startswith("person")
    assert hashlib.sha256(decision.sealed).digest() == decision.payload_sha256


def test_each_share_holds_the_score_of_its_own_payment() -> None:
    kit = Kit()
    asked = requests(60, iin=HARBOR)
    for number, request in enumerate(asked):
        request.amount_minor = 250_000 if number % 2 else 2_000
    told = {answer.evaluation_id: answer.assessments[0] for answer in kit.answers(*asked)}
    private = ECKey.import_key(sample_pairs()["harbor-federal"][1])
    scores = set()
    for record in kit.journal.records():
        for decision in [one for one in record.decisions if one.outcome == RELEASED]:
            sealed = decision.sealed.decode()
            opened = jwe.decrypt_compact(sealed, private, algorithms=["ECDH-ES+A256KW", "A256GCM"])
            fields = json.loads(opened.plaintext or b"")["fields"]
            own = told[record.evaluation_id]
            assert fields["score_norm"] == own.normalised
            scores.add(own.normalised)
    assert len(scores) > 1


def test_no_personal_datum_stands_outside_the_sealed_bytes() -> None:
    kit = Kit()
    asked = requests(30, iin=HARBOR) + [payment(100 + n, iin=MERIDIAN, now_ms=NOW_MS) for n in range(30)]
    answers = kit.results(*asked)
    records = b""
    for record in kit.journal.records():
        for decision in record.decisions:
            decision.ClearField("sealed")
        records += record.SerializeToString()
    clear = records + b"".join(a for a in answers if isinstance(a, bytes))
    for request in asked:
        for canary in (request.card.pan, request.customer.email, request.device.ip, request.device.device_id):
            raw = canary.encode()
            for form in (raw, raw.hex().encode(), base64.b64encode(raw), hashlib.sha256(raw).digest()):
                assert form not in clear


def test_holdout_and_ramp_and_shadow_read_alike_to_the_caller_and_true_in_the_journal() -> None:
    kit = Kit()
    answers = kit.answers(*requests(60))
    true = {
        Reason(d.withhold_reason) for r in kit.journal.records() for d in r.decisions if d.withhold_reason
    }
    told = {d.public_reason for a in answers for d in a.decisions if d.status == WITHHELD}
    assert {Reason.HOLDOUT, Reason.SHADOW} <= true
    assert told == {common_pb2.PUBLIC_REASON_NOT_SHARED}


def test_shadow_is_drawn_and_recorded_and_never_sealed() -> None:
    kit = Kit()
    kit.results(*requests(30))
    shadow = [d for r in kit.journal.records() for d in r.decisions if d.program == "enhanced-data"]
    assert len(shadow) == 30
    for decision in shadow:
        assert decision.outcome == journal_pb2.DECISION_OUTCOME_SHADOW
        assert decision.arm
        assert decision.eligible
        assert not decision.sealed
        assert not decision.share_id


def test_an_unknown_issuer_and_one_not_enrolled_are_evaluated_and_say_so() -> None:
    kit = Kit()
    unknown, lakeside = kit.answers(
        payment(1, iin="12345678", now_ms=NOW_MS), payment(2, iin=LAKESIDE, now_ms=NOW_MS)
    )
    assert [d.public_reason for d in unknown.decisions] == [common_pb2.PUBLIC_REASON_UNKNOWN_ISSUER]
    assert {d.public_reason for d in lakeside.decisions} == {common_pb2.PUBLIC_REASON_NOT_ENROLLED}
    assert len(kit.journal.payloads) == 2


def test_message_elements_come_with_a_share_only_and_hold_low_sensitivity_values() -> None:
    kit = Kit()
    for answer in kit.answers(*requests(60, iin=MERIDIAN)):
        for decision in answer.decisions:
            if decision.program == "risk-score":
                assert bool(decision.elements) == (decision.status == SHARED)


@pytest.mark.parametrize("where", ["at_once", "in_one_batch", "after_restart"])
def test_a_repeated_request_gets_the_same_bytes_and_counts_once(where: str) -> None:
    kit = Kit()
    request = payment(1, now_ms=NOW_MS)
    if where == "in_one_batch":
        results = kit.results(*[request] * 100)
    else:
        results = kit.results(request)
        if where == "after_restart":
            kit.gateway = kit.make_gateway()
            for position, record in enumerate(kit.journal.records()):
                kit.remembered.replay(record, position)
        kit.clock.advance_ms(400)
        kit.renew()
        results += kit.results(request)
    assert len(set(results)) == 1  # type: ignore[arg-type]
    assert len(kit.journal.payloads) == 1
    assert kit.velocity.attempts == 1


def test_a_repeat_beyond_the_ring_of_answers_is_read_from_the_journal() -> None:
    kit = Kit()
    first = payment(1, now_ms=NOW_MS)
    before = kit.results(first)
    kit.results(*[payment(n, now_ms=NOW_MS) for n in range(2, 400)])
    assert kit.results(first) == before
    assert len(kit.journal.payloads) == 399


def test_a_request_id_with_another_body_already_exists() -> None:
    kit = Kit()
    request, changed = payment(1, now_ms=NOW_MS), payment(1, now_ms=NOW_MS)
    changed.amount_minor += 1
    (first, second) = kit.results(request, changed)
    (third,) = kit.results(changed)
    assert isinstance(first, bytes)
    assert isinstance(second, Refusal)
    assert isinstance(third, Refusal)
    assert second.code == third.code == ALREADY_EXISTS


def test_after_ten_minutes_a_request_id_may_be_used_again() -> None:
    kit = Kit()
    request = payment(1, now_ms=NOW_MS)
    kit.results(request)
    kit.clock.advance_ms(10 * 60_000 + 1)
    kit.results(request)
    assert len(kit.journal.payloads) == 2


def test_the_same_request_id_of_another_sender_is_another_request() -> None:
    kit = Kit()
    request = payment(1, now_ms=NOW_MS)
    kit.results(request)
    kit.results(request, sender_id="shop-2")
    assert len({record.evaluation_id for record in kit.journal.records()}) == 2


@pytest.mark.parametrize("one_batch", [True, False])
def test_the_same_attempt_under_another_request_id_is_not_shared_again(one_batch: bool) -> None:
    kit = Kit()
    request = shared_one(kit)
    again = type(request)()
    again.CopyFrom(request)
    again.request_id = "another"
    answers = kit.answers(request, again) if one_batch else kit.answers(request) + kit.answers(again)
    assert any(d.status == SHARED for d in answers[0].decisions)
    assert {d.public_reason for d in answers[1].decisions} == {common_pb2.PUBLIC_REASON_DUPLICATE_REQUEST}
    assert kit.velocity.attempts == 1


def test_a_malformed_item_is_refused_by_field_and_harms_no_other() -> None:
    kit = Kit()
    bad = payment(1, now_ms=NOW_MS)
    bad.currency = "secret-value"
    results = kit.results(payment(2, now_ms=NOW_MS), bad, payment(3, now_ms=NOW_MS))
    assert isinstance(results[1], Refusal)
    assert results[1].code == INVALID_ARGUMENT
    assert "currency" in results[1].message
    assert "secret-value" not in results[1].message
    assert len(kit.journal.payloads) == 2


def test_validate_only_leaves_no_trace() -> None:
    kit = Kit()
    request = payment(1, now_ms=NOW_MS)
    request.validate_only = True
    (answer,) = kit.answers(request)
    assert answer.assessments
    assert not answer.decisions
    assert not kit.journal.payloads
    assert kit.velocity.attempts == 0


def test_a_stale_lease_withholds_everything() -> None:
    kit = Kit()
    kit.clock.advance_ms(700)
    answers = kit.answers(*requests(20))
    assert {d.public_reason for a in answers for d in a.decisions} == {
        common_pb2.PUBLIC_REASON_POLICY_STALE,
        common_pb2.PUBLIC_REASON_POLICY_STALE,
    }


def test_a_killed_program_is_withheld_from_the_next_batch_on() -> None:
    kit = Kit()
    kit.board.stop("risk-score")
    kit.renew()
    kit.renew()
    answers = kit.answers(*requests(20))
    assert {d.public_reason for a in answers for d in a.decisions if d.program == "risk-score"} == {
        common_pb2.PUBLIC_REASON_KILLED
    }


@pytest.mark.parametrize("how", ["killed", "stale"])
def test_a_stop_while_the_batch_is_on_its_way_takes_the_elements_out_of_the_answer(how: str) -> None:
    kit = Kit()
    request = shared_one(kit, iin=MERIDIAN)

    def stop() -> None:
        if how == "killed":
            kit.board.stop("risk-score")
            kit.runner.step()
        else:
            kit.clock.advance_ms(700)

    kit.journal.before_return = stop
    (answer,) = kit.answers(request)
    released = {d.program: d for d in answer.decisions}["risk-score"]
    assert (released.status, len(released.elements)) == (UNDETERMINED, 0)


def test_a_repeat_after_a_kill_brings_no_elements_back() -> None:
    kit = Kit()
    request = shared_one(kit, iin=MERIDIAN)
    (before,) = kit.answers(request)
    assert {d.program: d for d in before.decisions}["risk-score"].elements
    kit.board.stop("risk-score")
    kit.renew()
    kit.renew()
    (after,) = kit.answers(request)
    assert not {d.program: d for d in after.decisions}["risk-score"].elements


def test_a_repeat_in_a_batch_whose_sync_outlasts_the_lease_brings_no_elements() -> None:
    kit = Kit()
    request = shared_one(kit, iin=MERIDIAN)
    (before,) = kit.answers(request)
    assert {d.program: d for d in before.decisions}["risk-score"].elements
    kit.journal.before_return = lambda: kit.clock.advance_ms(700)
    repeated, _ = kit.answers(request, *requests(1))
    again = {d.program: d for d in repeated.decisions}["risk-score"]
    assert (again.status, len(again.elements)) == (UNDETERMINED, 0)


def test_a_recipient_without_a_key_loses_both_arms_alike() -> None:
    kit = Kit(without_key="northgate-bank")
    kit.results(*requests(40))
    decisions = [d for r in kit.journal.records() for d in r.decisions]
    assert {Reason(d.withhold_reason) for d in decisions} == {Reason.KEY_UNAVAILABLE}
    assert not any(d.arm or d.eligible for d in decisions)


@pytest.mark.parametrize("behind", [0, 1, 2])
def test_a_key_that_ends_stops_what_is_shared_whatever_stands_behind_it_in_its_set(behind: int) -> None:
    kit, ends_s = Kit(), NOW_MS // 1000 + 1
    first = {**ec_pair("first")[0], "exp": ends_s}
    jwks = {"keys": [first, *(ec_pair(f"next-{number}")[0] for number in range(behind))]}
    kit.keys = StaticRecipientKeys(recipient_keys("northgate-bank", json.dumps(jwks)))
    kit.gateway = kit.make_gateway()
    kit.renew()
    reasons: list[set[int]] = []
    for number in range(2):
        kit.results(*requests(40, prefix=f"run-{number}"))
        decisions = [d for r in kit.journal.records()[40 * number :] for d in r.decisions]
        assert {d.recipient_kid for d in decisions if d.sealed} == ({"first"} if number == 0 else set())
        reasons.append({d.withhold_reason for d in decisions})
        kit.clock.advance_ms(1_000)
        kit.renew()
    assert Reason.KEY_UNAVAILABLE not in reasons[0]
    assert reasons[1] == {Reason.KEY_UNAVAILABLE}


def test_over_the_deadline_nothing_is_shared_and_the_arm_is_kept() -> None:
    kit = Kit()
    asked = requests(40)
    answers = kit.answers(*asked, withhold=Reason.OVER_DEADLINE)
    assert {a.degraded_reason for a in answers} == {"over_deadline"}
    late = {r.payment_intent_id: r for r in kit.journal.records()}
    twin = Kit()
    twin.results(*asked)
    for record in twin.journal.records():
        for ours, theirs in zip(late[record.payment_intent_id].decisions, record.decisions, strict=True):
            assert (ours.arm, ours.eligible) == (theirs.arm, theirs.eligible)
            assert ours.outcome != RELEASED
            if theirs.outcome == RELEASED:
                assert ours.withhold_reason == Reason.OVER_DEADLINE
