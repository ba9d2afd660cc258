"""Orders to erase: what opens, and what is refused."""

import pytest

from issuernetwork.receiver import Erasure
from tests.unit.receiver.network import BANK, NOW_MS, Network
from tests.unit.receiver.test_open import claims_of, good_header, refusal, signed_with


def test_an_order_to_erase_opens_to_the_shares_that_it_names() -> None:
    network = Network()
    item = network.receiver.open(network.erasure("share-1", "share-2", seq=9))
    assert isinstance(item, Erasure)
    assert (item.erasure_id, item.share_ids, item.stream_seq) == ("erasure-1", ("share-1", "share-2"), 9)
    assert (item.recipient_id, item.issued_at_ms) == (BANK, NOW_MS)


@pytest.mark.parametrize("share_ids", [[], "share-1", [1], [""], None, ["x" * 513]])
def test_an_order_to_erase_that_names_no_shares_is_refused(share_ids: object) -> None:
    network = Network()
    claims = claims_of(network.erasure("share-1"))
    (event,) = claims["events"].values()
    event["share_ids"] = share_ids
    assert refusal(network.receiver, signed_with(network.signer, good_header(), claims)) == "claims"


def test_an_order_to_erase_about_another_subject_is_refused() -> None:
    network = Network()
    claims = claims_of(network.erasure("share-1"))
    claims["sub_id"]["id"] = "erasure-2"
    assert refusal(network.receiver, signed_with(network.signer, good_header(), claims)) == "claims"
