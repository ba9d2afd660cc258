"""What is kept by key: half of the limit at least, never much more than the limit, the last touched."""

from hypothesis import given
from hypothesis import strategies as st

from enrichment.providers.kept import GENERATION_DAYS, Kept, Leaving, apart


@given(st.lists(st.integers(1, 40), max_size=300), st.integers(2, 20))
def test_the_half_that_was_touched_last_is_always_kept_and_no_more_than_the_limit(
    touches: list[int], most: int
) -> None:
    kept, order = Kept(most), []
    for number, key in enumerate(touches):
        young = kept.young
        if key not in young and kept.old(key) is None:
            young[key] = number
        kept.settle(1)
        order = [other for other in order if other != key] + [key]
        assert len(kept) <= most + 2  # one key a batch, in each generation
        _, old, young = kept.copies()
        assert set(order[-(most // 2) :]) <= old.keys() | young.keys()
        assert not old.keys() & young.keys()


def test_a_key_that_is_looked_for_among_the_old_is_young_again() -> None:
    kept = Kept(2)
    kept.young[1] = 10
    kept.young[2] = 20
    kept.settle(1)
    assert kept.young == {}
    assert (kept.old(1), kept.old(1), kept.young) == (10, None, {1: 10})


def test_what_was_not_touched_for_two_generations_is_forgotten_though_there_is_room() -> None:
    kept = Kept(1_000)
    kept.settle(20_000)
    kept.young[1] = kept.young[2] = 10
    kept.settle(20_000 + GENERATION_DAYS - 1)
    assert kept.young == {1: 10, 2: 10}
    kept.settle(20_000 + GENERATION_DAYS)
    assert (kept.old(1), len(kept)) == (10, 2)
    kept.settle(5)  # a payment of long ago ends nothing
    kept.settle(20_000 + 2 * GENERATION_DAYS)
    assert (kept.old(2), kept.old(1)) == (None, 10)


def test_what_leaves_goes_a_little_at_a_time() -> None:
    leaving, large = Leaving(), dict.fromkeys(range(2_000), 0)
    leaving.add(large)
    sizes = []
    while large:
        leaving.step()
        sizes.append(len(large))
    assert sizes[0] < 2_000
    assert max(before - after for before, after in zip([2_000, *sizes], sizes, strict=False)) <= 512
    leaving.step()


def test_currencies_have_keys_far_apart() -> None:
    found = {apart(currency) & 0xFFFF for currency in ("USD", "EUR", "GBP", "JPY", "INR", "BRL", "MXN")}
    assert len(found) == 7
