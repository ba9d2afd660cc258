"""The native front: HTTP/2 and gRPC in Rust outside the GIL. No TLS: that ends in front of us."""

import time

from pygrpc_native import EVENT_CALL, NativeGrpcFront

from gateway.sharing.ports import MAX_REQUEST_BYTES, METHOD_PATHS, IncomingCall, make_call

RESOURCE_EXHAUSTED = 8

IO_THREADS = 1
"""One takes in three times the calls that the hot loop, on a thread of its own as well, can evaluate."""

CLOSE_GRACE_MS = 50
"""Answers are handed to the I/O threads, which write within a millisecond: closing at once cuts them off."""


class NativeFront:
    """`CallFront` over `pygrpc_native`. Paths that it does not serve go to the server on `fallback_path`."""

    def __init__(self, target: str, *, fallback_path: str | None) -> None:
        self._front = NativeGrpcFront(
            target,
            [(path, False) for path in METHOD_PATHS],
            io_threads=IO_THREADS,
            client_key_metadata="authorization",
            call_details=True,
            keepalive_permit_without_calls=True,
        )
        if fallback_path is not None:
            self._front.set_fallback(fallback_path)
        self._front.start()
        self._closed = False

    @property
    def port(self) -> int:
        return int(self._front.bound_port)

    def recv(self, max_calls: int, timeout_ms: int) -> list[IncomingCall] | None:
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

    def respond(self, call_id: int, payload: bytes) -> None:
        self._front.respond(call_id, payload)

    def fail(self, call_id: int, code: int, message: str) -> None:
        self._front.fail(call_id, code, message)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            time.sleep(CLOSE_GRACE_MS / 1000)
            self._front.close()


def oversize(method: int) -> str:
    """Public text for a request that is too large."""
    return f"request larger than {MAX_REQUEST_BYTES[method]} bytes: send fewer or shorter items"
