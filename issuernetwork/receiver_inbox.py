"""Order and repeats: what to hand out next, what to acknowledge, what is missing. No I/O."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from issuernetwork._jose import RefusedToken
from issuernetwork.receiver_open import Erasure, Item, Share, Withdrawn

# Later items kept while an earlier one is missing. A transmitter sends at most 1,000 at once.
HELD_MAX: Final = 10_000
# Ids remembered, to know a share that comes by another transport again: look-up finds one for 30 minutes.
REMEMBERED_MAX: Final = 32_768
STATE_VERSION: Final = 1


class Offered(Enum):
    """What became of an item that was offered."""

    TAKEN = "taken"
    """It waits to be handed out, now or when what is missing before it has come."""
    DUPLICATE = "duplicate"
    """It was handled before, or waits already."""
    FULL = "full"
    """Too many wait: not taken, not acknowledged; it will be sent again."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequence numbers that are missing before the first one held."""

    first: int
    last: int
    held: int


class Inbox:
    """Hands one stream's items out in the order of `stream_seq`, each once, and says what to acknowledge.

    Call `offer` for what arrived; then `take` and, after the handler returned, `handled`, until `take` gives
    None. `acks` lists the `jti`s that may be acknowledged now. `next_seq=None` starts at the lowest number
    that comes first, for a receiver that lost its state. `on_duplicate` sees what is acknowledged without
    being handed out.
    """

    def __init__(
        self,
        *,
        next_seq: int | None = 1,
        held_max: int = HELD_MAX,
        remembered_max: int = REMEMBERED_MAX,
        on_duplicate: Callable[[Item], None] | None = None,
    ) -> None:
        self._next_seq = next_seq
        self._held_max = held_max
        self._remembered_max = remembered_max
        self._on_duplicate = on_duplicate
        self._held: dict[int, Item] = {}
        # Withdrawals and orders to erase: news, although their numbers are behind us.
        self._late: dict[int, Withdrawn | Erasure] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._acks: dict[str, None] = {}

    @property
    def next_seq(self) -> int | None:
        """The number that is handed out next."""
        return self._next_seq

    def offer(self, item: Item) -> Offered:
        """Takes an item of the stream in. Raises RefusedToken where it contradicts another one.

        A withdrawal takes the place of its share where that waits, and is handed out where that was handled.
        """
        seq = item.stream_seq
        if seq is None:
            raise RefusedToken("claims")
        if self._next_seq is not None and seq < self._next_seq:
            return self._offer_late(item, seq)
        held = self._held.get(seq)
        if held is not None:
            return self._offer_again(item, seq, held)
        # One id, two shares: taking it for a repeat would lose the second.
        if "jti:" + item.jti in self._seen and not self.known(item):
            raise RefusedToken("sequence_conflict")
        if len(self._held) >= self._held_max and seq != self._next_seq:
            return Offered.FULL
        self._held[seq] = item
        return Offered.TAKEN

    def _offer_late(self, item: Item, seq: int) -> Offered:
        if isinstance(item, Share) or self.known(item):
            self._acks[item.jti] = None
            self._duplicate(item)
            return Offered.DUPLICATE
        if seq in self._late:
            return Offered.DUPLICATE
        if len(self._late) >= self._held_max:
            return Offered.FULL
        self._late[seq] = item
        return Offered.TAKEN

    def _offer_again(self, item: Item, seq: int, held: Item) -> Offered:
        if held.jti == item.jti:
            return Offered.DUPLICATE
        if isinstance(held, Erasure) or isinstance(item, Erasure):
            raise RefusedToken("sequence_conflict")
        if held.share_id != item.share_id or type(held) is type(item):
            raise RefusedToken("sequence_conflict")
        # The data is not to be used any more, whichever of the two came first.
        if isinstance(held, Withdrawn):
            return Offered.DUPLICATE
        self._held[seq] = item
        return Offered.TAKEN

    def take(self) -> Item | None:
        """The next item to handle, the same one until `handled`; None where none is in order.

        Withdrawals of what was handled go before the rest.
        """
        for late in self._late.values():
            return late
        if self._next_seq is None:
            if not self._held:
                return None
            self._next_seq = min(self._held)
        while (item := self._held.get(self._next_seq)) is not None or self._skip_void():
            if item is None:
                continue
            if not self.known(item):
                return item
            # It came by another way before: its number is filled without handing it out again.
            self._pass(item)
            self._duplicate(item)
        return None

    def _skip_void(self) -> bool:
        """Goes on to the next item held, where the transmitter says that the numbers before it are empty."""
        turn = self._next_seq
        assert turn is not None
        for seq, item in self._held.items():
            first = item.void_from_seq if isinstance(item, Withdrawn) else None
            if first is not None and first <= turn < seq:
                # What came before the restore and lies in between is handed out too.
                self._next_seq = min(held for held in self._held if held > turn)
                return True
        return False

    def handled(self, item: Item) -> None:
        """The handler returned: `item` may be acknowledged and is never handed out again."""
        if item.stream_seq is not None and self._late.get(item.stream_seq) is item:
            del self._late[item.stream_seq]
            self._acks[item.jti] = None
        elif self._next_seq is None or not self._gave(item, self._held.get(self._next_seq)):
            raise ValueError("handled() takes the item that take() gave")
        elif self._held[self._next_seq] is item:
            self._pass(item)
        self._remember(item)

    @staticmethod
    def _gave(item: Item, held: Item | None) -> bool:
        """Whether it is the one in turn, or was until its withdrawal came, which is handed out next."""
        if isinstance(item, Share) and isinstance(held, Withdrawn):
            return held.share_id == item.share_id
        return held is item

    def known(self, item: Item) -> bool:
        """Whether this share, or this withdrawal, was handled before, by whichever transport."""
        return _name(item) in self._seen

    def note(self, item: Item) -> bool:
        """Marks an item that came outside of the stream (look-up) as handled. True at first sight."""
        first = not self.known(item)
        self._remember(item)
        return first

    def _remember(self, item: Item) -> None:
        for name in (_name(item), "jti:" + item.jti):
            self._seen[name] = None
        while len(self._seen) > self._remembered_max:
            self._seen.popitem(last=False)

    def _pass(self, item: Item) -> None:
        assert self._next_seq is not None
        del self._held[self._next_seq]
        self._next_seq += 1
        self._acks[item.jti] = None

    def _duplicate(self, item: Item) -> None:
        if self._on_duplicate is not None:
            self._on_duplicate(item)

    def acks(self) -> list[str]:
        """The `jti`s to acknowledge. They stay until `acked`."""
        return list(self._acks)

    def acked(self, jtis: list[str]) -> None:
        """The transmitter took these acknowledgements."""
        for jti in jtis:
            self._acks.pop(jti, None)

    def gap(self) -> Gap | None:
        """What is missing before the held items; None where nothing is."""
        if not self._held or self._next_seq is None or self._next_seq in self._held:
            return None
        return Gap(first=self._next_seq, last=min(self._held) - 1, held=len(self._held))

    def unsafe_skip_gap(self) -> Gap | None:
        """Gives missing numbers up and returns them. Unsafe: what they held is lost to this receiver."""
        gap = self.gap()
        if gap is not None:
            self._next_seq = gap.last + 1
        return gap

    def state(self) -> dict[str, Any]:
        """JSON-able; holds ids alone. Save it after `handled` and before the acknowledgement is sent.

        What waits is not in it: it was not acknowledged, so it is sent again.
        """
        return {"version": STATE_VERSION, "next_seq": self._next_seq, "seen": list(self._seen)}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from `state()`. Raises ValueError for a state of another version or shape."""
        next_seq, seen = state.get("next_seq"), state.get("seen")
        if (
            state.get("version") != STATE_VERSION
            or not (next_seq is None or (type(next_seq) is int and next_seq >= 1))
            or not (isinstance(seen, list) and all(isinstance(name, str) for name in seen))
        ):
            raise ValueError("not a state of this inbox")
        self._next_seq = next_seq
        self._seen = OrderedDict.fromkeys(seen)
        self._held.clear()
        self._late.clear()
        self._acks.clear()


def _name(item: Item) -> str:
    # A case with many shares has several orders.
    if isinstance(item, Erasure):
        return "erasure:" + item.jti
    # A tombstone is news although the share itself was seen.
    return ("share:" if isinstance(item, Share) else "withdrawn:") + item.share_id
