"""What of a reported outcome is recorded."""

from gateway.outcomes.outcomes import check_outcome
from issuernetwork.v1 import outcomes_pb2

NOW_MS = 1_770_000_000_000
CANARY = b"canary.person@example.com"
UNKNOWN_FIELD = b"\xba\x3e" + bytes([len(CANARY)]) + CANARY
"""Field 999, length-delimited: of a contract that this build does not know."""

EVENT = outcomes_pb2.OutcomeEvent(outcome_id="o", payment_intent_id="p", kind=1, occurred_at_ms=NOW_MS)


def test_a_field_that_the_contract_does_not_know_is_never_recorded() -> None:
    told = outcomes_pb2.OutcomeEvent.FromString(EVENT.SerializeToString() + UNKNOWN_FIELD)
    assert CANARY in told.SerializeToString()
    checked = check_outcome(told, NOW_MS)
    assert checked.outcome is not None
    assert CANARY not in checked.outcome.SerializeToString()


def test_no_string_and_no_number_of_an_outcome_is_taken_unchecked() -> None:
    text = "canary person@example.com " * 100
    told = outcomes_pb2.OutcomeEvent(
        currency=text, fee_currency=text, advice_code=text, authorization_id_response=text,
        network_transaction_id=text, supersedes_outcome_id=text, response_code=text,
        transmitted_share_ids=[text], requested_minor=10**16, approved_minor=-1, interchange_minor=10**16,
        scheme_fee_minor=-(10**16), issuer_latency_ms=-1,
    )  # fmt: skip
    told.network = 411_111_111  # type: ignore[assignment]
    told.MergeFrom(EVENT)
    checked = check_outcome(told, NOW_MS)
    kept = outcomes_pb2.OutcomeEvent(attempt_no=1, reported_at_ms=NOW_MS)
    kept.MergeFrom(EVENT)
    assert checked.outcome == kept
    assert {issue[0] for issue in checked.issues} >= {"currency", "response_code", "network"}
