"""What the engine looks up for our providers, they find themselves: the same facts, the same remembered."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichment.payment import Assessment
from enrichment.provider import Provider
from enrichment.providers.amounts import Amounts
from enrichment.providers.authentication import Authentication
from enrichment.providers.card_testing import CardTesting
from enrichment.providers.contact import Contact
from enrichment.providers.device import DeviceContinuity
from enrichment.providers.iin import Iin
from enrichment.providers.kept import Kept
from enrichment.providers.looks import has_twin
from enrichment.providers.merchant import Merchant
from enrichment.providers.network import LocalList, Network, Sources
from gateway.runtime.native import engines
from gateway.sharing.fetch import Budgeted, Fetch
from gateway.sharing.items import Tally
from gateway.sharing.score_port import Asked
from issuernetwork.v1 import enrichment_pb2
from tests.kit.payments import HARBOR, NORTHGATE, payment
from tests.property.test_reader_twins import spoil
from tests.unit.sharing.kit import NOW_MS, Kit
from tests.unit.velocity.stores import count_by_engine

if not hasattr(engines, "Looks"):
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

DAY_MS = 86_400_000
BUDGET_US = 2_000


class Another:
    """A provider that the engine knows nothing of."""

    name, version, wants, gives = "another", "1", ("ip", "device_key"), ("ip_country", "a_hint")

    def fetch(self, batch: Any) -> Any:
        return {"ip_country": [ip or None for ip in batch["ip"]], "a_hint": list(batch["device_key"])}


class Asks:
    """Implements `Scorer`: keeps what it was asked, and leaves it to the points."""

    def __init__(self) -> None:
        self.facts: list[Any] = []

    def assess(self, asked: Sequence[Asked]) -> Sequence[Assessment | None]:
        self.facts += [(payment.request_id, facts) for payment, facts, _ in asked]
        return [None] * len(asked)


def _asn(ip: str) -> tuple[Any, int]:
    if ip.startswith("9."):
        raise ValueError("a database of addresses of another kind")
    return ({"autonomous_system_number": len(ip)}, 24) if ip.startswith("81.") else (None, 32)


def providers(most: int, *, rates: bool, another: bool) -> list[Provider]:
    merchant = Merchant(rates_named=rates)
    if rates:
        merchant.use({("shop-1", "m-1"): (12, None), ("shop-1", "m-2"): (None, 3)})
    iin = Iin()
    iin.use({
        HARBOR: ("US", None, "Rewards"), HARBOR[:6]: ("DE", "credit", None),
        NORTHGATE[:7]: (None, "debit", None),
    })  # fmt: skip
    found: list[Provider] = [
        iin, merchant, Contact(), DeviceContinuity(most), Amounts(most, most), Authentication(),
        CardTesting(most, most),
        Network(
            ("ip_anonymised", "ip_asn"), Sources(asn=_asn, local=LocalList([("81.0.0.0/25", "vpn")])),
        ),
    ]  # fmt: skip
    if another:
        found.insert(2, Another())
    return found


def kit_of(most: int, *, by_engine: bool, rates: bool, another: bool) -> Kit:
    kit = Kit(providers=[Budgeted(one, BUDGET_US) for one in providers(most, rates=rates, another=another)])
    kit.scorer = Asks()
    kit.gateway = kit.make_gateway()
    kit.renew()
    if by_engine:
        count_by_engine(kit)
    else:
        counting = kit.gateway.counting
        kit.gateway._fetch = Fetch(kit.clock, counting, kit.providers, kit.gateway._on_fault, native=None)
    return kit


def remembered(kit: Kit) -> Any:
    """All that the providers of a kit hold."""
    found: list[Any] = []
    for one in kit.providers:
        provider: Any = one.provider
        kept: tuple[Kept, ...] = getattr(provider, "kept", ())
        found.append([one.copies() for one in kept])
        if isinstance(provider, Network):
            found.append(provider._sources.answers)
        if isinstance(provider, DeviceContinuity):
            found.append(provider.state())
        if isinstance(provider, CardTesting):
            windows = (provider._merchants, provider._devices)
            found.append([(one._states, one.verdicts) for one in windows])
            found.append(provider._until_ms)
    return found


@st.composite
def batches(draw: Any) -> list[list[enrichment_pb2.EnrichAuthorizationRequest]]:
    number, found = 0, []
    for _ in range(draw(st.integers(1, 6))):
        asked = []
        at_ms = NOW_MS - draw(st.integers(0, 130)) * DAY_MS
        for _ in range(draw(st.integers(1, 6))):
            number += 1
            request = payment(
                number,
                iin=draw(st.sampled_from([HARBOR, NORTHGATE])),
                card=draw(st.integers(0, 6)),
                merchant_id=f"m-{draw(st.integers(1, 3))}",
                now_ms=at_ms - draw(st.sampled_from([0, 0, 1_000, 700_000])),
            )
            request.amount_minor = draw(st.sampled_from([0, 1, 499, 500, 12_345, 10**12 - 1]))
            request.currency = draw(st.sampled_from(["USD", "USD", "JPY", "BHD", "EUR"]))
            request.network = draw(st.integers(0, 5))
            request.initiation = draw(st.integers(0, 2))
            request.device.device_id = draw(st.sampled_from(["", "d-1", "d-2", "d-3"]))
            request.device.ip = draw(
                st.sampled_from(
                    [
                        "",
                        "81.0.0.7",
                        "81.0.0.200",
                        "81.1.2.3",
                        "9.9.9.9",
                        "10.0.0.1",
                        "2A00:1450::1",
                        "::ffff:81.0.0.7",
                    ]
                )
            )
            request.merchant.mcc = draw(st.sampled_from(["", "5411", "6051", "9999"]))
            request.customer.phone_e164 = draw(
                st.sampled_from(["", "+12025550123", "+4930123456", "+9991234"])
            )
            request.customer.email = draw(
                st.sampled_from(["", "a@gmail.com", "a1b2@mailinator.com", "12@Example.com", "7@yahoo.co.uk"])
            )
            request.customer.billing.country = draw(st.sampled_from(["", "US", "DE"]))
            request.authentication.eci = draw(st.sampled_from(["", "05", "06", "02"]))
            request.authentication.trans_status = draw(st.integers(0, 8))
            request.authentication.cvv_result = draw(st.sampled_from(["", "M", "m", "N", "n"]))
            if draw(st.integers(0, 30)) == 0:
                spoil(request, draw(st.data()))
            asked.append(request)
        found.append(asked)
    return found


@given(
    rounds=batches(), most=st.sampled_from([2, 3, 8, 1 << 12]), rates=st.booleans(), another=st.booleans(),
    warm=st.booleans(),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_both_find_and_remember_the_same(
    rounds: list[list[Any]], most: int, rates: bool, another: bool, warm: bool
) -> None:
    ours, twin = (kit_of(most, by_engine=by, rates=rates, another=another) for by in (True, False))
    tallies = Tally(), Tally()
    for asked in rounds:
        results = []
        for kit, tally in zip((ours, twin), tallies, strict=True):
            if not warm:
                kit.gateway.counting.store = kit.velocity
                kit.velocity.fault = OSError("down")
            results.append(kit.results(*asked, tally=tally))
            assert not [one for one in kit.faults if one[0] != "fetch"]
        assert results[0] == results[1]
        assert remembered(ours) == remembered(twin)
    assert isinstance(ours.scorer, Asks)
    assert isinstance(twin.scorer, Asks)
    assert ours.scorer.facts == twin.scorer.facts
    for (_, one), (_, other) in zip(ours.scorer.facts, twin.scorer.facts, strict=True):
        assert dict(one.found) == other.found
        assert [*map(type, one.found.values())] == [*map(type, map(other.found.get, one.found))]
    assert tallies[0].provided_ns.keys() == tallies[1].provided_ns.keys()
    assert replace(tallies[0], provided_ns={}) == replace(tallies[1], provided_ns={})


def test_both_say_the_same_of_a_flood_of_cards_and_of_a_card_that_pays_often() -> None:
    """What takes more payments than are drawn: verdicts of merchants, means that count no further."""
    rounds = []
    for round_number in range(6):
        asked = []
        for number in range(12 * round_number, 12 * round_number + 12):
            flood = payment(2 * number, card=number, now_ms=NOW_MS)
            often = payment(2 * number + 1, card=1, now_ms=NOW_MS)
            flood.merchant_id, flood.amount_minor, flood.authentication.cvv_result = "m-1", 100, "N"
            often.merchant_id, often.amount_minor = "m-1", 1_000 + 777 * number % 5_000
            asked += [flood, often]
        rounds.append(asked)
    kits = [kit_of(1 << 12, by_engine=by, rates=False, another=False) for by in (True, False)]
    for asked in rounds:
        for kit in kits:
            kit.results(*asked)
        assert remembered(kits[0]) == remembered(kits[1])
    ours, theirs = (kit.scorer.facts for kit in kits if isinstance(kit.scorer, Asks))
    assert ours == theirs
    verdicts = {facts.found["card_testing"] for _, facts in ours}
    assert verdicts == {"none", "possible", "likely"}


def test_the_engine_looks_for_every_provider_of_ours_that_needs_no_file() -> None:
    assert all(has_twin(one) for one in providers(2, rates=True, another=False))
    assert not has_twin(Another())


def test_the_engine_asks_no_twin_about_ordinary_payments(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked in columns is slower, and no test of answers would tell."""
    kit = kit_of(1 << 12, by_engine=True, rates=False, another=False)

    def fails(*given: Any) -> Any:
        raise AssertionError("asked")

    for one in kit.providers:
        monkeypatch.setattr(type(one.provider), "fetch", fails)
    monkeypatch.setattr(CardTesting, "verdict", fails)
    asked = [payment(number, now_ms=NOW_MS) for number in range(8)]
    kit.results(asked[0])
    (turned,) = [fault for stage, fault in kit.faults if stage == "provider card_testing"]
    assert str(turned) == "asked"  # the first payment of a window is the twin's
    kit.faults.clear()
    next(one.provider for one in kit.providers if isinstance(one.provider, CardTesting))._until_ms = (
        2 * NOW_MS
    )
    kit.results(*asked[1:])
    assert not kit.faults


def test_what_goes_wrong_with_one_provider_costs_its_own_fields_by_the_engine_too() -> None:
    kit = kit_of(8, by_engine=True, rates=False, another=False)
    amounts = next(one.provider for one in kit.providers if isinstance(one.provider, Amounts))
    amounts._cards.kept.young = None  # type: ignore[assignment]
    kit.results(*[payment(number, now_ms=NOW_MS) for number in range(3)])
    assert [stage for stage, _ in kit.faults] == ["provider amounts"]
    assert isinstance(kit.scorer, Asks)
    for _, facts in kit.scorer.facts:
        assert "mcc_risk" in facts.found
        assert "amount_to_card_mean" not in facts.found
        assert ("amounts", "unavailable") in facts.omissions


def test_a_provider_that_takes_too_long_by_the_engine_is_put_aside() -> None:
    kit = kit_of(8, by_engine=True, rates=False, another=False)
    fetch, number = kit.gateway._fetch, 0
    now_ns = kit.clock.monotonic_ns

    class Slow:
        """Each look at the clock is 3 ms later than the one before."""

        looked = 0

        def monotonic_ns(self) -> int:
            self.looked += 1
            return now_ns() + self.looked * 3_000_000

    fetch._clock = Slow()  # type: ignore[assignment]
    for number in range(6):
        kit.results(payment(number, now_ms=NOW_MS))
    assert isinstance(kit.scorer, Asks)
    first, last = kit.scorer.facts[0][1], kit.scorer.facts[-1][1]
    assert "mcc_risk" in first.found
    assert "mcc_risk" not in last.found
    assert ("merchant", "over_budget") in last.omissions
