"""How long a device has been seen with a card, so far as memory goes."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from enrichment.provider import WARMING
from enrichment.providers.device import KNOWN_AFTER_DAYS, DeviceContinuity
from tests.unit.providers.columns import columns, one

DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS


def seen(provider: DeviceContinuity, day: float, card: int = 1 << 40, device: int = 2 << 40) -> Any:
    found = one(provider, card_key=card, device_key=device, initiated_at_ms=START_MS + int(day * DAY_MS))
    return found.get("device_on_card_age_days")


def test_to_a_young_memory_nobody_is_new_and_it_says_that_it_is_young() -> None:
    provider = DeviceContinuity()
    assert (seen(provider, 0), provider.lacking) == (None, WARMING)
    assert seen(provider, 3) == 3, "what was seen before has its age"
    assert seen(provider, KNOWN_AFTER_DAYS - 1, device=3 << 40) is None
    assert provider.lacking == WARMING


def test_an_old_memory_says_that_a_device_is_new_on_a_card() -> None:
    provider = DeviceContinuity()
    seen(provider, 0)
    assert seen(provider, KNOWN_AFTER_DAYS, device=3 << 40) == 0
    assert provider.lacking == ""
    assert seen(provider, KNOWN_AFTER_DAYS + 2, device=3 << 40) == 2
    assert seen(provider, KNOWN_AFTER_DAYS + 2) == KNOWN_AFTER_DAYS + 2
    assert seen(provider, KNOWN_AFTER_DAYS + 2, card=5 << 40) == 0, "the same device with another card"


def test_a_payment_of_before_the_first_has_an_age_of_nothing() -> None:
    provider = DeviceContinuity()
    seen(provider, 5)
    assert seen(provider, 2) == 0


def test_without_a_device_or_a_card_nothing_is_said_or_kept() -> None:
    provider = DeviceContinuity()
    assert (seen(provider, 0, device=0), seen(provider, 0, card=0)) == (None, None)
    assert len(provider._first) == 0


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 40)), min_size=1, max_size=60),
    st.integers(1, 9),
)
def test_ages_are_those_of_a_plain_list_of_all_pairs_however_batches_fall(
    touches: list[tuple[int, int, int]], size: int
) -> None:
    provider, first, began, known = DeviceContinuity(), {}, None, False
    expected = []
    for card, device, day in touches:
        pair = card, device
        if pair not in first:
            first[pair] = day
            began = day if began is None else began
            known = known or day - began >= KNOWN_AFTER_DAYS
            expected.append(0 if known else None)
        else:
            expected.append(max(day - first[pair], 0))
    found: list[Any] = []
    for at in range(0, len(touches), size):
        batch = touches[at : at + size]
        found += provider.fetch(
            columns(
                # As keyed hashes are: no two pairs have one exclusive or.
                card_key=[card << 8 for card, _, _ in batch],
                device_key=[device for _, device, _ in batch],
                initiated_at_ms=[START_MS + day * DAY_MS for _, _, day in batch],
            )
        )["device_on_card_age_days"]
    assert found == expected
