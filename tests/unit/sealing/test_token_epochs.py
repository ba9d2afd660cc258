"""Which epoch a recipient's tokens are of, told by time."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sealing.keys import KeyRefused
from gateway.sealing.token_epochs import (
    ALWAYS_MS,
    EPOCHS_MAX,
    EpochChange,
    TokenEpoch,
    TokenEpochs,
    first_free_epoch,
    parse_epochs,
)

BANK = "bank"
CHANGES = (EpochChange(2, 100, 150), EpochChange(3, 150, 150), EpochChange(4, 900, 1000))
EPOCHS = TokenEpochs({BANK: CHANGES})


@pytest.mark.parametrize(
    ("now_ms", "expected"),
    [
        (0, (1, 0, 100)),
        (99, (1, 0, 100)),
        (100, (2, 1, 150)),
        (149, (2, 1, 150)),
        (150, (3, 0, 900)),
        (899, (3, 0, 900)),
        (900, (4, 3, 1000)),
        (1000, (4, 0, ALWAYS_MS)),
    ],
)
def test_an_epoch_begins_at_its_time_and_the_one_before_is_given_until_the_overlap_ends(
    now_ms: int, expected: tuple[int, int, int]
) -> None:
    assert EPOCHS.of(BANK, now_ms) == TokenEpoch(*expected)


def test_who_never_changed_is_in_the_first_epoch_for_good() -> None:
    assert EPOCHS.of("another", 10**15) == (1, 0, ALWAYS_MS)
    assert EPOCHS.begun("another", 10**15) == (1,)


def test_every_epoch_that_has_begun_is_named_and_none_that_is_to_come() -> None:
    assert EPOCHS.begun(BANK, 0) == (1,)
    assert EPOCHS.begun(BANK, 150) == (3, 2, 1)


@given(st.integers(0, 1100), st.integers(0, 1100))
def test_what_was_told_holds_until_the_time_that_was_told_with_it(asked_ms: int, later_ms: int) -> None:
    told = EPOCHS.of(BANK, asked_ms)
    if asked_ms <= later_ms < told.valid_until_ms:
        assert EPOCHS.of(BANK, later_ms) == told
    assert told.valid_until_ms > asked_ms


def test_a_change_is_added_behind_the_last_and_the_others_stay() -> None:
    after = EPOCHS.changed(BANK, now_ms=1000, from_ms=2000, both_until_ms=3000)
    assert after.of(BANK, 2000) == (5, 4, 3000)
    assert after.of(BANK, 950) == EPOCHS.of(BANK, 950)
    assert TokenEpochs().changed(BANK, now_ms=0, from_ms=0, both_until_ms=5).of(BANK, 0) == (2, 1, 5)


@pytest.mark.parametrize(
    ("now_ms", "from_ms", "both_until_ms"), [(999, 2000, 3000), (1000, 999, 3000), (1000, 2000, 1999)]
)
def test_a_change_that_would_run_into_another_or_backwards_is_refused(
    now_ms: int, from_ms: int, both_until_ms: int
) -> None:
    with pytest.raises(KeyRefused):
        EPOCHS.changed(BANK, now_ms=now_ms, from_ms=from_ms, both_until_ms=both_until_ms)


def test_a_recipient_has_no_more_epochs_than_a_look_for_a_card_tries() -> None:
    epochs = TokenEpochs()
    for now_ms in range(EPOCHS_MAX - 1):
        epochs = epochs.changed(BANK, now_ms=now_ms, from_ms=now_ms, both_until_ms=now_ms)
    assert len(epochs.begun(BANK, EPOCHS_MAX)) == EPOCHS_MAX
    with pytest.raises(KeyRefused, match="at most"):
        epochs.changed(BANK, now_ms=EPOCHS_MAX, from_ms=EPOCHS_MAX, both_until_ms=EPOCHS_MAX)
    beyond = epochs.changed(
        BANK, now_ms=EPOCHS_MAX, from_ms=EPOCHS_MAX, both_until_ms=EPOCHS_MAX, lost=True
    )  # fmt: skip
    assert beyond.of(BANK, EPOCHS_MAX).epoch == EPOCHS_MAX + 1, "who lost a key has to have another"
    assert parse_epochs(beyond.as_json()) == beyond


def test_behind_a_restore_no_number_is_given_that_was_given_since_the_backup() -> None:
    restored_ms, second_ms = 1_790_000_000_000, 1_790_000_060_000
    first_free = first_free_epoch(restored_ms)
    once = EPOCHS.changed(BANK, now_ms=1000, from_ms=1000, both_until_ms=1000, first_free=first_free)
    assert once.of(BANK, 1000).epoch == first_free > 1_000 * EPOCHS_MAX
    again = once.changed(BANK, now_ms=2000, from_ms=2000, both_until_ms=2000, first_free=first_free)
    assert again.of(BANK, 2000).epoch == first_free + 1
    assert parse_epochs(again.as_json()) == again
    # Of the same backup once more, a minute later: those two were given since.
    assert first_free_epoch(second_ms) > first_free + 1
    assert first_free_epoch(0) == 0
    # The journals keep the number as an int32: to the end of the year 2600.
    assert first_free_epoch(19_912_000_000_000) < 2**31 - EPOCHS_MAX


def test_a_schedule_is_read_as_it_was_written() -> None:
    assert parse_epochs(json.loads(json.dumps(EPOCHS.as_json()))) == EPOCHS


@pytest.mark.parametrize(
    "rows",
    [
        [{"epoch": 1, "from_ms": 1, "both_until_ms": 2}],
        [{"epoch": 2, "from_ms": 3, "both_until_ms": 2}],
        [{"epoch": 2, "from_ms": 1, "both_until_ms": 5}, {"epoch": 3, "from_ms": 4, "both_until_ms": 6}],
        [{"epoch": 2, "from_ms": 1}],
        [{"epoch": "x", "from_ms": 1, "both_until_ms": 2}],
    ],
)
def test_a_schedule_that_does_not_follow_one_after_the_other_is_not_read(rows: list[dict[str, int]]) -> None:
    with pytest.raises((ValueError, KeyError)):
        parse_epochs({BANK: rows})
