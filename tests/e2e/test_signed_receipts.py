"""Signed receipts at the port of a running `ein feeds`: taken once, kept, and no attack gets through."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import grpc
import pytest

from gateway.backends.embedded.enrolments import SqliteEnrolments
from gateway.records import journal
from gateway.runtime.clock import SystemClock
from gateway.sealing.inbound import MENDS, TokenRefused
from gateway.sealing.jwk import thumbprint
from issuernetwork.issuer_cli import new_signing_key
from issuernetwork.receipts import signed_receipts
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.tokens import sign_key
from issuernetwork.v1 import feed_pb2 as v1
from tests.kit.feeds_process import Feeds, until
from tests.kit.installation import Installation
from tests.kit.jwks import public_jwks
from tests.prove.token_attacks import Target, attacks, refusal
from tests.unit.feeds.records import references

BANK, OTHER, REVOKED = "northgate-bank", "harbor-federal", "meridian-cards"
NEVER = "atlas-processing"
PRIVATE, PUBLIC = new_signing_key("bank-sig")


class Port(Target):
    """The catalogue of attacks, sent to the real port under the bank's own bearer token."""

    def __init__(self, feeds: Feeds, share_id: str) -> None:
        super().__init__()
        self.now_s = SystemClock().wall_ms() // 1000
        self.audience = feeds.installation.settings.issuer_url
        self.feeds, self.share_id, self.made = feeds, share_id, 0

    def receipt(self, **changed: Any) -> dict[str, Any]:
        # Each would be recorded if it were taken.
        self.made += 1
        one = {"receipt_id": f"attack-{self.made}", "share_id": self.share_id, "use": "USED"}
        return super().receipt(**{"receipts": [one], **changed})

    def take(self, token: bytes) -> object:
        try:
            return report(self.feeds, token.decode())
        except grpc.RpcError as refused:
            assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
            told, check, mend = (refused.details() or "").split(": ", 2)
            assert (told, mend) == ("signed token", MENDS[check])
            raise TokenRefused(check) from None


def enrolled(feeds: Feeds, recipient_id: str, *signing: dict[str, str]) -> None:
    """In force, as an approval leaves it; what is sealed goes to the key that the installation has."""
    store = SqliteEnrolments(str(feeds.state.policy_db), SystemClock())
    path = feeds.state.keys / "recipients" / f"{recipient_id}.jwks.json"
    sealing = json.loads(path.read_text())["keys"][0]
    document = json.dumps({"sealing": sealing, "signing": list(signing), "endpoints": {}})
    prints = tuple(thumbprint(key) for key in (sealing, *signing))
    made = store.submit(
        recipient_id, invite_id=0, by=recipient_id, document=document, thumbprints=prints, nonce_sha256="0"
    )
    store.proven(made.submission_id)
    store.in_force(made.submission_id, by="bo")
    store.close()


@pytest.fixture(scope="module")
def feeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feeds]:
    with Installation(tmp_path_factory.mktemp("signed"), processes=("feeds",)) as installation:
        running = Feeds(installation)
        enrolled(running, BANK, PUBLIC, *public_jwks(tuple(Target().keys.values()))["keys"])
        enrolled(running, OTHER, new_signing_key("bank-sig")[1])
        enrolled(running, REVOKED, PUBLIC)
        yield running
        running.close()


def report(feeds: Feeds, token: str, principal: str = BANK) -> Any:
    return feeds.call("ReportReceipts", v1.ReportReceiptsRequest(signed=token), principal)


def shared(feeds: Feeds) -> str:
    [number] = feeds.pay(1, BANK)
    question = v1.LookupRequest(match=references(number))
    until(lambda: feeds.call("Lookup", question, BANK).match == v1.MATCH_RESULT_UNIQUE)
    return f"share-{number}"


def signed(feeds: Feeds, share_id: str, *receipt_ids: str, recipient_id: str = BANK) -> str:
    receipts = [v1.Receipt(receipt_id=one, share_id=share_id, use=v1.RECEIPT_USE_USED) for one in receipt_ids]
    iss = feeds.installation.settings.issuer_url
    return signed_receipts(receipts, key=sign_key(PRIVATE), recipient_id=recipient_id, iss=iss)


def kept(feeds: Feeds, share_id: str) -> list[storage.ReceiptRecord]:
    records = [storage.ReceiptRecord.FromString(raw) for raw in feeds.records(journal.RECEIPTS)]
    return [one for one in records if one.receipt.share_id == share_id]


def refused(feeds: Feeds, token: str, principal: str = BANK) -> str:
    with pytest.raises(grpc.RpcError) as told:
        report(feeds, token, principal)
    assert told.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return str(told.value.details())


def test_signed_receipts_are_recorded_with_the_token_that_shows_whose_word_they_are(feeds: Feeds) -> None:
    share_id = shared(feeds)
    token = signed(feeds, share_id, "s1", "s2")
    assert [one.recorded for one in report(feeds, token).results] == [True, True]
    first, second = kept(feeds, share_id)
    assert (first.signed_by.token, second.signed_by.token) == (token, "")
    for one in (first, second):
        assert one.signed_by.token_sha256 == sha256(token.encode()).digest()
        assert (one.signed_by.kid, one.signed_by.key_thumbprint) == ("bank-sig", thumbprint(PUBLIC))
        assert (one.recipient_id, one.sender_id) == (BANK, "payments")


def test_a_token_that_is_ahead_of_the_fan_out_is_taken_when_that_has_caught_up(feeds: Feeds) -> None:
    [number] = feeds.pay(1, BANK)
    token = signed(feeds, f"share-{number}", "e1")
    assert [one.recorded for one in report(feeds, token).results] == [True]
    (one,) = kept(feeds, f"share-{number}")
    assert one.signed_by.token == token


def test_a_token_is_taken_once_and_its_receipts_signed_anew_are_known(feeds: Feeds) -> None:
    share_id = shared(feeds)
    token = signed(feeds, share_id, "t1")
    report(feeds, token)
    assert "replay" in refused(feeds, token)
    (again,) = report(feeds, signed(feeds, share_id, "t1")).results
    assert (again.recorded, again.duplicate) == (True, True)
    assert len(kept(feeds, share_id)) == 1


def test_a_token_is_its_signers_alone_whoever_sends_it(feeds: Feeds) -> None:
    share_id = shared(feeds)
    token = signed(feeds, share_id, "f1")
    # The kid is the same, the key is not; who has no keys in force has none at all.
    assert "signature" in refused(feeds, token, OTHER)
    assert "key" in refused(feeds, token, NEVER)
    assert "iss" in refused(feeds, signed(feeds, share_id, "f1", recipient_id=OTHER))
    assert kept(feeds, share_id) == []
    report(feeds, token)
    assert len(kept(feeds, share_id)) == 1


def test_both_forms_at_once_none_or_too_little_are_refused(feeds: Feeds) -> None:
    share_id = shared(feeds)
    receipt = v1.Receipt(receipt_id="b1", share_id=share_id, use=v1.RECEIPT_USE_USED)
    both = v1.ReportReceiptsRequest(receipts=[receipt], signed=signed(feeds, share_id, "b2"))
    for request in (both, v1.ReportReceiptsRequest()):
        with pytest.raises(grpc.RpcError) as told:
            feeds.call("ReportReceipts", request, BANK)
        assert told.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert kept(feeds, share_id) == []


def test_no_attack_of_the_catalogue_gets_through_at_the_port(feeds: Feeds) -> None:
    port = Port(feeds, shared(feeds))
    tried = [attack for attack in attacks(port) if "a receipt" in attack.name]
    assert len(tried) >= 18
    met = {attack.name: (refusal(attack), attack.refused) for attack in tried}
    assert {name: one for name, one in met.items() if one[0] != one[1]} == {}
    assert len(kept(feeds, port.share_id)) == 1, "the one that was sent first, to be sent again"
    # What refuses everything proves nothing.
    port.take(port.sent({"alg": "ES256", "kid": "sig-ES256"}, port.receipt(jti="good")))
    assert len(kept(feeds, port.share_id)) == 2


def test_keys_that_were_revoked_prove_nothing_more(feeds: Feeds) -> None:
    assert report(feeds, signed(feeds, "share-x", "z1", recipient_id=REVOKED), REVOKED).results
    store = SqliteEnrolments(str(feeds.state.policy_db), SystemClock())
    store.revoke(REVOKED, by="ada", reason="lost")
    store.close()
    assert "key" in refused(feeds, signed(feeds, "share-x", "z2", recipient_id=REVOKED), REVOKED)
