"""What was asked in the last minutes: repeats get the same answer, an attempt is shared once.

Memory is constant: a table of 64-bit keys, and a ring of the last answers. What left the ring is read from
the journal, which costs a scan of a segment; callers retry within seconds, so that it hardly happens.
"""

from array import array
from collections import OrderedDict
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from gateway.records.journal import EVALUATIONS, FIRST, JournalReader
from issuernetwork.storage.v1 import journal_pb2

WINDOW_MS = 10 * 60 * 1000
"""How long a repeated request gets the same answer (CONTRACT, idempotency)."""

SLOTS = 1 << 21
"""Two a request: 10 minutes at 1,700 requests/s, in 48 MiB that never grow. Beyond, the oldest go first."""

PROBES = 8
"""Slots looked at for one key. At half load not 1 key in 10,000 pushes out one still in its window."""

RING_BYTES = 16 * 1024 * 1024
"""Answers at hand: 30,000 of 500 bytes, 30 s at 1,000 requests/s. Deadlines and retries end well before."""

RING_ANSWERS = 1 << 16
"""Answers that the ring can find, whatever their size."""

UNRECORDED = 4096
"""Answers kept whole because no record holds them: only while the journal fails. About 4 MiB."""

_KEY_BITS = (1 << 64) - 1
_RING_HEADER = Struct("<q16sII")


class Earlier(NamedTuple):
    """An earlier request: the digest of its body, and the answer that it got."""

    digest: bytes
    answer: bytes


class Positions:
    """64-bit keys to journal positions and times, in constant memory. Keys are hashes with a secret seed."""

    __slots__ = ("_keys", "_mask", "_positions", "_seconds")

    def __init__(self, slots: int = SLOTS) -> None:
        assert slots & (slots - 1) == 0, "a power of two, so that a mask finds the slot"
        self._mask = slots - 1
        self._keys = array("Q", bytes(8 * slots))
        self._positions = array("q", bytes(8 * slots))
        self._seconds = array("q", bytes(8 * slots))

    def get(self, key: int, *, since_ms: int) -> int | None:
        """The position put under `key` no earlier than `since_ms`, if it has not been pushed out."""
        keys, mask = self._keys, self._mask
        found = keys[key & mask]
        if found == 0:
            return None  # nearly always so: hardly anything is asked twice
        for probe in range(PROBES):
            slot = (key + probe) & mask
            found = keys[slot]
            if found == key:
                return self._positions[slot] if self._seconds[slot] >= since_ms else None
            if found == 0:
                return None
        return None

    def put(self, key: int, position: int, at_ms: int) -> None:
        """Remembers `position` under `key`, in place of the oldest neighbour where all slots are taken."""
        keys, seconds, mask = self._keys, self._seconds, self._mask
        chosen = key & mask
        if keys[chosen] not in (0, key):
            chosen = self._neighbour(key)
        keys[chosen] = key
        self._positions[chosen] = position
        seconds[chosen] = at_ms

    def _neighbour(self, key: int) -> int:
        keys, seconds, mask = self._keys, self._seconds, self._mask
        chosen = key & mask
        for probe in range(PROBES):
            slot = (key + probe) & mask
            if keys[slot] in (0, key):
                return slot
            if seconds[slot] < seconds[chosen]:
                chosen = slot
        return chosen


class Ring:
    """The last answers by journal position, in one block of bytes. What is overwritten is seen by its CRC."""

    __slots__ = ("_block", "_end", "_starts")

    def __init__(self, size: int = RING_BYTES) -> None:
        self._block = bytearray(size)
        self._starts = array("q", bytes(8 * RING_ANSWERS))
        self._end = 0

    def put(self, position: int, digest: bytes, answer: bytes) -> None:
        block = self._block
        start = self._end
        begin = start + _RING_HEADER.size
        end = begin + len(answer)
        if end > len(block):
            if end - start > len(block):
                return
            start, begin, end = 0, _RING_HEADER.size, end - start
        _RING_HEADER.pack_into(block, start, position, digest, len(answer), crc32(answer))
        block[begin:end] = answer
        self._starts[position % RING_ANSWERS] = start
        self._end = end

    def get(self, position: int) -> Earlier | None:
        start = self._starts[position % RING_ANSWERS]
        if start + _RING_HEADER.size > len(self._block):
            return None
        found, digest, size, crc = _RING_HEADER.unpack_from(self._block, start)
        begin = start + _RING_HEADER.size
        if found != position:
            return None
        answer = bytes(self._block[begin : begin + size])
        return Earlier(digest, answer) if len(answer) == size and crc32(answer) == crc else None


def request_key(sender_id: str, request_id: str) -> int:
    """Key of a request; this process's own, since hashes of strings are seeded."""
    return hash((sender_id, request_id)) & _KEY_BITS or 1


def attempt_key(sender_id: str, payment_intent_id: str, attempt_no: int) -> int:
    """Key of an attempt at a payment."""
    return hash((sender_id, payment_intent_id, attempt_no)) & _KEY_BITS or 1


class Remembered:
    """Requests and attempts of the last ten minutes. One thread: the hot loop's."""

    def __init__(self, reader: JournalReader, *, slots: int = SLOTS, ring_bytes: int = RING_BYTES) -> None:
        self._reader = reader
        self._positions = Positions(slots)
        self._ring = Ring(ring_bytes)
        self._unrecorded: OrderedDict[tuple[str, str], tuple[int, Earlier]] = OrderedDict()

    def request(self, sender_id: str, request_id: str, key: int, *, now_ms: int) -> Earlier | None:
        """The earlier request of the same id, if it was answered within the window. `key`: `request_key`."""
        if self._unrecorded:
            kept = self._unrecorded.get((sender_id, request_id))
            if kept is not None and now_ms - kept[0] <= WINDOW_MS:
                return kept[1]
        position = self._positions.get(key, since_ms=now_ms - WINDOW_MS)
        if position is None:
            return None
        return self._ring.get(position) or self._read(position, sender_id, request_id)

    def attempt(self, key: int, *, now_ms: int) -> bool:
        """Whether this attempt was evaluated within the window, under whatever request id."""
        return self._positions.get(key, since_ms=now_ms - WINDOW_MS) is not None

    def recorded(
        self, request_key: int, attempt_key: int, position: int, at_ms: int, digest: bytes, answer: bytes
    ) -> None:
        """Keeps where the record of a request stands, and its answer for a while."""
        self._positions.put(request_key, position, at_ms)
        self._positions.put(attempt_key, position, at_ms)
        self._ring.put(position, digest, answer)

    def unrecorded(self, sender_id: str, request_id: str, earlier: Earlier, *, now_ms: int) -> None:
        """Keeps an answer that no record is known to hold."""
        self._unrecorded[(sender_id, request_id)] = (now_ms, earlier)
        while len(self._unrecorded) > UNRECORDED:
            self._unrecorded.popitem(last=False)

    def replay(self, record: journal_pb2.Evaluation, position: int) -> None:
        """Takes in a record of the journal's tail after a restart, in order."""
        self.recorded(
            request_key(record.sender_id, record.request_id),
            attempt_key(record.sender_id, record.payment_intent_id, record.attempt_no),
            position,
            record.decided_at_ms,
            record.request_digest,
            record.answer,
        )

    def _read(self, position: int, sender_id: str, request_id: str) -> Earlier | None:
        entries = self._reader.read(EVALUATIONS, position - 1, 1)
        if not entries or entries[0].position != position:
            return None
        record = journal_pb2.Evaluation.FromString(entries[0].payload)
        if (record.sender_id, record.request_id) != (sender_id, request_id):
            return None
        return Earlier(record.request_digest, record.answer)


def tail_start(reader: JournalReader, *, since_ms: int) -> int:
    """A position behind which every evaluation decided since `since_ms` lies: found in steps of ten."""
    end = reader.end(EVALUATIONS)
    step = 1_000
    while step <= SLOTS:
        after = end - step
        if after <= FIRST:
            return FIRST
        entries = reader.read(EVALUATIONS, after, 1)
        if entries and journal_pb2.Evaluation.FromString(entries[0].payload).decided_at_ms < since_ms:
            return after
        step *= 10
    return max(FIRST, end - SLOTS // 2)
