from collections import Counter

from simulator.cards import ISSUER_SHARES, Population, luhn_digit, make_card
from simulator.messages import enrich_request, match_references
from simulator.payments import MERCHANTS, START_MS, PaymentStream, SimulatedPayment, TraceNumbers


def payments(seed: int = 1, count: int = 4_000) -> list[SimulatedPayment]:
    return list(PaymentStream(seed, count, TraceNumbers()))


def test_the_same_seed_makes_the_same_payments_and_another_seed_others() -> None:
    first, second, other = (
        [enrich_request(payment).SerializeToString() for payment in payments(seed, 300)] for seed in (5, 5, 6)
    )
    assert first == second
    assert first != other


def test_every_card_number_has_a_valid_check_digit_and_an_invented_iin() -> None:
    iins = {iin for iin, _ in ISSUER_SHARES}
    for number in range(500):
        card = make_card(3, number)
        assert len(card.pan) == 16
        assert luhn_digit(card.pan[:-1]) == card.pan[-1]
        assert card.iin in iins
        assert card.pan not in repr(card)
        assert card.email not in repr(card)


def test_there_are_at_least_ten_thousand_cards() -> None:
    assert Population.for_payments(1, 10).cards >= 10_000
    assert Population.for_payments(1, 20_000).cards >= 10_000


def test_half_of_the_traffic_is_at_the_gaining_issuer() -> None:
    share = Counter(payment.card.iin for payment in payments())
    assert 0.45 < share["90100101"] / 4_000 < 0.55
    assert min(share.values()) > 80


def test_requests_are_unique_and_references_name_one_payment() -> None:
    made = payments()
    assert len({payment.request_id for payment in made}) == len(made)
    keyed = [match_references(payment) for payment in made if not payment.keyless]
    names = {(row["retrieval_reference_number"], row["acquiring_institution_id"]) for row in keyed}
    assert len(names) == len(keyed)
    assert all(len(str(row["retrieval_reference_number"])) == 12 for row in keyed)
    assert all(len(str(row["card_acceptor_id"])) == 15 for row in keyed)


def test_required_fields_are_always_there_and_some_optional_ones_are_bad() -> None:
    made = payments(count=2_000)
    for payment in made:
        request = enrich_request(payment)
        assert request.payment_intent_id
        assert request.merchant_id
        assert request.currency == "USD"
        assert request.initiated_at_ms >= START_MS
        assert request.card.WhichOneof("identifier")
    assert {payment.card.identifier for payment in made} == {"pan", "card_ref", "network_token"}
    assert any(payment.bad_field for payment in made)
    assert len({payment.merchant_id for payment in made}) == MERCHANTS


def test_fraud_is_there_in_all_its_kinds_and_rare() -> None:
    kinds = Counter(payment.kind for payment in payments(count=20_000))
    fraud = sum(count for kind, count in kinds.items() if kind != "everyday")
    assert set(kinds) == {"everyday", "ring", "lone", "testing"}
    assert 0.02 < fraud / 20_000 < 0.07


def test_the_ring_shares_devices_and_card_testing_uses_one_for_many_cards() -> None:
    made = payments(count=20_000)
    ring = [payment for payment in made if payment.kind == "ring"]
    assert len({payment.device_id for payment in ring}) <= 12 < len({payment.card.pan for payment in ring})
    testing = Counter(payment.device_id for payment in made if payment.kind == "testing")
    assert max(testing.values()) == 40


def test_a_retry_keeps_the_payment_and_has_references_of_its_own() -> None:
    payment = payments(count=1)[0]
    again = payment.retried(payment.at_ms + 9_000, "000777")
    assert again.payment_id == payment.payment_id
    assert again.request_id != payment.request_id
    assert again.attempt_no == 2
    assert again.retrieval_reference_number != payment.retrieval_reference_number
    assert enrich_request(again).card == enrich_request(payment).card
