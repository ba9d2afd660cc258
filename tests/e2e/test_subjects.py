"""A cardholder asks, and the running product does as it is told: one gateway, one feeds process, one card."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from gateway.sealing import base64url
from issuernetwork.v1 import common_pb2, enrichment_pb2, enrichment_pb2_grpc
from issuernetwork.v1 import feed_pb2 as v1
from tests.kit.feeds_process import Recipients, until
from tests.kit.installation import Installation
from tests.kit.payments import NORTHGATE, caller, pan, payment

RECIPIENT = "northgate-bank"
TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("subjects"), processes=("gateway", "feeds")) as running:
        yield running


class Bank:
    """Payments of chosen cards, and what the issuer gets of them."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.feeds = Recipients(installation)
        self._channel = grpc.insecure_channel(installation.address("gateway", "grpc"))
        self._enrich = enrichment_pb2_grpc.EnrichmentServiceStub(self._channel).EnrichAuthorization  # type: ignore[no-untyped-call]
        self._next, self._name = 0, caller("s")

    def close(self) -> None:
        self._channel.close()

    def pay(self, card: int, *, count: int = 1, par: str = "") -> list[str]:
        """Ids of what was shared."""
        shares = []
        for _ in range(count):
            self._next += 1
            request = payment(self._next, card=card, prefix=self._name)
            request.card.par = par
            answer: enrichment_pb2.EnrichAuthorizationResponse = self._enrich(
                request, metadata=self.installation.metadata("payments"), timeout=TIMEOUT_S
            )
            shares += [
                one.share_id for one in answer.decisions if one.status == common_pb2.SHARE_STATUS_SHARED
            ]
        return shares

    def card_in_treatment(self, first: int) -> int:
        """A card that is shared about: arms are drawn by card."""
        return next(card for card in range(first, first + 60) if self.pay(card))

    def certificate(self, case_id: int) -> Any:
        return json.loads(self._subject("certificate", str(case_id)).stdout)

    def verified(self, token: str) -> Any:
        keys = KeySet.import_key_set(self.feeds.get("/.well-known/jwks.json"))
        return json.loads(jws.deserialize_compact(token, keys, algorithms=["ES256"]).payload)

    def _subject(self, *arguments: str, name: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [
                sys.executable, "-m", "gateway.server.cli.main", "subject", *arguments,
                "--config", str(self.installation.config),
            ],
            input=name, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def subject(self, *arguments: str, name: str = "", check: bool = True, json_too: bool = True) -> Any:
        done = self._subject(*arguments, *(["--json"] if json_too else []), name=name)
        assert name not in done.stdout + done.stderr or not name
        if check:
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)
        return done.stderr

    def poll(self, **members: object) -> dict[str, str]:
        found: dict[str, str] = self.feeds.poll(RECIPIENT, maxEvents=1000, **members)["sets"]
        return found

    def queued(self, shares: list[str]) -> set[str]:
        """Those of the shares that the issuer is offered, once all have come to the feeds."""
        return set(until(lambda: got if (got := self.poll()) and set(shares) <= _shares(got) else None))


def _shares(sets: dict[str, str]) -> set[str]:
    return {jti.removesuffix(".w") for jti in sets}


@pytest.fixture(scope="module")
def bank(installation: Installation) -> Iterator[Bank]:
    made = Bank(installation)
    yield made
    made.close()


def shown(bank: Bank, card: int) -> Any:
    return bank.subject("show", "--pan-stdin", name=pan(NORTHGATE, card))


def test_an_objection_stops_sharing_and_takes_back_what_is_queued_and_its_refusal_lets_new_data_go(
    bank: Bank,
) -> None:
    card = bank.card_in_treatment(100)
    other = bank.card_in_treatment(card + 1)
    gone, kept = bank.pay(card, count=3), bank.pay(other, count=2)
    assert set(gone + kept) <= bank.queued(gone + kept)
    told = bank.subject("object", "--pan-stdin", "--reason", "letter", name=pan(NORTHGATE, card))
    assert told["effective_after_ms"] <= 1_000
    assert len(told["workers_acknowledged"]) >= 3
    now = bank.poll()
    assert not set(now) & set(gone), "at the first look after the command has returned"
    assert set(kept) <= set(now)
    assert bank.pay(card, count=5) == []
    assert bank.pay(other)
    steps = shown(bank, card)["cases"]
    assert [(one["kind"], one["state"]) for one in steps] == [("objection", "received")]
    (case_id,) = told["case_ids"]
    bank.subject("decide", str(case_id), "upheld", "--reason", "right")
    assert bank.pay(card) == []
    assert "cannot become" in bank.subject("decide", str(case_id), "refused", "--reason", "x", check=False)


def test_a_refused_objection_lets_new_payments_be_shared_again(bank: Bank) -> None:
    card = bank.card_in_treatment(300)
    told = bank.subject("object", "--pan-stdin", "--reason", "mail", name=pan(NORTHGATE, card))
    assert bank.pay(card) == []
    bank.subject("decide", str(told["case_ids"][0]), "refused", "--reason", "not the cardholder")
    assert bank.pay(card)


def test_what_was_shared_is_told_with_recipient_fields_consent_and_how_far_it_came(bank: Bank) -> None:
    card = bank.card_in_treatment(500)
    shares = bank.pay(card, count=2)
    bank.queued(shares)
    bank.poll(ack=[shares[0]])

    def answer() -> Any:
        found = {one["share_id"]: one for one in shown(bank, card)["shares"]}
        return found if all(found.get(share, {}).get("left") for share in shares) else None

    found = until(answer)
    one = found[shares[0]]
    assert (one["recipient_id"], one["program"], one["issuer_id"]) == (RECIPIENT, "risk-score", RECIPIENT)
    assert "score_norm" in one["fields"]
    assert one["consent_id"]
    assert one["policy_version"] == 1
    assert {"transport": "ssf", "state": "acknowledged"} in one["deliveries"]
    assert {"transport": "ssf", "state": "sent"} in found[shares[1]]["deliveries"]
    assert [way["transport"] for way in one["left"]] == ["ssf"]


def test_a_card_is_found_by_its_token_and_by_every_name_that_leads_to_it(bank: Bank) -> None:
    card = bank.card_in_treatment(700)
    par = "Q1234567890123456789012345678"
    shares = bank.pay(card)
    # By a PAR the same card is another unit, drawn anew: both have the token of the number in common.
    by_par = bank.pay(card, count=1, par=par)
    bank.queued(shares + by_par)

    def found() -> Any:
        told = {one["share_id"] for one in shown(bank, card)["shares"]}
        return told if {*shares, *by_par} <= told else None

    told = until(found)
    if by_par:
        assert {one["share_id"] for one in bank.subject("show", "--par-stdin", name=par)["shares"]} == told
        bank.subject("object", "--par-stdin", "--reason", "letter", name=par)
        assert bank.pay(card) == [], "objected by PAR, and the number leads to the same card"
    assert "card-token" in bank.subject("show", "--card-token", "a" * 26, check=False)


def test_a_look_up_finds_nothing_of_a_card_whose_holder_objects(bank: Bank) -> None:
    card = bank.card_in_treatment(900)
    request = payment(7_000, card=card, prefix="lookup")
    bank._enrich(request, metadata=bank.installation.metadata("payments"), timeout=TIMEOUT_S)
    match = v1.LookupRequest()
    match.match.retrieval_reference_number = request.acquirer.retrieval_reference_number
    match.match.acquiring_institution_id = request.acquirer.acquiring_institution_id
    match.match.attempted_at_ms = request.initiated_at_ms
    until(lambda: bank.feeds.call("Lookup", match, RECIPIENT).match == v1.MATCH_RESULT_UNIQUE)
    bank.subject("object", "--pan-stdin", "--reason", "letter", name=pan(NORTHGATE, card))
    assert bank.feeds.call("Lookup", match, RECIPIENT).match == v1.MATCH_RESULT_NOT_MATCHED


@pytest.mark.parametrize(
    ("arguments", "name", "says"),
    [
        (["--pan-stdin"], "9010010100000001", "check digit"),
        (["--pan-stdin"], "", "exactly one"),
        ([], "", "exactly one"),
        (["--card-ref-stdin"], "ref-77", "sender"),
    ],
)
def test_a_card_that_is_not_named_well_is_refused_without_a_word_of_it(
    bank: Bank, arguments: list[str], name: str, says: str
) -> None:
    assert says in bank.subject("object", *arguments, "--reason", "x", name=name, check=False)


def test_an_erasure_takes_back_what_waits_tells_who_has_it_and_forgets_the_card(bank: Bank) -> None:
    card = bank.card_in_treatment(1100)
    had = bank.pay(card)
    bank.queued(had)
    bank.poll(ack=had)
    waiting = bank.pay(card, count=2)
    bank.queued(waiting)
    until(lambda: next(one["left"] for one in shown(bank, card)["shares"] if one["share_id"] == had[0]))
    told = bank.subject("erase", "--pan-stdin", "--reason", "Art. 17", name=pan(NORTHGATE, card))
    assert told["effective_after_ms"] <= 1_000
    assert not set(bank.poll()) & set(waiting)
    assert bank.pay(card) == []
    objection, erasure = told["case_ids"]

    def order() -> Any:
        """That of this card: orders of other cases may wait too."""
        orders = [bank.verified(one) for jti, one in bank.poll().items() if jti.startswith("erasure-")]
        return next(
            (one for one in orders if set(had) <= set(next(iter(one["events"].values()))["share_ids"])), None
        )

    claims = until(order)
    (event,) = claims["events"].values()
    assert f"{event['erasure_id']}.w" == claims["jti"]
    assert claims["sub_id"]["id"] == event["erasure_id"]
    found = bank.certificate(erasure)
    assert found["recipients"][RECIPIENT]["answered_at_ms"] == 0
    bank.poll(ack=[claims["jti"]])
    found = until(lambda: one if (one := bank.certificate(erasure))["forgotten_at_ms"] else None)
    row = found["recipients"][RECIPIENT]
    assert row["answered_at_ms"] >= row["told_at_ms"] >= found["asked_at_ms"]
    assert row["shares"] == len(event["share_ids"])
    assert found["certified_at_ms"] == 0, "sealed bodies are in the journals for eight days"
    signed = json.loads(base64url.decode(found["jws"].split(".")[1].encode()))
    assert signed["recipients"] == found["recipients"]
    report = v1.Receipt(receipt_id="r-erased", share_id=had[0], use=v1.RECEIPT_USE_USED)
    answer = bank.feeds.call("ReportReceipts", v1.ReportReceiptsRequest(receipts=[report]), RECIPIENT)
    assert not answer.results[0].recorded, "the share is known to nobody any more"
    refused = bank.subject("certificate", str(objection), json_too=False, check=False)
    assert "objection; only an erasure" in refused


def test_who_was_told_by_hand_is_in_the_signed_certificate(bank: Bank) -> None:
    card = bank.card_in_treatment(1300)
    had = bank.pay(card)
    bank.queued(had)
    until(lambda: next(one["left"] for one in shown(bank, card)["shares"] if one["share_id"] == had[0]))
    told = bank.subject("erase", "--pan-stdin", "--reason", "Art. 17", name=pan(NORTHGATE, card))
    erasure = told["case_ids"][1]
    assert "no order" in bank.subject("told", str(erasure), "harbor-federal", "--evidence", "x", check=False)
    until(lambda: bank.certificate(erasure)["recipients"])
    by_hand = bank.subject("told", str(erasure), RECIPIENT, "--evidence", "letter 7")
    assert by_hand["case_ids"] == [erasure]
    found = bank.certificate(erasure)
    row = found["recipients"][RECIPIENT]
    assert row["told_by_hand"]["evidence"] == "letter 7"
    assert row["told_by_hand"]["at_ms"] >= row["told_at_ms"]
    claims = json.loads(base64url.decode(found["jws"].split(".")[1].encode()))
    assert claims["recipients"][RECIPIENT] == row
