"""Amounts beside what a card and a merchant usually have."""

from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from enrichment.providers.amounts import (
    CARD_PAYMENTS_COUNTED,
    CARD_PAYMENTS_MIN,
    MERCHANT_PAYMENTS_MIN,
    PERCENT_MAX,
    Amounts,
)
from tests.unit.providers.columns import columns, one

CARD, MERCHANT = 7 << 50, 9 << 50
NOW_MS = 1_790_000_000_000


def paid(provider: Amounts, amount: int, currency: str = "USD", card: int = CARD) -> dict[str, Any]:
    return one(
        provider,
        card_key=card,
        merchant_key=MERCHANT,
        amount_minor=amount,
        currency=currency,
        initiated_at_ms=NOW_MS,
    )


def test_the_amount_is_told_in_percent_of_the_mean_before_it() -> None:
    provider = Amounts()
    for amount in (1_000, 2_000, 3_000):
        assert paid(provider, amount) == {}, "too few payments to have a habit"
    assert paid(provider, 5_000) == {"amount_to_card_mean": 250}
    assert paid(provider, 2_750) == {"amount_to_card_mean": 100}, "the mean has taken in the one before"


def test_a_merchants_mean_takes_more_payments_of_whichever_cards() -> None:
    provider = Amounts()
    for number in range(MERCHANT_PAYMENTS_MIN):
        assert "amount_to_merchant_mean" not in paid(provider, 1_000, card=CARD + number)
    assert paid(provider, 500, card=CARD + 99) == {"amount_to_merchant_mean": 50}


def test_each_currency_has_a_mean_of_its_own() -> None:
    provider = Amounts()
    for _ in range(CARD_PAYMENTS_MIN):
        paid(provider, 1_000)
    assert paid(provider, 150_000, "JPY") == {}
    assert paid(provider, 1_000) == {"amount_to_card_mean": 100}


def test_an_amount_of_nothing_counts_for_nothing_and_an_absurd_one_neither() -> None:
    provider = Amounts()
    for _ in range(CARD_PAYMENTS_MIN):
        paid(provider, 1_000)
    assert (paid(provider, 0), paid(provider, 2**62)) == ({}, {})
    assert paid(provider, 1_000) == {"amount_to_card_mean": 100}


def test_a_percentage_ends_somewhere() -> None:
    provider = Amounts()
    for _ in range(CARD_PAYMENTS_MIN):
        paid(provider, 1)
    assert paid(provider, 10**13) == {"amount_to_card_mean": PERCENT_MAX}


def test_a_mean_follows_the_last_payments_however_many_there_were() -> None:
    provider = Amounts()
    for _ in range(50 * CARD_PAYMENTS_COUNTED):
        paid(provider, 1_000)
    for _ in range(CARD_PAYMENTS_COUNTED):
        paid(provider, 2_000)
    # 2,000 less 1,000 * (31/32)^32
    assert paid(provider, 1_638)["amount_to_card_mean"] in (99, 100, 101)


def test_a_card_without_a_hash_has_no_mean() -> None:
    provider = Amounts()
    for _ in range(CARD_PAYMENTS_MIN + 1):
        assert paid(provider, 1_000, card=0) == {}


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 10**9)), max_size=120), st.integers(1, 13))
def test_percentages_are_near_those_of_exact_running_means_however_batches_fall(
    payments: list[tuple[int, int]], size: int
) -> None:
    provider, means = Amounts(), {}
    expected: list[Fraction | None] = []
    for card, amount in payments:
        count, mean = means.get(card, (0, Fraction(0)))
        expected.append(100 * amount / mean if count >= CARD_PAYMENTS_MIN else None)
        seen = min(count + 1, CARD_PAYMENTS_COUNTED)
        means[card] = (seen, mean + (amount - mean) / seen)
    found: list[Any] = []
    for at in range(0, len(payments), size):
        batch = payments[at : at + size]
        found += provider.fetch(
            columns(
                card_key=[card << 50 for card, _ in batch],
                merchant_key=[0] * len(batch),
                amount_minor=[amount for _, amount in batch],
                currency=["USD"] * len(batch),
                initiated_at_ms=[NOW_MS] * len(batch),
            )
        )["amount_to_card_mean"]
    for told, exact in zip(found, expected, strict=True):
        assert (told is None) == (exact is None)
        if exact is not None:
            # A sixteenth of a minor unit is lost at most at each step, of which 32 count.
            low = min(exact, PERCENT_MAX)
            assert abs(told - low) <= 1 + low / 4 if exact > 1 else told <= 2


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from([0, 500, 1_000, 2**60]), st.sampled_from(["USD", "JPY"])
        ),
        min_size=1,
        max_size=40,
    )
)
def test_a_batch_of_all_sorts_is_told_what_each_would_be_told_alone(
    payments: list[tuple[int, int, str]],
) -> None:
    alone, together = Amounts(), Amounts()
    columns_of = [
        {
            "card_key": card << 50, "merchant_key": MERCHANT, "amount_minor": amount, "currency": currency,
            "initiated_at_ms": NOW_MS,
        }
        for card, amount, currency in payments
    ]  # fmt: skip
    expected = [one(alone, **given) for given in columns_of]
    found = together.fetch(columns(**{key: [given[key] for given in columns_of] for key in columns_of[0]}))
    told = [
        {name: column[at] for name, column in found.items() if column[at] is not None}
        for at in range(len(payments))
    ]
    assert told == expected
