"""What was asked in the last minutes: repeats get the same answer, an attempt is shared once."""

from array import array
from collections import OrderedDict
from dataclasses import dataclass

from gateway.records.journal import EVALUATIONS, JournalReader
from issuernetwork.storage.v1 import journal_pb2

WINDOW_MS = 10 * 60 * 1000
"""How long a repeated request gets the same answer (CONTRACT, idempotency)."""

SLOTS = 1 << 21
"""Two a request: 10 minutes at 1,700 requests/s, in 32 MiB that never grow. Beyond, the oldest go first."""

PROBES = 8
"""Slots looked at for one key. At half load not 1 key in 10,000 pushes out one still in its window."""

UNRECORDED = 4096
"""Answers kept whole because no record holds them: only while the journal fails. About 4 MiB."""

_KEY_BITS = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier request: the digest of its body, and the answer that it got."""

    digest: bytes
    answer: bytes


class Positions:
    """64-bit keys to journal positions in constant memory. A hit is a hint: the record decides."""

    __slots__ = ("_keys", "_mask", "_positions")

    def __init__(self, slots: int = SLOTS) -> None:
        assert slots & (slots - 1) == 0, "a power of two, so that a mask finds the slot"
        self._mask = slots - 1
        self._keys = array("Q", bytes(8 * slots))
        self._positions = array("Q", bytes(8 * slots))

    def get(self, key: int) -> int | None:
        """The position put under `key`, if it has not been pushed out."""
        keys, mask = self._keys, self._mask
        key = key & _KEY_BITS or 1
        for probe in range(PROBES):
            slot = (key + probe) & mask
            found = keys[slot]
            if found == key:
                return self._positions[slot]
            if found == 0:
                return None
        return None

    def put(self, key: int, position: int) -> None:
        """Remembers `position` under `key`, in place of the oldest neighbour where all slots are taken."""
        keys, positions, mask = self._keys, self._positions, self._mask
        key = key & _KEY_BITS or 1
        oldest = key & mask
        for probe in range(PROBES):
            slot = (key + probe) & mask
            found = keys[slot]
            if found in (0, key):
                oldest = slot
                break
            if positions[slot] < positions[oldest]:
                oldest = slot
        keys[oldest] = key
        positions[oldest] = position


class Remembered:
    """Requests and attempts of the last ten minutes, found again in the journal. One thread."""

    def __init__(self, reader: JournalReader, *, slots: int = SLOTS) -> None:
        self._reader = reader
        self._positions = Positions(slots)
        self._unrecorded: OrderedDict[tuple[str, str], tuple[int, Earlier]] = OrderedDict()

    def request(self, sender_id: str, request_id: str, *, now_ms: int) -> Earlier | None:
        """The earlier request of the same id, if it was answered within the window."""
        if self._unrecorded:
            kept = self._unrecorded.get((sender_id, request_id))
            if kept is not None and now_ms - kept[0] <= WINDOW_MS:
                return kept[1]
        position = self._positions.get(hash((sender_id, request_id)))
        if position is None:
            return None
        record = self._record(position)
        if (
            record is None
            or record.request_id != request_id
            or record.sender_id != sender_id
            or now_ms - record.decided_at_ms > WINDOW_MS
        ):
            return None
        return Earlier(record.request_digest, record.answer)

    def attempt(self, sender_id: str, payment_intent_id: str, attempt_no: int, *, now_ms: int) -> bool:
        """Whether this attempt was evaluated within the window, under whatever request id."""
        position = self._positions.get(hash((sender_id, payment_intent_id, attempt_no)))
        if position is None:
            return False
        record = self._record(position)
        return (
            record is not None
            and record.payment_intent_id == payment_intent_id
            and record.attempt_no == attempt_no
            and record.sender_id == sender_id
            and now_ms - record.decided_at_ms <= WINDOW_MS
        )

    def recorded(
        self, sender_id: str, request_id: str, payment_intent_id: str, attempt_no: int, position: int
    ) -> None:
        """Keeps where the record of a request stands."""
        self._positions.put(hash((sender_id, request_id)), position)
        self._positions.put(hash((sender_id, payment_intent_id, attempt_no)), position)

    def unrecorded(self, sender_id: str, request_id: str, earlier: Earlier, *, now_ms: int) -> None:
        """Keeps an answer that no record is known to hold."""
        self._unrecorded[(sender_id, request_id)] = (now_ms, earlier)
        while len(self._unrecorded) > UNRECORDED:
            self._unrecorded.popitem(last=False)

    def replay(self, record: journal_pb2.Evaluation, position: int) -> None:
        """Takes in a record of the journal's tail after a restart, in order."""
        self.recorded(
            record.sender_id, record.request_id, record.payment_intent_id, record.attempt_no, position
        )

    def _record(self, position: int) -> journal_pb2.Evaluation | None:
        entries = self._reader.read(EVALUATIONS, position - 1, 1)
        if not entries or entries[0].position != position:
            return None  # retention has taken it: it is older than the window
        return journal_pb2.Evaluation.FromString(entries[0].payload)
