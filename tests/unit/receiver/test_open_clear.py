"""Profile A at the receiver: a record with no subject comes signed and clear, and nothing else may."""

import json
from typing import Any

import pytest

from gateway.sealing.body import clear_members
from gateway.sealing.keys import SignatureAlgorithm
from gateway.sealing.set import SHARE_EVENT, share_set
from issuernetwork._jose import verify_keys
from issuernetwork.receiver import CLEAR_SHARE_EVENT, BadKey, Receiver, RefusedToken, Share
from tests.unit.receiver.network import BANK, ISS, NOW_MS, Network, signing_key
from tests.unit.receiver.test_open import claims_of, good_header, refusal, signed_with

FIELDS = {"mcc": "5411", "merchant_country": "US"}


@pytest.fixture(scope="module")
def network() -> Network:
    return Network()


def clear_share(network: Network, **changed: Any) -> bytes:
    members: dict[str, Any] = {
        "iss": ISS, "recipient_id": BANK, "issued_at_ms": NOW_MS, "jti": "jti-1", "evaluation_id": "share-1",
        "share_id": "share-1", "issuer_id": BANK, "program": "merchant-notes", "stream_seq": 3,
        "sealed": clear_members(1, FIELDS),
    }  # fmt: skip
    return share_set(network.signer, **{**members, **changed}, clear=True)


def test_a_clear_share_opens_to_what_was_signed_and_has_no_card(network: Network) -> None:
    share = network.receiver.open(clear_share(network))
    assert isinstance(share, Share)
    assert (share.profile, share.program, share.stream_seq) == ("A", "merchant-notes", 3)
    assert (share.fields, share.purpose, share.schema_version) == (FIELDS, "fraud_authorization", 1)
    assert (share.card_token, share.token_epoch, share.match) == ("", 0, {})
    sealed = network.receiver.open(network.share())
    assert isinstance(sealed, Share)
    assert sealed.profile == "B"


def test_a_share_whose_sealed_body_was_taken_out_is_no_clear_share(network: Network) -> None:
    claims = claims_of(network.share())
    (event,) = claims["events"].values()
    del event["encryptedData"]
    event.update(json.loads(b"{%b}" % clear_members(1, FIELDS)))
    claims["events"] = {SHARE_EVENT: event}
    assert refusal(network.receiver, signed_with(network.signer, good_header(), claims)) == "claims"


@pytest.mark.parametrize("member", ["encryptedData", "card_token", "token_epoch", "match"])
def test_a_clear_share_with_anything_that_is_about_a_card_is_refused(network: Network, member: str) -> None:
    claims = claims_of(clear_share(network))
    claims["events"][CLEAR_SHARE_EVENT][member] = ""
    assert refusal(network.receiver, signed_with(network.signer, good_header(), claims)) == "claims"


@pytest.mark.parametrize("member", ["fields", "purpose", "schema_version", "program", "issuer_id"])
def test_a_clear_share_without_a_member_is_refused(network: Network, member: str) -> None:
    claims = claims_of(clear_share(network))
    del claims["events"][CLEAR_SHARE_EVENT][member]
    assert refusal(network.receiver, signed_with(network.signer, good_header(), claims)) == "claims"


def receiver(network: Network, *algorithms: str) -> Receiver:
    return Receiver(
        recipient_id=BANK, private_keys=[network.private], jwks=lambda: network.jwks, iss=ISS,
        algorithms=algorithms,
    )  # fmt: skip


@pytest.mark.parametrize("alg", list(SignatureAlgorithm))
def test_a_receiver_takes_the_signature_of_its_stream_and_no_other(alg: SignatureAlgorithm) -> None:
    network = Network(signing=signing_key(alg))
    token = network.share()
    assert isinstance(receiver(network, alg).open(token), Share)
    others = [other for other in SignatureAlgorithm if other is not alg]
    assert refusal(receiver(network, *others), token) == "unknown_key"
    assert list(verify_keys(network.jwks)) == [network.signing.kid]


@pytest.mark.parametrize("algorithms", [(), ("none",), ("ES256", "HS256")])
def test_a_receiver_that_takes_no_signature_or_one_that_nobody_verifies_is_not_made(
    network: Network, algorithms: tuple[str, ...]
) -> None:
    with pytest.raises(BadKey, match="ES256, EdDSA, RS256, PS256"):
        receiver(network, *algorithms)


def test_the_text_of_a_refusal_shows_nothing_of_a_clear_share(network: Network) -> None:
    with pytest.raises(RefusedToken) as caught:
        network.receiver_for(recipient_id="canary-bank").open(clear_share(network))
    assert str(caught.value) == "token refused: audience"
