"""What operators write down over gRPC is in effect at a running gateway when the call returns."""

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from gateway.runtime.clock import SystemClock
from issuernetwork.v1 import consents_pb2 as v1
from issuernetwork.v1 import consents_pb2_grpc as rpc
from tests.e2e.test_consents import Payments
from tests.kit.installation import Installation
from tests.kit.operators import register

ROUNDS = 12
TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder: Path = tmp_path_factory.mktemp("consents")
    installation = Installation(folder, processes=("gateway",))
    register(installation.settings, "ops", "operator")
    with installation:
        yield installation


class Operator:
    """Calls of one operator over one connection."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self.channel = grpc.insecure_channel(installation.address("gateway", "grpc"))
        self._stub = rpc.ConsentServiceStub(self.channel)  # type: ignore[no-untyped-call]

    def say(self, merchant_ids: list[str], tier: int) -> v1.ConsentEffect:
        settings = [
            v1.ConsentSetting(
                party=v1.CONSENT_PARTY_MERCHANT, party_id=merchant_id, tier=tier,  # type: ignore[arg-type]
                terms_version="2026-11", evidence="form 7",
            )
            for merchant_id in merchant_ids
        ]  # fmt: skip
        request = v1.BatchSetConsentsRequest(settings=settings, reason="test")
        answer = self._stub.BatchSetConsents(
            request, metadata=self._installation.signed("ops"), timeout=TIMEOUT_S
        )
        effect: v1.ConsentEffect = answer.effect
        return effect

    def revoke(self, merchant_id: str) -> v1.ConsentEffect:
        request = v1.RevokeConsentRequest(
            party=v1.CONSENT_PARTY_MERCHANT, party_id=merchant_id, reason="asked to"
        )
        answer = self._stub.RevokeConsent(
            request, metadata=self._installation.signed("ops"), timeout=TIMEOUT_S
        )
        effect: v1.ConsentEffect = answer.effect
        return effect


@pytest.fixture
def operator(installation: Installation) -> Iterator[Operator]:
    made = Operator(installation)
    yield made
    made.channel.close()


def test_a_batch_is_in_effect_for_all_of_it_when_it_returns(
    installation: Installation, operator: Operator
) -> None:
    payments = Payments(installation)
    assert payments.shared("m-0500") > 0
    merchants = [f"m-{number:04d}" for number in range(500, 1_500)]
    effect = operator.say(merchants, v1.CONSENT_TIER_OPTED_OUT)
    assert effect.workers_acknowledged == 1
    assert effect.effective_after_ms <= 1_000
    assert [payments.shared(merchant_id, count=6) for merchant_id in ("m-0500", "m-1499")] == [0, 0]
    assert payments.shared("m-1500") > 0, "nobody else is touched"
    operator.say(["m-0500"], v1.CONSENT_TIER_ENHANCED)
    assert payments.shared("m-0500") > 0
    payments.close()


def test_no_new_share_once_a_revocation_by_call_has_returned(
    installation: Installation, operator: Operator
) -> None:
    """Races: three payers without pause, while a merchant agrees and revokes again and again."""
    clock, stop = SystemClock(), threading.Event()
    seen: list[tuple[int, int]] = []

    def pay() -> None:
        mine = Payments(installation)
        while not stop.is_set():
            began_ns = clock.monotonic_ns()
            seen.append((began_ns, mine.shared("m-0800", count=1)))
        mine.close()

    def pass_by(payments: int) -> None:
        until = len(seen) + payments
        while len(seen) < until:
            stop.wait(0.005)

    payers = [threading.Thread(target=pay) for _ in range(3)]
    for payer in payers:
        payer.start()
    closed: list[tuple[int, int]] = []
    try:
        for _ in range(ROUNDS):
            operator.revoke("m-0800")
            returned_ns = clock.monotonic_ns()
            pass_by(20)
            closed.append((returned_ns, clock.monotonic_ns()))
            operator.say(["m-0800"], v1.CONSENT_TIER_ENHANCED)
            pass_by(20)
    finally:
        stop.set()
        for payer in payers:
            payer.join()
    assert sum(shared for _, shared in seen) > 0, "the race is about something"
    for since_ns, until_ns in closed:
        inside = [shared for began_ns, shared in seen if since_ns <= began_ns < until_ns]
        assert inside
        assert sum(inside) == 0
