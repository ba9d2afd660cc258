"""Bytes of a journal: segment header, frames, commit file. Pure: bytes in, values out.

A segment is a header and then frames. A frame is one record:

    marker 4 | crc 4 | length 4 | left 4 | attempt 4 | position 8 | durable_before 8 | payload

Little-endian. `crc` is CRC-32 over all that follows it, seeded with the CRC of the segment's header, so that
a frame of another segment (or one smuggled in as a payload) is no frame of this one. `left` counts the frames
of the same batch that follow and `attempt` numbers the writes into this segment: a batch is whole or it is
nothing, and the remains of a failed write never join with those of the next. `durable_before` is the position
that was durable when the frame was written: what tells an acknowledged record from a torn tail.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

from gateway.records.journal import Entry, JournalCorrupt
from gateway.runtime.native import engines

SEGMENT_MAGIC = b"EINJRNL1"
COMMIT_MAGIC = b"EINC"
FRAME_MARKER = b"\xe1NF\xd7"
SEGMENT_SUFFIX = ".journal"
COMMIT_NAME = "commit"

MAX_RECORD_BYTES = 8 * 1024 * 1024
"""A record above this is refused; one batch of Enrich is far below. A length above it is garbage."""

_SEGMENT = struct.Struct("<8sqq")
_COMMIT = struct.Struct("<4sqq")
_CRC = struct.Struct("<I")
_LEAD = struct.Struct("<4sI")
_BODY = struct.Struct("<IIIqq")
_FRAME = struct.Struct("<4sIIIIqq")

SEGMENT_HEADER_BYTES = _SEGMENT.size + _CRC.size
FRAME_HEADER_BYTES = _FRAME.size
COMMIT_BYTES = _COMMIT.size + _CRC.size


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """First position of a segment, when it was opened, and the seed of its frames' CRCs."""

    base: int
    opened_at_ms: int
    seed: int


@dataclass(frozen=True, slots=True)
class Commit:
    """What readers may read: the last durable position, and the segment that is being written."""

    durable: int
    active_base: int


@dataclass(frozen=True, slots=True)
class Tail:
    """What recovery finds in the last segment.

    `records` are those of whole batches up to the first bad byte; the last of them has position
    `base + len(records) - 1`. `durable` is the highest position that some valid frame knows to be durable.
    """

    records: list[bytes]
    durable: int


def segment_name(base: int) -> str:
    return f"{base:020d}{SEGMENT_SUFFIX}"


def segment_base(name: str) -> int | None:
    """First position of the segment called `name`; None for any other file."""
    stem = name.removesuffix(SEGMENT_SUFFIX)
    return int(stem) if stem != name and len(stem) == 20 and stem.isdigit() else None


def pack_segment_header(base: int, opened_at_ms: int) -> tuple[bytes, int]:
    """Header bytes, and the seed of this segment's frames."""
    body = _SEGMENT.pack(SEGMENT_MAGIC, base, opened_at_ms)
    seed = crc32(body)
    return body + _CRC.pack(seed), seed


def unpack_segment_header(data: bytes) -> SegmentHeader:
    if len(data) >= SEGMENT_HEADER_BYTES:
        magic, base, opened_at_ms = _SEGMENT.unpack_from(data)
        (seed,) = _CRC.unpack_from(data, _SEGMENT.size)
        if magic == SEGMENT_MAGIC and crc32(data[: _SEGMENT.size]) == seed:
            return SegmentHeader(base, opened_at_ms, seed)
    raise JournalCorrupt("the header of a journal segment is damaged: restore the segment from a copy")


def pack_commit(commit: Commit) -> bytes:
    body = _COMMIT.pack(COMMIT_MAGIC, commit.durable, commit.active_base)
    return body + _CRC.pack(crc32(body))


def unpack_commit(data: bytes) -> Commit | None:
    """None where the bytes are torn, stale garbage or not there."""
    if len(data) < COMMIT_BYTES:
        return None
    magic, durable, active_base = _COMMIT.unpack_from(data)
    (crc,) = _CRC.unpack_from(data, _COMMIT.size)
    if magic != COMMIT_MAGIC or crc != crc32(data[: _COMMIT.size]):
        return None
    return Commit(durable, active_base)


class PackBatch(Protocol):
    def __call__(
        self, payloads: Sequence[bytes], *, seed: int, attempt: int, first: int, durable: int
    ) -> bytes:
        """Frames of one batch, to be written at once."""
        ...


def pack_by_twin(payloads: Sequence[bytes], *, seed: int, attempt: int, first: int, durable: int) -> bytes:
    """`pack_batch` in Python."""
    parts: list[bytes] = []
    left = len(payloads)
    position = first
    for payload in payloads:
        left -= 1
        body = _BODY.pack(len(payload), left, attempt, position, durable)
        parts += (_LEAD.pack(FRAME_MARKER, crc32(payload, crc32(body, seed))), body, payload)
        position += 1
    return b"".join(parts)


pack_batch: PackBatch = pack_by_twin if engines is None else engines.pack_batch
"""The engine's, or its twin. Hot: once a batch, for each of its records."""


def unpack_entries(data: bytes, *, seed: int, first: int, last: int) -> tuple[list[Entry], int, int]:
    """Entries `first..last` as far as `data` holds them whole, bytes used, bytes that the next one needs.

    All of them were durable when they became readable, so that a bad one raises JournalCorrupt.
    """
    entries: list[Entry] = []
    offset, size, position = 0, len(data), first
    while position <= last:
        start = offset + FRAME_HEADER_BYTES
        if start > size:
            return entries, offset, FRAME_HEADER_BYTES
        marker, crc, length, _, _, found, _ = _FRAME.unpack_from(data, offset)
        if marker != FRAME_MARKER or found != position or length > MAX_RECORD_BYTES:
            raise corrupt(position)
        end = start + length
        if end > size:
            return entries, offset, FRAME_HEADER_BYTES + length
        payload = data[start:end]
        if crc32(payload, crc32(data[offset + _LEAD.size : start], seed)) != crc:
            raise corrupt(position)
        entries.append(Entry(position, payload))
        offset = end
        position += 1
    return entries, offset, 0


def scan_tail(data: bytes, header: SegmentHeader) -> Tail:
    """Reads a whole segment as a crash may have left it."""
    records: list[bytes] = []
    batch: list[bytes] = []
    durable = header.base - 1
    offset = SEGMENT_HEADER_BYTES
    expected: tuple[int, int] | None = None
    while (frame := _frame_at(data, offset, header.seed)) is not None:
        payload, left, attempt, position, known = frame
        if position != header.base + len(records) + len(batch):
            break
        if expected is not None and expected != (attempt, left):
            break
        durable = max(durable, known)
        batch.append(payload)
        offset += FRAME_HEADER_BYTES + len(payload)
        expected = (attempt, left - 1)
        if left == 0:
            records += batch
            batch = []
            expected = None
    return Tail(records, max(durable, _durable_beyond(data, offset, header.seed)))


def _durable_beyond(data: bytes, offset: int, seed: int) -> int:
    """Highest position that a valid frame at or behind `offset` knows to be durable; -1 if none."""
    durable = -1
    offset = data.find(FRAME_MARKER, offset)
    while offset >= 0:
        frame = _frame_at(data, offset, seed)
        if frame is not None:
            durable = max(durable, frame[4])
        offset = data.find(FRAME_MARKER, offset + 1)
    return durable


def _frame_at(data: bytes, offset: int, seed: int) -> tuple[bytes, int, int, int, int] | None:
    """(payload, left, attempt, position, durable_before) of a valid frame; None for anything else."""
    start = offset + FRAME_HEADER_BYTES
    if start > len(data):
        return None
    marker, crc, length, left, attempt, position, durable = _FRAME.unpack_from(data, offset)
    end = start + length
    if marker != FRAME_MARKER or length > MAX_RECORD_BYTES or end > len(data):
        return None
    payload = data[start:end]
    if crc32(payload, crc32(data[offset + _LEAD.size : start], seed)) != crc:
        return None
    return payload, left, attempt, position, durable


def corrupt(position: int) -> JournalCorrupt:
    return JournalCorrupt(
        f"journal record {position} was durable and cannot be read back: restore the segment that holds it"
    )
