"""When the tokens of each epoch are given, for who hands out the keys behind them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.sealing.token_epochs import FIRST_EPOCH, EpochChange, TokenEpochs


@dataclass(frozen=True, slots=True)
class EpochSpan:
    """Tokens of an epoch are given from `from_ms` up to `until_ms`, overlap included. 0: no end is known."""

    epoch: int
    from_ms: int
    until_ms: int


def spans(epochs: TokenEpochs, recipient_id: str) -> tuple[EpochSpan, ...]:
    """Every epoch that the recipient ever had or will have, in order."""
    changes = epochs.changes.get(recipient_id, ())
    begins = [(FIRST_EPOCH, 0), *((one.epoch, one.from_ms) for one in changes)]
    ends = [*(one.both_until_ms for one in changes), 0]
    return tuple(
        EpochSpan(epoch, from_ms, until_ms) for (epoch, from_ms), until_ms in zip(begins, ends, strict=True)
    )


def cut_at(epochs: TokenEpochs, recipient_id: str, at_ms: int) -> TokenEpochs:
    """The same up to `at_ms`, when overlaps end and what is to come has begun: another may follow then."""
    changes = tuple(
        EpochChange(one.epoch, min(one.from_ms, at_ms), min(one.both_until_ms, at_ms))
        for one in epochs.changes.get(recipient_id, ())
    )
    return TokenEpochs({**epochs.changes, **({recipient_id: changes} if changes else {})})


def spans_to_hand_out(spans_of: Sequence[EpochSpan], *, now_ms: int, keep_ms: int) -> tuple[EpochSpan, ...]:
    """In use, to come, and of late: shares with tokens of an ended epoch may still be on the way."""
    return tuple(one for one in spans_of if not one.until_ms or now_ms < one.until_ms + keep_ms)
