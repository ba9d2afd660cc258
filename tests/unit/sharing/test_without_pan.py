"""Payments without a card number: a network token, a PAR or a sender's own reference, from end to end."""

from typing import Any

import pytest

from gateway.sealing.pseudonyms import Pseudonyms
from issuernetwork.match_keys import References, match_keys
from issuernetwork.v1 import common_pb2
from tests.kit.payments import HARBOR, pan
from tests.unit.sharing.kit import Kit, Macs, requests
from tests.unit.sharing.opened import released

CALLS = ("network_token", "par", "card_ref")
SOURCES = {
    "network_token": common_pb2.UNIT_SOURCE_NETWORK_TOKEN, "par": common_pb2.UNIT_SOURCE_PAR,
    "card_ref": common_pb2.UNIT_SOURCE_CARD_REF,
}  # fmt: skip


def value(kind: str, number: int) -> str:
    """What a card is called by."""
    return {"network_token": pan("41000000", number), "par": f"Q1{number:027d}", "card_ref": f"ref-{number}"}[
        kind
    ]


def called(kind: str, count: int, **options: Any) -> list[Any]:
    asked = requests(count, iin=HARBOR, **options)
    for number, request in enumerate(asked):
        request.card.ClearField("pan")
        setattr(request.card, kind, value(kind, number))
        request.card.iin, request.card.last4 = HARBOR, f"{number:04d}"
    return asked


def opened(kind: str) -> tuple[Kit, list[Any]]:
    kit = Kit()
    kit.results(*called(kind, 40))
    assert not kit.faults
    return kit, list(released(kit))


@pytest.mark.parametrize("kind", CALLS)
def test_a_call_without_a_card_number_is_evaluated_shared_and_clustered_by_what_it_names(kind: str) -> None:
    kit, found = opened(kind)
    keys = {Pseudonyms(Macs()).card_key(kind, value(kind, number), "shop-1"): number for number in range(40)}
    records = kit.journal.records()
    assert {record.unit_source for record in records} == {SOURCES[kind]}
    assert {record.unit_key for record in records} == set(keys)
    assert all(record.card_key == b"" for record in records)
    assert len(found) > 5
    for _, decision, body in found:
        assert (body["card_token"], body["token_epoch"]) == ("", 0)
        assert (decision.card_token, decision.token_epoch) == ("", 0)


@pytest.mark.parametrize("kind", CALLS)
def test_its_recipient_finds_it_by_the_keys_that_it_makes_of_the_authorization(kind: str) -> None:
    asked = {request.request_id: request for request in called(kind, 40)}
    _, found = opened(kind)
    for record, _, body in found:
        request = asked[record.request_id]
        own = References(
            acquiring_institution_id=request.acquirer.acquiring_institution_id,
            retrieval_reference_number=request.acquirer.retrieval_reference_number,
            stan=request.acquirer.stan, transmission_date_time=request.acquirer.transmission_date_time,
            amount_minor=request.amount_minor, currency="USD", iin=HARBOR, last4=request.card.last4,
            card_acceptor_id=request.acquirer.card_acceptor_id,
        )  # fmt: skip
        assert body["match"]["keys"] == list(match_keys(own))
        assert len(body["match"]["keys"]) == 3


def test_a_network_token_is_another_card_than_a_number_of_the_same_digits() -> None:
    by_number, by_token = requests(1, iin=HARBOR)[0], called("network_token", 1, prefix="t")[0]
    by_token.card.network_token = by_number.card.pan
    kit = Kit()
    kit.results(by_number, by_token)
    number, token = kit.journal.records()
    assert number.unit_key != token.unit_key
    assert number.velocity_keys[0] != token.velocity_keys[0]
    assert number.unit_source == common_pb2.UNIT_SOURCE_PAN
    assert token.unit_source == SOURCES["network_token"]


def test_a_network_token_shows_its_recipient_no_digit_but_what_the_sender_said_of_it() -> None:
    _, found = opened("network_token")
    tokens = [value("network_token", number) for number in range(40)]
    for record, _, body in found:
        text = str(body) + str(record)
        assert not [one for one in tokens if one in text]
        assert body["fields"].get("bin8", HARBOR) == HARBOR


def test_a_par_alone_and_a_par_beside_a_number_are_one_card() -> None:
    alone, beside = called("par", 1)[0], requests(1, iin=HARBOR, prefix="n")[0]
    beside.card.par = alone.card.par
    kit = Kit()
    kit.results(alone, beside)
    first, second = kit.journal.records()
    assert first.unit_key == second.unit_key
    assert (first.card_key, second.card_source) == (b"", common_pb2.UNIT_SOURCE_PAN)


def test_a_reference_of_one_sender_is_no_card_of_anothers() -> None:
    kit = Kit()
    kit.results(*called("card_ref", 1), sender_id="shop-1")
    kit.results(*called("card_ref", 1), sender_id="shop-2")
    first, second = kit.journal.records()
    assert first.unit_key != second.unit_key
    assert first.velocity_keys[0] != second.velocity_keys[0]
