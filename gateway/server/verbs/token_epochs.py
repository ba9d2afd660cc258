"""Another epoch of card tokens, as commands schedule it: recorded first, then put into the key file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.backends.embedded.keyfiles import KeyFiles
from gateway.backends.embedded.token_keys import SqliteTokenKeys
from gateway.runtime.clock import Clock
from gateway.sealing.keys import KeyRefused
from gateway.sealing.token_epochs import EpochChange, TokenEpochs
from gateway.sealing.token_spans import EpochSpan, cut_at, spans, spans_to_hand_out

AHEAD_MS_MIN: Final = 5_000
"""Processes look at the key file once a second, and a recipient has to fetch the key."""

SCHEDULE_MS_MAX: Final = 400 * 24 * 3_600_000
"""Of either time: as long as rows to match by are kept. What is longer is a mistake in a unit."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What was scheduled, by recipient, and who was left out: changing to another epoch already."""

    changes: dict[str, EpochChange]
    changing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EpochTold:
    """Where a recipient stands with one of its epochs. `until_ms` 0: no end is known."""

    recipient_id: str
    span: EpochSpan
    now: bool
    """Whether shares carry its tokens."""
    fetched: bool
    """Whether its key was ever handed out."""


@dataclass(frozen=True, slots=True)
class TokenEpochDesk:
    """Calls block, with every process up or down."""

    files: KeyFiles
    events: SqliteTokenKeys
    clock: Clock
    first_free: int = 0
    """See `token_epochs.first_free_epoch`."""

    def told(self, recipient_ids: Sequence[str]) -> list[EpochTold]:
        """Epochs that are in use or to come, by recipient."""
        epochs, now_ms = self.files.load().token_epochs, self.clock.wall_ms()
        fetched = self.events.handed_out()
        return [
            EpochTold(recipient_id, one, one.from_ms <= now_ms, (recipient_id, one.epoch) in fetched)
            for recipient_id in recipient_ids
            for one in spans_to_hand_out(spans(epochs, recipient_id), now_ms=now_ms, keep_ms=0)
        ]

    def schedule(
        self, recipient_ids: Sequence[str], *, ahead_ms: int, overlap_ms: int, by: str, reason: str,
        skip_changing: bool = False, lost: bool = False,
    ) -> Scheduled:  # fmt: skip
        """The next epoch of each, all or none. Raises KeyRefused, also where one is changing already.

        `lost`: the key is in others' hands. No overlap then, and what is under way ends when it begins.
        """
        if not AHEAD_MS_MIN <= ahead_ms <= SCHEDULE_MS_MAX:
            raise KeyRefused("ahead: 5s to 400d, so that processes and recipient have the key in time")
        if not 0 <= overlap_ms <= SCHEDULE_MS_MAX or (lost and overlap_ms):
            raise KeyRefused("overlap: 0s to 400d, and none where the key is lost")
        made: dict[str, EpochChange] = {}
        changing: list[str] = []

        def change(epochs: TokenEpochs) -> TokenEpochs:
            now_ms: int = self.clock.wall_ms()
            from_ms = now_ms + ahead_ms
            for recipient_id in recipient_ids:
                before = epochs.changes.get(recipient_id, ())
                if lost:
                    epochs, now_ms = cut_at(epochs, recipient_id, from_ms), from_ms
                elif skip_changing and before and now_ms < before[-1].both_until_ms:
                    changing.append(recipient_id)
                    continue
                epochs = epochs.changed(
                    recipient_id, now_ms=now_ms, from_ms=from_ms, both_until_ms=from_ms + overlap_ms,
                    first_free=self.first_free, lost=lost,
                )  # fmt: skip
                made[recipient_id] = epochs.changes[recipient_id][-1]
            for recipient_id, one in made.items():
                self.events.schedule(recipient_id, one, by=by, reason=reason)
            return epochs

        self.files.change_epochs(change)
        return Scheduled(made, tuple(changing))
