"""Which epoch of its card tokens each recipient is in. Told by time, so that all processes change over alike.

Everybody is in epoch 1 from the beginning. From `from_ms` of another one on its tokens are given, and until
`both_until_ms` those of the epoch before as well, so that a recipient can match what it has kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from gateway.sealing.keys import KeyRefused

FIRST_EPOCH: Final = 1

ALWAYS_MS: Final = 1 << 62
"""`valid_until_ms` of what no change is planned for."""

EPOCHS_MAX: Final = 128
"""Of one recipient: a change a month for ten years. A look for one card tries all of them. A key that is in
others' hands is changed beyond that too, since each such change is a person's.
"""

RESTORE_STEP_MS: Final = 10_000
"""Nobody changes epochs more often for long: `--lost` is so far ahead. A number fits an int32 until 2650."""


class TokenEpoch(NamedTuple):
    """Holds from when it was asked for until wall time `valid_until_ms`. `previous` 0: only one is given."""

    epoch: int
    previous: int
    valid_until_ms: int


@dataclass(frozen=True, slots=True)
class EpochChange:
    """A recipient changes to `epoch` at `from_ms`, and gets both until `both_until_ms`."""

    epoch: int
    from_ms: int
    both_until_ms: int


@dataclass(frozen=True, slots=True)
class TokenEpochs:
    """The changes of each recipient, in order. Those who never changed are not in it."""

    changes: Mapping[str, tuple[EpochChange, ...]] = field(default_factory=dict)

    def of(self, recipient_id: str, now_ms: int) -> TokenEpoch:
        """The recipient's epoch at wall time `now_ms`."""
        changes = self.changes.get(recipient_id)
        if not changes:
            return _NEVER_CHANGED
        before, until_ms = FIRST_EPOCH, ALWAYS_MS
        held: EpochChange | None = None
        for one in changes:
            if now_ms < one.from_ms:
                until_ms = one.from_ms
                break
            before = FIRST_EPOCH if held is None else held.epoch
            held = one
        if held is None:
            return TokenEpoch(FIRST_EPOCH, 0, until_ms)
        if now_ms < held.both_until_ms:
            return TokenEpoch(held.epoch, before, min(until_ms, held.both_until_ms))
        return TokenEpoch(held.epoch, 0, until_ms)

    def begun(self, recipient_id: str, now_ms: int) -> tuple[int, ...]:
        """Every epoch that tokens were made in by now, the newest first: a kept token may be of any."""
        changes = self.changes.get(recipient_id, ())
        return (*(one.epoch for one in reversed(changes) if one.from_ms <= now_ms), FIRST_EPOCH)

    def changed(
        self, recipient_id: str, *, now_ms: int, from_ms: int, both_until_ms: int, first_free: int = 0,
        lost: bool = False,
    ) -> "TokenEpochs":  # fmt: skip
        """With one change more, to `first_free` or later. Raises KeyRefused: one is under way already."""
        before = self.changes.get(recipient_id, ())
        if before and now_ms < before[-1].both_until_ms:
            raise KeyRefused(
                "token epoch: the recipient is changing to one already; wait until both have ended"
            )
        if from_ms < now_ms or both_until_ms < from_ms:
            raise KeyRefused("token epoch: it begins now or later, and both end after that")
        if not lost and len(before) >= EPOCHS_MAX - 1:
            raise KeyRefused(f"token epoch: a recipient has at most {EPOCHS_MAX}, unless a key is lost")
        last = before[-1].epoch if before else FIRST_EPOCH
        change = EpochChange(max(last + 1, first_free), from_ms, both_until_ms)
        return TokenEpochs({**self.changes, recipient_id: (*before, change)})

    def as_json(self) -> dict[str, list[dict[str, int]]]:
        return {
            recipient_id: [
                {"epoch": one.epoch, "from_ms": one.from_ms, "both_until_ms": one.both_until_ms}
                for one in changes
            ]
            for recipient_id, changes in self.changes.items()
        }


_NEVER_CHANGED: Final = TokenEpoch(FIRST_EPOCH, 0, ALWAYS_MS)


def first_free_epoch(restored_at_ms: int) -> int:
    """The least number of another epoch behind a restore at that time; 0 where there was none.

    A key follows from its number alone. Numbers that were given since the backup would bring their keys back,
    and one of those may be in others' hands.
    """
    return restored_at_ms // RESTORE_STEP_MS


def parse_epochs(document: Mapping[str, list[dict[str, int]]]) -> TokenEpochs:
    """Of `TokenEpochs.as_json`. Raises ValueError, KeyError, TypeError, AttributeError for anything else."""
    found: dict[str, tuple[EpochChange, ...]] = {}
    for recipient_id, rows in document.items():
        changes = tuple(
            EpochChange(int(row["epoch"]), int(row["from_ms"]), int(row["both_until_ms"])) for row in rows
        )
        first = EpochChange(FIRST_EPOCH, -ALWAYS_MS, -ALWAYS_MS)
        for before, after in pairwise((first, *changes)):
            in_order = before.both_until_ms <= after.from_ms <= after.both_until_ms
            if after.epoch <= before.epoch or not in_order:
                raise ValueError("the epochs of a recipient do not follow one another")
        if changes:
            found[recipient_id] = changes
    return TokenEpochs(found)
