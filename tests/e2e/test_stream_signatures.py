"""What a recipient's document says of its stream, from the document to the SDK: a gateway and feeds."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from gateway.server.install import ISSUER_URL
from gateway.server.policy import read_policy
from issuernetwork.receiver import Receiver, RefusedToken, Share
from issuernetwork.v1 import enrichment_pb2_grpc
from issuernetwork.v1.common_pb2 import SHARE_STATUS_SHARED
from tests.kit.feeds_process import Recipients, until
from tests.kit.installation import RECIPIENTS, SAMPLE_POLICY, Installation
from tests.kit.payments import HARBOR, MERIDIAN, NORTHGATE, SUMMIT, payment
from tests.kit.stream_policy import CLEAR, FRESH, SIGNED_WITH, policy

IIN_OF = dict(zip(SIGNED_WITH, (NORTHGATE, HARBOR, MERIDIAN, SUMMIT), strict=True))
LOOKED_UP = {SUMMIT: "risk-score"}
"""What goes by look-up alone."""

PAYMENTS = 24


class Issuers:
    """Payments of every issuer, and what each recipient gets of them."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.feeds = Recipients(installation)
        self.jwks = self.feeds.get("/.well-known/jwks.json")
        with grpc.insecure_channel(installation.address("gateway", "grpc")) as channel:
            stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)  # type: ignore[no-untyped-call]
            self.shared = {
                recipient_id: {
                    decision.share_id
                    for number in range(PAYMENTS)
                    for decision in stub.EnrichAuthorization(
                        payment(number, iin=iin, prefix=recipient_id),
                        metadata=installation.metadata("payments"),
                        timeout=20,
                    ).decisions
                    if decision.status == SHARE_STATUS_SHARED and decision.program != LOOKED_UP.get(iin)
                }
                for recipient_id, iin in IIN_OF.items()
            }
        self.tokens = {recipient_id: self._stream(recipient_id) for recipient_id in RECIPIENTS}

    def _stream(self, recipient_id: str) -> list[str]:
        """All that was shared on the stream, once it has come to the feeds."""

        def whole() -> list[str] | None:
            sets = self.feeds.poll(recipient_id, maxEvents=1000)["sets"]
            return list(sets.values()) if self.shared[recipient_id] <= sets.keys() else None

        found: list[str] = until(whole)
        return found

    def receiver(self, recipient_id: str, *algorithms: str) -> Receiver:
        return Receiver(
            recipient_id=recipient_id,
            private_keys=[self.installation.recipient_keys[recipient_id]],
            jwks=lambda: self.jwks,
            iss=ISSUER_URL,
            algorithms=algorithms,
        )

    def shares(self, recipient_id: str) -> list[Share]:
        receiver = self.receiver(recipient_id, SIGNED_WITH[recipient_id])
        found = [receiver.open(token) for token in self.tokens[recipient_id]]
        return [one for one in found if isinstance(one, Share)]


@pytest.fixture(scope="module")
def issuers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuers]:
    folder = tmp_path_factory.mktemp("signatures")
    with Installation(folder, processes=("gateway", "feeds"), policy=policy()) as running:
        yield Issuers(running)


def part(token: str, number: int) -> Any:
    segment = token.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))


def sealed_in(token: str) -> str | None:
    (event,) = part(token, 1)["events"].values()
    sealed: str | None = event.get("encryptedData")
    return sealed


def test_the_jwk_set_publishes_a_key_for_every_algorithm_that_a_document_names(issuers: Issuers) -> None:
    keys = issuers.jwks["keys"]
    assert sorted(key["alg"] for key in keys) == sorted(SIGNED_WITH.values())
    assert len({key["kid"] for key in keys}) == len(keys)
    assert len({key["n"] for key in keys if key["kty"] == "RSA"}) == 2, "one RSA key for two algorithms"
    assert not any({"d", "p", "q"} & key.keys() for key in keys)


@pytest.mark.parametrize("recipient_id", RECIPIENTS)
def test_a_stream_is_signed_with_the_algorithm_of_its_recipients_document_and_no_other(
    issuers: Issuers, recipient_id: str
) -> None:
    assert {part(token, 0)["alg"] for token in issuers.tokens[recipient_id]} == {SIGNED_WITH[recipient_id]}
    assert issuers.shares(recipient_id)
    others = [alg for alg in SIGNED_WITH.values() if alg != SIGNED_WITH[recipient_id]]
    with pytest.raises(RefusedToken, match="unknown_key"):
        issuers.receiver(recipient_id, *others).open(issuers.tokens[recipient_id][0])


def test_a_recipient_that_asks_for_fresh_content_keys_gets_one_a_message_and_others_share_one(
    issuers: Issuers,
) -> None:
    wrapped = {
        recipient_id: [sealed.split(".")[1] for token in tokens if (sealed := sealed_in(token))]
        for recipient_id, tokens in issuers.tokens.items()
    }
    assert len(wrapped[FRESH]) > 1
    assert len(set(wrapped[FRESH])) == len(wrapped[FRESH])
    for recipient_id in set(RECIPIENTS) - {FRESH}:
        assert len(wrapped[recipient_id]) > len(set(wrapped[recipient_id])) == 1


def test_a_record_under_profile_a_comes_signed_and_clear_and_says_nothing_of_a_card(issuers: Issuers) -> None:
    shares = issuers.shares("northgate-bank")
    clear = [one for one in shares if one.program == CLEAR]
    # A machine under load may withhold a few (`over_deadline`); what was shared is all there.
    assert len(clear) > PAYMENTS // 2
    assert {one.share_id for one in shares} == issuers.shared["northgate-bank"]
    for one in clear:
        assert one.profile == "A"
        assert one.fields == {"mcc": "5411", "merchant_country": "US"}
        assert (one.card_token, one.token_epoch, one.match) == ("", 0, {})
    sealed = [one for one in shares if one.program != CLEAR]
    assert {one.profile for one in sealed} == {"B"}
    assert not {one.evaluation_id for one in clear} & {one.evaluation_id for one in sealed}, "tied to a card"


def test_an_algorithm_without_a_key_withholds_and_the_operator_is_told_to_make_one(tmp_path: Any) -> None:
    files = dict(read_policy(SAMPLE_POLICY))
    installation = Installation(tmp_path, processes=(), policy=files)
    folder = tmp_path / "policy"
    for name, text in {**files, **policy()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    def ein(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "gateway.server.cli.main", *arguments, "--config", installation.config],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip

    told = ein("plan", str(folder)).stderr
    for recipient_id, algorithm in SIGNED_WITH.items():
        assert (f"ein keys add {algorithm}" in told) == (algorithm != "ES256"), recipient_id
    for algorithm in ("RS256", "PS256", "EdDSA"):
        assert algorithm in ein("keys", "add", algorithm).stdout
    assert "nothing is changed" in ein("keys", "add", "RS256").stdout
    assert "keys add" not in ein("plan", str(folder)).stderr
    listed = ein("keys", "list").stdout
    assert sorted(line.split()[0] for line in listed.splitlines()) == sorted(SIGNED_WITH.values())
    published = json.loads(ein("keys", "show-jwks").stdout)["keys"]
    assert {key["kid"] for key in published} == {line.split()[1] for line in listed.splitlines()}
