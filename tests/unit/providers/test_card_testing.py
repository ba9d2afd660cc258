"""Card testing: many cards, small amounts, values that fail, in a short time."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from enrichment.providers.card_testing import (
    DEVICE_CARDS,
    LIKELY,
    MERCHANT_CARDS,
    NONE,
    POSSIBLE,
    WINDOW_MS,
    CardTesting,
    of_device,
    of_merchant,
)
from tests.unit.providers.columns import columns

START_MS = 3_000_000 * WINDOW_MS
SHOP, OTHER_SHOP, PHONE, OTHER_PHONE = 1 << 60, 2 << 60, 3 << 60, 4 << 60


def paid(
    provider: CardTesting,
    card: int,
    *,
    at_ms: int = START_MS,
    amount: int = 100,
    cvv: str = "M",
    merchant: int = SHOP,
    device: int = PHONE,
    attempts: tuple[int, int] | None = None,
    cards: int = 0,
) -> Any:
    """One payment. `attempts`: what velocity says of merchant and device; `cards`: of the device."""
    velocity = None
    if attempts is not None:
        rest = (0,) * 3
        of_merchants, of_devices = (attempts[0], *rest, 0, *rest), (attempts[1], *rest, cards, *rest)
        velocity = (None, of_merchants, None, of_devices, None)
    (verdict,) = provider.fetch(
        columns(
            card_key=[card], merchant_key=[merchant], device_key=[device], initiated_at_ms=[at_ms],
            amount_minor=[amount], currency=["USD"], cvv_result=[cvv], velocity=[velocity],
        )
    )["card_testing"]  # fmt: skip
    return verdict


def test_small_amounts_on_many_cards_from_one_device_are_card_testing() -> None:
    provider = CardTesting()
    verdicts = [paid(provider, card, merchant=card << 40) for card in range(1, 9)]
    possible, likely = DEVICE_CARDS
    assert verdicts == [NONE] * (possible - 1) + [POSSIBLE] * (likely - possible) + [LIKELY] * (9 - likely)


def test_one_card_again_and_again_is_no_card_testing() -> None:
    provider = CardTesting()
    assert {paid(provider, 5, cvv="N") for _ in range(100)} == {NONE}


def test_many_cards_with_ordinary_amounts_that_match_are_none_at_a_till() -> None:
    provider = CardTesting()
    assert {paid(provider, card, amount=5_000) for card in range(1, 200)} == {NONE}


def test_many_small_amounts_at_a_merchant_that_match_are_a_kiosk() -> None:
    provider = CardTesting()
    assert {paid(provider, card, device=card << 40) for card in range(1, 200)} == {NONE}


def test_many_cards_whose_values_fail_at_one_merchant_are_card_testing() -> None:
    provider = CardTesting()
    verdicts = [paid(provider, card, device=0, cvv="N") for card in range(1, 30)]
    assert verdicts.index(POSSIBLE) == MERCHANT_CARDS[0] - 1
    assert verdicts[-1] == LIKELY


def test_others_who_pay_at_a_merchant_under_test_are_possible_and_no_more() -> None:
    provider = CardTesting()
    for card in range(1, 30):
        paid(provider, card, device=0, cvv="N")
    assert paid(provider, 99, amount=9_000, device=OTHER_PHONE) == POSSIBLE
    assert paid(provider, 99, amount=9_000, device=OTHER_PHONE, merchant=OTHER_SHOP) == NONE


def test_a_merchant_with_many_payments_that_match_is_not_under_test() -> None:
    provider = CardTesting()
    found = {paid(provider, card, device=0, cvv="N", attempts=(5_000, 0)) for card in range(1, 30)}
    assert found == {NONE}, "30 of 5,000 fail everywhere"


def test_cards_that_velocity_tells_apart_at_a_device_count_though_few_payments_were_small() -> None:
    provider = CardTesting()
    found = [paid(provider, 5, cvv="N", attempts=(9, 9), cards=DEVICE_CARDS[1]) for _ in range(4)]
    assert found == [NONE, POSSIBLE, LIKELY, LIKELY]


def test_a_verdict_lasts_through_the_next_window_and_no_longer() -> None:
    def after(pause_ms: int) -> Any:
        provider = CardTesting()
        for card in range(1, 9):
            paid(provider, card)
        return paid(provider, 77, amount=9_000, at_ms=START_MS + pause_ms)

    assert (after(WINDOW_MS), after(2 * WINDOW_MS), after(50 * WINDOW_MS)) == (LIKELY, NONE, NONE)


def test_a_late_payment_counts_into_the_present_window() -> None:
    provider = CardTesting()
    paid(provider, 1, at_ms=START_MS + WINDOW_MS)
    verdicts = [paid(provider, card, at_ms=START_MS) for card in range(2, 9)]
    assert verdicts[-1] == LIKELY


def test_no_more_keys_than_the_limit_are_kept_in_a_window() -> None:
    provider = CardTesting(merchants=8, devices=8)
    for number in range(1, 100):
        paid(provider, number, merchant=number << 40, device=number << 41)
    assert len(provider._merchants._states) <= 8
    assert len(provider._devices._states) <= 8


@given(
    st.lists(
        st.tuples(st.integers(0, 63), st.sampled_from([100, 9_000]), st.sampled_from(["M", "N", ""])),
        max_size=60,
    )
)
def test_a_verdict_is_that_of_a_plain_count_of_what_is_small_or_fails(
    payments: list[tuple[int, int, str]],
) -> None:
    provider = CardTesting()
    rows: list[tuple[int, bool, bool]] = []
    worst = [0, 0]
    for card, amount, cvv in payments:
        small, fails = amount < 500, cvv == "N"
        verdict = paid(provider, 64 + card, amount=amount, cvv=cvv)
        if small or fails:
            rows.append((card, small, fails))
            counts = (
                len(rows), sum(row[1] for row in rows), sum(row[2] for row in rows),
                len({row[0] for row in rows}),
            )  # fmt: skip
            worst = [max(worst[0], of_merchant(*counts)), max(worst[1], of_device(*counts))]
            assert verdict == (NONE, POSSIBLE, LIKELY)[max(worst)]
        else:
            assert verdict == (NONE, POSSIBLE, LIKELY)[max(min(worst[0], 1), worst[1])]
