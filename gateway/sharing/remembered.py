"""What was asked in the last minutes: repeats get the same answer, an attempt is shared once.

Memory is constant: a table of 64-bit keys, and a ring of the last answers, both in Rust where the engines are
built. What left the ring is read from the journal, which costs a scan of a segment; callers retry within
seconds, so that it hardly happens.
"""

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from struct import Struct
from typing import Any, NamedTuple, Protocol
from zlib import crc32

from gateway.records.journal import EVALUATIONS, FIRST, JournalReader
from gateway.runtime.native import engines
from issuernetwork.storage.v1 import journal_pb2

WINDOW_MS = 10 * 60 * 1000
"""How long a repeated request gets the same answer."""

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
_NOWHERE = -1


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
        self._starts = array("q", [_NOWHERE]) * RING_ANSWERS
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
        if start == _NOWHERE or start + _RING_HEADER.size > len(self._block):
            return None
        found, digest, size, crc = _RING_HEADER.unpack_from(self._block, start)
        begin = start + _RING_HEADER.size
        if found != position:
            return None
        answer = bytes(self._block[begin : begin + size])
        return Earlier(digest, answer) if len(answer) == size and crc32(answer) == crc else None


Recorded = tuple[int, int, int, bytes, bytes]
"""Request key, attempt key, journal position, digest of the body, answer."""


class Recent(Protocol):
    """Where the requests and attempts of the last minutes stand, and the last answers."""

    def look(
        self, sender_id: str, payment_intent_id: str, attempt_no: int, request_id: str, since_ms: int
    ) -> tuple[int, int, int | None, bool]:
        """Key of the request and of the attempt, where the request stands, whether the attempt was seen."""
        ...

    def position(self, key: int, since_ms: int) -> int | None:
        """What was recorded under `key` no earlier than `since_ms`."""
        ...

    def recorded_all(self, at_ms: int, works: list[Recorded]) -> None:
        """Keeps where the records stand, and their answers for a while."""
        ...

    def recorded_works(self, at_ms: int, works: list[Any], positions: Sequence[int]) -> None:
        """The same of a batch's works, each recorded at one of `positions`."""
        ...

    def answer(self, position: int) -> tuple[bytes, bytes] | None:
        """Digest and answer recorded at `position`, while the ring has them."""
        ...


class TwinRecent:
    """`Recent` in Python. Its keys are this process's own, since hashes of strings are seeded."""

    __slots__ = ("_positions", "_ring")

    def __init__(self, slots: int, ring_bytes: int) -> None:
        self._positions = Positions(slots)
        self._ring = Ring(ring_bytes)

    def look(
        self, sender_id: str, payment_intent_id: str, attempt_no: int, request_id: str, since_ms: int
    ) -> tuple[int, int, int | None, bool]:
        get = self._positions.get
        request = hash((sender_id, request_id)) & _KEY_BITS or 1
        attempt = hash((sender_id, payment_intent_id, attempt_no)) & _KEY_BITS or 1
        seen = get(attempt, since_ms=since_ms) is not None
        return request, attempt, get(request, since_ms=since_ms), seen

    def position(self, key: int, since_ms: int) -> int | None:
        return self._positions.get(key, since_ms=since_ms)

    def recorded_all(self, at_ms: int, works: list[Recorded]) -> None:
        for request, attempt, position, digest, answer in works:
            self._positions.put(request, position, at_ms)
            self._positions.put(attempt, position, at_ms)
            self._ring.put(position, digest, answer)

    def recorded_works(self, at_ms: int, works: list[Any], positions: Sequence[int]) -> None:
        pairs = zip(works, positions, strict=True)
        self.recorded_all(
            at_ms, [(one.request_key, one.attempt_key, at, one.digest, one.answer) for one, at in pairs]
        )

    def answer(self, position: int) -> tuple[bytes, bytes] | None:
        return self._ring.get(position)


class Remembered:
    """Requests and attempts of the last ten minutes. One thread: the hot loop's."""

    def __init__(
        self,
        reader: JournalReader,
        *,
        slots: int = SLOTS,
        ring_bytes: int = RING_BYTES,
        native: Any = engines,
    ) -> None:
        self._reader = reader
        self._recent: Recent = (TwinRecent if native is None else native.Recent)(slots, ring_bytes)
        self._is_engine = native is not None
        self._unrecorded: OrderedDict[tuple[str, str], tuple[int, Earlier]] = OrderedDict()

    def of_engine(self, now_ms: int) -> Any:
        """What the engine looks into in place of `look`; None where it cannot, since an answer of the window
        is in no record."""
        unrecorded = self._unrecorded
        while unrecorded and next(iter(unrecorded.values()))[0] < now_ms - WINDOW_MS:
            unrecorded.popitem(last=False)
        return self._recent if self._is_engine and not unrecorded else None

    def look(
        self, sender_id: str, payment_intent_id: str, attempt_no: int, request_id: str, now_ms: int
    ) -> tuple[int, int, Earlier | None, bool]:
        """Keys of a request and its attempt, and what is known of them from within the window.

        That is: the earlier request of the same id, and whether this attempt was evaluated under any id.
        """
        since_ms = now_ms - WINDOW_MS
        found: Any = self._recent.look(sender_id, payment_intent_id, attempt_no, request_id, since_ms)
        if found[2] is None and not self._unrecorded:
            return found  # type: ignore[no-any-return]  # nearly always so, and no position is no answer
        request_key, attempt_key, position, seen = found
        return request_key, attempt_key, self._earlier(sender_id, request_id, position, since_ms), seen

    def recorded_all(self, at_ms: int, works: list[Any], positions: Sequence[int]) -> None:
        """Keeps where the records of a batch stand, of each work one, and their answers for a while."""
        self._recent.recorded_works(at_ms, works, positions)

    def unrecorded(self, sender_id: str, request_id: str, earlier: Earlier, *, now_ms: int) -> None:
        """Keeps an answer that no record is known to hold."""
        self._unrecorded[(sender_id, request_id)] = (now_ms, earlier)
        while len(self._unrecorded) > UNRECORDED:
            self._unrecorded.popitem(last=False)

    def replay(self, record: journal_pb2.Evaluation, position: int) -> None:
        """Takes in a record of the journal's tail after a restart, in order."""
        request_key, attempt_key, _, _ = self._recent.look(
            record.sender_id, record.payment_intent_id, record.attempt_no, record.request_id, 0
        )
        work = (request_key, attempt_key, position, record.request_digest, record.answer)
        self._recent.recorded_all(record.decided_at_ms, [work])

    def _earlier(
        self, sender_id: str, request_id: str, position: int | None, since_ms: int
    ) -> Earlier | None:
        kept = self._unrecorded.get((sender_id, request_id))
        if kept is not None and kept[0] >= since_ms:
            return kept[1]
        if position is None:
            return None
        found = self._recent.answer(position)
        return self._read(position, sender_id, request_id) if found is None else Earlier(*found)

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
