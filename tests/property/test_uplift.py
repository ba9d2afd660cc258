"""Card sums and what is made of them, for any cards."""

import math

from hypothesis import given
from hypothesis import strategies as st

from gateway.measurement.ratios import card_sums, difference
from gateway.measurement.uplift import estimate_uplift

_CARD = st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
_CARDS = st.lists(_CARD, min_size=2, max_size=40)


@given(_CARDS, _CARDS)
def test_sums_of_parts_are_the_sums_of_the_whole(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    assert card_sums(left) + card_sums(right) == card_sums(left + right)


@given(_CARDS)
def test_the_variance_is_that_of_the_residuals_of_the_cards(cards: list[tuple[int, int]]) -> None:
    sums = card_sums(cards)
    mean = sums.n / sums.cards
    residuals = [(y - sums.rate * n) / mean for n, y in cards]
    expected = sum(e * e for e in residuals) / (sums.cards - 1) / sums.cards
    assert math.isclose(sums.rate_variance, expected, rel_tol=1e-9, abs_tol=1e-12)


@given(_CARDS, _CARDS)
def test_swapping_the_arms_turns_the_sign_and_keeps_the_error(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    forth, back = difference(card_sums(left), card_sums(right)), difference(card_sums(right), card_sums(left))
    assert forth.value == -back.value
    assert forth.standard_error == back.standard_error


@given(
    st.lists(_CARD, min_size=20, max_size=30), st.lists(_CARD, min_size=20, max_size=30), st.integers(25, 30)
)
def test_an_interval_lies_around_its_estimate_and_is_wider_than_a_fixed_one(
    left: list[tuple[int, int]], right: list[tuple[int, int]], copies: int
) -> None:
    found = estimate_uplift(card_sums(left * copies), card_sums(right * copies))
    if found.absolute is None or found.fixed_half_width is None:
        assert found.no_interval_reason
        return
    assert found.absolute.lower <= found.absolute.value <= found.absolute.upper
    half_width = (found.absolute.upper - found.absolute.lower) / 2
    assert found.fixed_half_width <= half_width <= 1.75 * found.fixed_half_width + 1e-12
