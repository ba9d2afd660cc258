"""Unary gRPC calls at a pace of their own, cheap enough to overload a server from one core of two.

A call is two frames of RFC 9113 made beforehand, alike in length for all payments: what differs from call to
call (ids, stream) is written into columns of bytes, for all calls that are due at once. The loop need not
sleep, so that a call goes out within microseconds of when it was due; its latency counts from then.
"""

import gc
import itertools
import select
import socket
import struct
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    OPENING,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_BYTES,
    WINDOW_UPDATE,
    frame,
    header_block,
)
from issuernetwork.v1 import enrichment_pb2 as v1
from tests.prove.flood_payments import DIGITS, MARK, request_of

FULL, DEGRADED, FAULTED, CANCELLED = 1, 2, 3, 4
"""What an answer is; 0 where there was none."""

TEMPLATES = 4096
"""Payments that differ in card, merchant, person and device."""

NUMBERS = 3
"""A payment carries its number in the ids of request and intent, and in the retrieval reference."""

FEW, AHEAD = 6, 32
"""Where so few calls are due at once, they are taken from so many that are made together."""

STREAMS = 1_000
"""Of one connection at once: servers allow 1,024 (pygrpc-native) or more."""

CANCEL = 0x8
"""Error code of a stream (RFC 9113 7)."""

POLL_S = 0.001
"""The shortest that a poll waits for."""

READ_BYTES = 1 << 18
GRACE_S = 1.0
"""How long answers are waited for behind the last call."""

PAYMENTS = 10_000_000
"""Of one flood: each has numbers of its own, so that no request is a repeat of another's."""

_FIRST = itertools.count(0, PAYMENTS)
_POWERS = 10 ** np.arange(DIGITS - 1, -1, -1)
_OVER_DEADLINE, _OVERLOADED, _INTERNAL = b"\x2a\x0dover_deadline", b"\x2a\x0aoverloaded", b"\x2a\x08internal"


@dataclass(frozen=True, slots=True)
class Phase:
    """What became of the calls of one phase, in the order in which they were due."""

    due_s: Any
    ended_s: Any
    kinds: Any
    seconds: float
    cpu_seconds: float
    late_s: float
    """The most that a call went out behind its time."""

    gap_s: float
    """The longest that the generator, which never sleeps, was not run."""

    def latencies_ms(self, *kinds: int) -> Any:
        """Of the answers of these kinds, sorted."""
        chosen = np.isin(self.kinds, kinds)
        return np.sort((self.ended_s[chosen] - self.due_s[chosen]) * 1e3)

    def count(self, *kinds: int) -> int:
        return int(np.isin(self.kinds, kinds).sum())

    def in_time(self, deadline_ms: float) -> float:
        """Part of all calls that had an answer, full or degraded, in time."""
        told = self.latencies_ms(FULL, DEGRADED)
        return float((told <= deadline_ms).sum() / len(self.due_s))


def percentile(ordered: Any, part: float) -> float:
    return round(float(ordered[min(len(ordered) - 1, int(part * len(ordered)))]), 3) if len(ordered) else -1.0


class Calls:
    """Frames of all templates, and the columns that are written anew. `items`: payments of a batch call."""

    def __init__(
        self, address: str, path: str, headers: Sequence[tuple[str, str]], items: int | None = None
    ) -> None:
        self._block = header_block(path, address, headers)
        self._items = items
        self._first = next(_FIRST)
        self.renew()

    def renew(self) -> None:
        """With the time as it is now: a request is good for some minutes."""
        now_ms = time.time_ns() // 1_000_000
        messages = [request_of(n, now_ms).SerializeToString() for n in range(TEMPLATES + TEMPLATES // 4)]
        length = max(set(map(len, messages)), key=list(map(len, messages)).count)
        alike = [message for message in messages if len(message) == length]
        if self._items is not None:
            alike = [
                _batch(alike[at : at + self._items])
                for at in range(0, len(alike) - self._items + 1, self._items)
            ]
        frames = [self._frames(message) for message in alike]
        head = 9 + len(self._block)
        self.data_bytes = len(alike[0]) + 5
        self._rows = np.array([np.frombuffer(one, np.uint8) for one in frames])
        self._ahead, self._ahead_first = b"", -AHEAD
        self._streams = (5, head + 5)
        at = frames[0].find(MARK.encode())
        self._numbers = []
        while at >= 0:
            self._numbers.append(at)
            at = frames[0].find(MARK.encode(), at + DIGITS)
        assert len(self._numbers) == NUMBERS * (self._items or 1), "a payment carries its number otherwise"

    def _frames(self, message: bytes) -> bytes:
        body = b"\0" + struct.pack(">I", len(message)) + message
        return frame(HEADERS, END_HEADERS, 0, self._block) + frame(DATA, END_STREAM, 0, body)

    def frames(self, first: int, count: int, stream: int) -> bytes | bytearray:
        """Of calls with numbers from `first` on, in streams from `stream` on."""
        if count <= FEW:
            return self._few(first, count, stream)
        rows = self._numbered(first, count)
        streams = np.arange(stream, stream + 2 * count, 2).astype(">u4").view(np.uint8).reshape(count, 4)
        for at in self._streams:
            rows[:, at : at + 4] = streams
        return bytes(rows.tobytes())

    def _few(self, first: int, count: int, stream: int) -> bytearray:
        """Of what is made ahead for many at once: a single one costs as much."""
        at, length = first - self._ahead_first, self._rows.shape[1]
        if not 0 <= at <= AHEAD - count:
            self._ahead_first, at = first, 0
            self._ahead = self._numbered(first, AHEAD).tobytes()
        made = bytearray(self._ahead[at * length : (at + count) * length])
        for number in range(count):
            for place in self._streams:
                struct.pack_into(">I", made, number * length + place, stream + 2 * number)
        return made

    def _numbered(self, first: int, count: int) -> Any:
        """Rows of calls, each with its own numbers, in no stream yet."""
        numbers = np.arange(first, first + count)
        rows = self._rows[numbers % len(self._rows)]
        items = self._items or 1
        for item in range(items):
            digits = ((self._first + numbers * items + item)[:, None] // _POWERS % 10 + 48).astype(np.uint8)
            for at in self._numbers[item * NUMBERS : (item + 1) * NUMBERS]:
                rows[:, at : at + DIGITS] = digits
        return rows


def _batch(messages: list[bytes]) -> bytes:
    requests = [v1.EnrichAuthorizationRequest.FromString(message) for message in messages]
    return v1.BatchEnrichAuthorizationsRequest(requests=requests).SerializeToString()


class _Connection:
    def __init__(self, address: str, calls: Calls, cancels_percent: int) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._calls = calls
        self._out = bytearray(OPENING)
        self._in = b""
        self._window = WINDOW_BYTES
        self._stream = 1
        self._numbers = array("q")  # of the call in stream 1, 3, 5...
        self._kinds = bytearray()
        self._cancels_percent = cancels_percent
        self._to_cancel: list[int] = []
        self.open = 0

    def send(self, first: int, most: int) -> int:
        """Sends calls from `first` on, as many as windows allow; how many."""
        count = min(most, STREAMS - self.open, self._window // self._calls.data_bytes)
        if count <= 0:
            return 0
        self._window -= count * self._calls.data_bytes
        self._out += self._calls.frames(first, count, self._stream)
        self._stream += 2 * count
        self._numbers.extend(range(first, first + count))
        self._kinds.extend(bytes(count))
        self.open += count
        if self._cancels_percent:
            at = len(self._numbers) - count
            self._to_cancel += [
                at + one for one in range(count) if (first + one) * 37 % 100 < self._cancels_percent
            ]
        self.flush()
        return count

    def cancel(self, ended: Callable[[int, int], None]) -> None:
        """Takes back the calls that were chosen for it, as far as they have not been answered meanwhile."""
        for call in self._to_cancel:
            if not self._kinds[call]:
                self._kinds[call] = CANCELLED
                self._out += frame(RST_STREAM, 0, 2 * call + 1, struct.pack(">I", CANCEL))
                self.open -= 1
                ended(self._numbers[call], CANCELLED)
        self._to_cancel.clear()

    def flush(self) -> None:
        if self._out:
            try:
                sent = self.socket.send(self._out)
            except BlockingIOError:
                return
            del self._out[:sent]

    def read(self, ended: Callable[[int, int], None]) -> None:
        """Takes what has come, and says of each call that ended which it was and what it got."""
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        assert data, "the server closed the connection"
        data = self._in + data if self._in else data
        at, end = 0, len(data)
        while end - at >= 9:
            following = at + 9 + (data[at] << 16 | data[at + 1] << 8 | data[at + 2])
            if following > end:
                break
            kind = data[at + 3]
            if kind in (DATA, HEADERS, RST_STREAM):
                call = (data[at + 5] << 24 | data[at + 6] << 16 | data[at + 7] << 8 | data[at + 8]) >> 1
                if self._kinds[call] == CANCELLED:
                    pass  # its answer was on its way
                elif kind == DATA and following - at > 14:
                    self._kinds[call] = _kind(data, at, following)
                elif data[at + 4] & END_STREAM or kind == RST_STREAM:
                    self.open -= 1
                    ended(self._numbers[call], self._kinds[call])
            else:
                self._control(kind, data[at + 4], data[at + 5 : at + 9], data[at + 9 : following])
            at = following
        self._in = data[at:]

    def _control(self, kind: int, flags: int, stream: bytes, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            self._out += frame(SETTINGS, ACK, 0, b"")
        elif kind == PING and not flags & ACK:
            self._out += frame(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE and stream == b"\0\0\0\0":
            self._window += int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            raise AssertionError("the server closed the connection")


def _kind(data: bytes, at: int, end: int) -> int:
    if data.find(_OVERLOADED, at, end) >= 0 or data.find(_OVER_DEADLINE, at, end) >= 0:
        return DEGRADED
    return FAULTED if data.find(_INTERNAL, at, end) >= 0 else FULL


class Flood:
    """Calls of one method over some connections. Numbers never repeat: each call is a payment of its own."""

    def __init__(
        self,
        address: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        *,
        connections: int = 8,
        tick_s: float = 0.0,
        items: int | None = None,
        cancels_percent: int = 0,
    ) -> None:
        """`items`: payments of each call of the batch method; None for the other.

        `tick_s`: sleeps so long where nothing comes; 0: never, so that nothing goes out late.
        `cancels_percent` of the calls are taken back a tick after they were sent.
        """
        self._tick_s = tick_s
        self._calls = Calls(address, path, headers, items)
        self._connections = [_Connection(address, self._calls, cancels_percent) for _ in range(connections)]
        self._sockets = {one.socket.fileno(): one for one in self._connections}
        self._poll = select.epoll()
        for number in self._sockets:
            self._poll.register(number, select.EPOLLIN)
        self._next = 0
        self._turn = 0

    def close(self) -> None:
        self._poll.close()
        for one in self._connections:
            one.socket.close()

    def open(self, rate_per_s: float, seconds: float) -> Phase:
        """An open loop: each call is due at its time, whatever became of those before."""
        total = int(rate_per_s * seconds)
        return self._phase(total, lambda passed_s, ended: int(passed_s * rate_per_s) + 1, rate_per_s)

    def closed(self, in_flight: int, seconds: float) -> Phase:
        """A closed loop: the next call is due when one has ended."""

        def due(passed_s: float, ended: int) -> int:
            return ended + in_flight if passed_s < seconds else 0

        return self._phase(int(seconds * 200_000), due, 0.0)

    def calls(self, count: int, in_flight: int) -> Phase:
        """A closed loop of so many calls."""
        return self._phase(count, lambda passed_s, ended: ended + in_flight, 0.0)

    def _phase(self, total: int, due: Callable[[float, int], int], rate_per_s: float) -> Phase:
        self._calls.renew()
        sent_s, ended_s, kinds = array("d", bytes(8 * total)), array("d", bytes(8 * total)), bytearray(total)
        sent = done = 0
        base = self._next
        now = 0.0

        def ended(number: int, kind: int) -> None:
            nonlocal done
            if number >= base:  # what an earlier phase had not waited for is no part of this one
                done += 1
                ended_s[number - base], kinds[number - base] = now, kind

        gc.collect()
        gc.disable()
        cpu_s = time.process_time()
        start = last = time.perf_counter()
        gap_s = late_s = 0.0
        last_due_s = start
        while True:
            now = time.perf_counter()
            gap_s, last = max(gap_s, now - last), now
            wanted = min(total, due(now - start, done)) - sent
            if wanted > 0:
                taken = self._send(wanted)
                sent_s[sent : sent + taken] = array("d", [now]) * taken
                if rate_per_s and taken:
                    late_s = max(late_s, now - start - sent / rate_per_s)
                sent += taken
                if taken:
                    last_due_s = now
            if now - last_due_s > GRACE_S or (done == sent and (sent == total or wanted < 0)):
                break
            for number, _ in self._wait():
                self._sockets[number].read(ended)
            for one in self._connections:
                one.cancel(ended)
            for one in self._connections:
                one.flush()
        gc.enable()
        due_s = start + np.arange(sent) / rate_per_s if rate_per_s else np.array(sent_s[:sent])
        return Phase(
            due_s, np.array(ended_s[:sent]), np.frombuffer(bytes(kinds[:sent]), np.uint8),
            last_due_s - start, time.process_time() - cpu_s, late_s, gap_s,
        )  # fmt: skip

    def _wait(self) -> list[tuple[int, int]]:
        if self._tick_s >= POLL_S:
            return self._poll.poll(self._tick_s)
        found = self._poll.poll(0)
        if not found and self._tick_s:
            time.sleep(self._tick_s)
        return found

    def _send(self, wanted: int) -> int:
        """Over the connections in turn; how many went out."""
        taken = 0
        for _ in self._connections:
            self._turn = (self._turn + 1) % len(self._connections)
            took = self._connections[self._turn].send(self._next, wanted - taken)
            self._next += took
            taken += took
            if taken == wanted:
                break
        return taken
