"""What shares are sealed to is kept from batch to batch, no longer than its key and its epochs are good."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.programs.model import CLEAR_PROFILE
from gateway.programs.table import ProgramEntry
from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing.jwe import CONTENT_KEY_LIFE_MS, Held, Sealer
from gateway.sealing.keys import KeyUnavailable, KeyWrap, RecipientKey, StaticRecipientKeys
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sealing.token_epochs import EpochChange, TokenEpochs
from gateway.sharing.encode import Encoder
from gateway.sharing.seal import ShareSealer
from gateway.sharing.share import Target
from tests.unit.sharing.kit import Macs

ENTRY = ProgramEntry(program="risk-score", issuer_id="bank", recipient_id="bank", ahead=True, purpose=1)
OTHER = replace(ENTRY, program="other")
NOBODY = TokenEpochs()


class Keys:
    """Implements `keys.RecipientKeys`; tests put others in, or none."""

    def __init__(self) -> None:
        self.key: RecipientKey | None = recipient_key("one")
        self.asked_at_ms: list[int] = []

    def current(self, recipient_id: str, *, now_ms: int) -> RecipientKey:
        self.asked_at_ms.append(now_ms)
        return StaticRecipientKeys(() if self.key is None else (self.key,)).current(
            recipient_id, now_ms=now_ms
        )


def recipient_key(kid: str, expires_at_ms: int | None = None) -> RecipientKey:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return RecipientKey("bank", kid, KeyWrap.ECDH_ES_A256KW, public, expires_at_ms)


class Sealing:
    """A sealer of shares, and its batches."""

    def __init__(self) -> None:
        self.clock, self.keys = SimClock(), Keys()
        sealer = Sealer(UnsafeSeededEntropy(1), self.clock, self.keys)
        self.shares = ShareSealer(Pseudonyms(Macs()), sealer, Encoder())

    def batch(self, entry: ProgramEntry = ENTRY, epochs: TokenEpochs = NOBODY) -> tuple[Target, Held]:
        self.shares.begin(self.clock.wall_ms(), epochs, 0)
        return self.found(entry)

    def found(self, entry: ProgramEntry = ENTRY) -> tuple[Target, Held]:
        found = self.shares.target_of(entry)
        assert found is not None
        return found.target, found.held


def test_batches_in_a_row_have_one_target_and_programs_of_a_recipient_one_key() -> None:
    sealing = Sealing()
    target, held = sealing.batch()
    sealing.clock.advance_ms(CONTENT_KEY_LIFE_MS - 1)
    again, same = sealing.batch()
    assert again is target
    assert same is held
    other, shared = sealing.found(OTHER)
    assert other is not target
    assert shared is held


def test_another_key_of_the_recipient_is_used_from_the_next_batch_on() -> None:
    sealing = Sealing()
    target, held = sealing.batch()
    sealing.keys.key = recipient_key("two")
    assert sealing.found() == (target, held), "of this batch"
    found, another = sealing.batch()
    assert another.recipient_key.kid == "two"
    assert found is not target
    assert sealing.found(OTHER)[1] is another


def test_a_recipient_whose_key_is_gone_has_no_target_from_the_next_batch_on() -> None:
    sealing = Sealing()
    sealing.batch()
    sealing.keys.key = None
    for entry in (ENTRY, OTHER, ENTRY):
        with pytest.raises(KeyUnavailable):
            sealing.batch(entry)
        with pytest.raises(KeyUnavailable):
            sealing.found(entry)


def test_a_key_that_ends_is_used_no_more_and_a_clock_set_back_does_not_bring_it_back() -> None:
    sealing = Sealing()
    now_ms = sealing.clock.wall_ms()
    sealing.keys.key = recipient_key("ends", expires_at_ms=now_ms + 2)
    target, _ = sealing.batch()
    for to_ms in (1, 2, -1):
        sealing.clock.jump_wall_ms(now_ms + to_ms - sealing.clock.wall_ms())
        if to_ms == 1:
            assert sealing.batch()[0] is target
            continue
        with pytest.raises(KeyUnavailable):
            sealing.batch()
        with pytest.raises(KeyUnavailable):
            sealing.found(OTHER)


def test_a_recipient_is_asked_for_its_key_once_a_batch_at_the_time_of_the_batch() -> None:
    sealing = Sealing()
    sealing.batch()
    for batch in range(1, 4):
        sealing.keys.asked_at_ms.clear()
        sealing.clock.advance_ms(1)
        now_ms = sealing.clock.wall_ms()
        sealing.shares.begin(now_ms, NOBODY if batch < 3 else TokenEpochs(), 0)
        sealing.clock.advance_ms(1)
        for entry in (ENTRY, ENTRY, ENTRY):
            sealing.found(entry)
        assert sealing.keys.asked_at_ms == [now_ms]


def test_a_content_key_used_up_in_one_batch_is_no_target_of_the_next() -> None:
    sealing = Sealing()
    _, held = sealing.batch()
    held.messages_left = 0
    assert sealing.batch()[1] is not held


def test_a_content_key_that_is_old_or_used_up_is_no_target_any_more() -> None:
    sealing = Sealing()
    target, held = sealing.batch()
    held.messages_left = 0
    used_up = sealing.found()
    assert used_up[0] is not target
    assert used_up[1].messages_left > 0
    assert sealing.found(OTHER)[1] is used_up[1]
    sealing.clock.advance_ms(CONTENT_KEY_LIFE_MS)
    assert sealing.batch()[1] not in (held, used_up[1])


def test_another_epoch_is_another_target_under_the_same_content_key() -> None:
    sealing = Sealing()
    now_ms = sealing.clock.wall_ms()
    targets = [sealing.batch()]
    change = TokenEpochs({"bank": (EpochChange(2, now_ms + 10, now_ms + 20),)})
    for _ in range(3):
        targets.append(sealing.batch(epochs=change))
        sealing.clock.advance_ms(10)
    assert len({id(held) for _, held in targets}) == 1
    first, planned, both, second = (target for target, _ in targets)
    assert first is planned
    assert len({id(first), id(both), id(second)}) == 3


def test_an_epoch_does_not_come_back_with_a_clock_that_is_set_back() -> None:
    sealing = Sealing()
    now_ms = sealing.clock.wall_ms()
    change = TokenEpochs({"bank": (EpochChange(2, now_ms + 10, now_ms + 10),)})
    first, _ = sealing.batch(epochs=change)
    sealing.clock.advance_ms(10)
    second, _ = sealing.batch(epochs=change)
    assert second is not first
    sealing.clock.jump_wall_ms(-10)
    assert sealing.batch(epochs=change)[0] is second
    assert sealing.batch(epochs=TokenEpochs(change.changes))[0] is second


def test_a_clear_entry_has_no_target_and_its_recipient_is_asked_for_no_key() -> None:
    sealing = Sealing()
    clear = replace(ENTRY, profile=CLEAR_PROFILE)
    for _ in range(2):
        sealing.shares.begin(sealing.clock.wall_ms(), NOBODY, 0)
        assert sealing.shares.target_of(clear) is None
    assert not sealing.keys.asked_at_ms


def test_fresh_content_keys_serve_one_message_each_and_none_of_them_is_kept() -> None:
    sealing = Sealing()
    kept = sealing.batch()[1]
    # As a policy makes it: another entry for the same recipient.
    fresh = replace(ENTRY, fresh_content_key=True)
    found = [sealing.batch(fresh)[1], sealing.found(fresh)[1], sealing.found(fresh)[1]]
    assert len({id(held) for held in (kept, *found)}) == 4
    assert {held.messages_left for held in found} == {1}
    assert sealing.found()[1] is sealing.found(OTHER)[1] is kept


def test_what_nobody_asks_for_is_let_go_of_when_a_content_key_has_had_its_time() -> None:
    sealing = Sealing()
    sealing.batch(OTHER)
    sealing.clock.advance_ms(CONTENT_KEY_LIFE_MS)
    sealing.shares.begin(sealing.clock.wall_ms(), NOBODY, 0)
    assert not sealing.shares._addressed
    assert not sealing.shares._recipients
