"""The native front: HTTP/2 and gRPC in Rust outside the GIL. No TLS: that ends in front of us."""

import threading
import time

from pygrpc_native import EVENT_CALL, NativeGrpcFront

from gateway.server.fronts.intake import Intake
from gateway.server.fronts.streams import Streams
from gateway.sharing.items import Refusal
from gateway.sharing.ports import MAX_REQUEST_BYTES, METHOD_PATHS, UNARY_METHODS, IncomingCall, make_call

RESOURCE_EXHAUSTED = 8

IO_THREADS = 1
"""One takes in three times the calls that the hot loop, on a thread of its own as well, can evaluate."""

CLOSE_GRACE_MS = 50
"""Answers are handed to the I/O threads, which write within a millisecond: closing at once cuts them off."""

CARRY_CALLS = 256
"""Calls carried over at once while streams are open: a batch of the hot loop."""

CARRY_MS = 20
"""How soon it is seen that the last stream has ended."""

CARRY_PAUSE_S = 0.002
"""While as many wait as may: a batch takes longer."""


class NativeFront:
    """`CallFront` over `pygrpc_native`. Paths that it does not serve go to the server on `fallback_path`.

    `streams` are served by that server. One cannot wait for both: while a stream is open, a thread carries
    calls over to where the streams' items wait, and the hot loop waits there.
    """

    def __init__(self, target: str, *, fallback_path: str | None, streams: Streams | None = None) -> None:
        self._front = NativeGrpcFront(
            target,
            [(METHOD_PATHS[method], False) for method in UNARY_METHODS],
            io_threads=IO_THREADS,
            client_key_metadata="authorization",
            call_details=True,
            keepalive_permit_without_calls=True,
        )
        if fallback_path is not None:
            self._front.set_fallback(fallback_path)
        self._front.start()
        self._closed = False
        self._streams = streams
        self._intake = Intake() if streams is None else streams.intake
        self._carrying = False
        self._opened = threading.Event()
        if streams is not None:
            streams.on_open = self._on_open
            threading.Thread(target=self._carry, name="native-calls", daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._front.bound_port)

    def open_streams(self) -> int:
        return 0 if self._streams is None else len(self._streams)

    def recv(self, max_calls: int, timeout_ms: int) -> list[IncomingCall] | None:
        self.flush()
        if self._carrying or len(self._intake):
            return self._intake.take(max_calls, timeout_ms)
        return self._take(max_calls, timeout_ms)

    def _take(self, max_calls: int, timeout_ms: int) -> list[IncomingCall] | None:
        events = self._front.recv_batch_details(max_calls, timeout_ms)
        if events is None:
            return None
        calls: list[IncomingCall] = []
        for kind, call_id, method, payload, header, details in events:
            if kind != EVENT_CALL or payload is None or details is None:
                continue  # a cancelled call is answered into the void: its record may be on its way already
            if len(payload) > MAX_REQUEST_BYTES[method]:
                self.fail(call_id, RESOURCE_EXHAUSTED, oversize(method))
                continue
            _, peer, remaining_s = details
            # The library gives the peer where the header is absent.
            authorization = None if header == peer else header
            remaining_ms = None if remaining_s is None else remaining_s * 1000.0
            calls.append(make_call((call_id, method, payload, authorization, remaining_ms)))
        return calls

    def _on_open(self) -> None:
        """A stream has been opened. The hot loop may be waiting for calls alone, for its timeout at most."""
        self._carrying = True
        self._opened.set()

    def _carry(self) -> None:
        intake, streams = self._intake, self._streams
        assert streams is not None
        while self._opened.wait() and not self._closed:
            self._opened.clear()
            self._carrying = True
            while len(streams) and not intake.closed:
                if intake.full:
                    time.sleep(CARRY_PAUSE_S)
                    continue
                calls = self._take(CARRY_CALLS, CARRY_MS)
                if calls is None:
                    intake.close()
                    return
                now_s = time.monotonic()
                for call_id, method, payload, authorization, remaining_ms in calls:
                    deadline_s = None if remaining_ms is None else now_s + remaining_ms / 1000
                    intake.put(call_id, method, payload, authorization, deadline_s)
            self._carrying = False

    def respond(self, call_id: int, payload: bytes) -> None:
        if call_id < 0 and self._streams is not None:
            self._streams.answer(call_id, payload)
        else:
            self._front.respond(call_id, payload)

    def fail(self, call_id: int, code: int, message: str) -> None:
        if call_id < 0 and self._streams is not None:
            self._streams.answer(call_id, Refusal(code, message))
        else:
            self._front.fail(call_id, code, message)

    def flush(self) -> None:
        """Its own calls are answered as they are; streams have to be woken."""
        if self._streams is not None:
            self._streams.flush()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._streams is not None:
                self._streams.close()
            time.sleep(CLOSE_GRACE_MS / 1000)
            self._front.close()
            self._intake.close()
            self._opened.set()


def oversize(method: int) -> str:
    """Public text for a request that is too large."""
    return f"request larger than {MAX_REQUEST_BYTES[method]} bytes: send fewer or shorter items"
