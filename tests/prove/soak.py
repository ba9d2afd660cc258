"""Many calls, three in ten taken back by their callers, streams opened and dropped: nothing of it stays."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from bench.enrich import STREAM, UNARY
from issuernetwork.v1 import enrichment_pb2 as v1
from issuernetwork.v1 import outcomes_pb2
from tests.kit.payments import payment
from tests.prove.flood import CANCELLED, DEGRADED, FULL, Flood
from tests.prove.flood_edges import WATCH
from tests.prove.overload import rss_mib, served

CANCELS_PERCENT = 30
IN_FLIGHT = 64
WARM_UP_CALLS = 150_000
"""Until the tables of what was asked lately (48 MiB) and the ring of answers (16 MiB, some 100,000 calls with
those taken back) are written all over, and each card, device and address of the load is counted."""

ROUNDS = 10
STREAM_PAUSE_S = 0.01
GROWTH_MOST_MIB = 10.0
MORE_MOST = 5
"""File descriptors or threads: one that works on something else at the moment of the count."""

SETTLE_S = 5.0


class _Streams(threading.Thread):
    """Opens a stream and drops it, with its answer or before, of outcomes and of payments in turn, on a few
    channels that come and go as well."""

    def __init__(self, address: str, metadata: list[tuple[str, str]]) -> None:
        super().__init__(name="streams", daemon=True)
        self._address, self._metadata = address, metadata
        self._over = threading.Event()
        self.opened = self.asked = self.answered = 0
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            self._open_and_drop()
        except BaseException as raised:
            self.fault = raised
            raise

    def _open_and_drop(self) -> None:
        while not self._over.is_set():
            with grpc.insecure_channel(
                self._address, options=[("grpc.use_local_subchannel_pool", 1)]
            ) as channel:
                for _ in range(10):
                    self._watch(channel)
                    self._enrich(channel)

    def _watch(self, channel: grpc.Channel) -> None:
        request = outcomes_pb2.WatchOutcomesRequest().SerializeToString()
        stream: Any = channel.unary_stream(WATCH)(request, metadata=self._metadata)
        self._over.wait(STREAM_PAUSE_S)
        stream.cancel()
        self.opened += 1

    def _enrich(self, channel: grpc.Channel) -> None:
        """A payment on a stream of its own; every other one waits for its answer."""
        self.asked += 1
        # Of one card and person: others would be counted anew, and stay as they should.
        request = payment(1)
        request.request_id = request.payment_intent_id = f"stream-{self.asked}"
        item = v1.StreamedAuthorization(request=request)
        message = v1.StreamEnrichAuthorizationsRequest(items=[item]).SerializeToString()
        left = threading.Event()

        def messages() -> Iterator[bytes]:
            yield message
            left.wait()

        stream: Any = channel.stream_stream(STREAM)(messages(), metadata=self._metadata)
        try:
            if self.asked % 2:
                (answer,) = v1.StreamEnrichAuthorizationsResponse.FromString(next(stream)).items
                assert answer.response.evaluation_id, "a payment on a stream had no evaluation"
                self.answered += 1
            else:
                self._over.wait(STREAM_PAUSE_S)
        finally:
            stream.cancel()
            left.set()

    def stop(self) -> None:
        self._over.set()
        self.join()
        assert self.fault is None, self.fault


def _held(pid: int) -> tuple[int, int]:
    """File descriptors and threads of a process."""
    return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))


def run(full: bool) -> dict[str, Any]:
    calls = 1_000_000 if full else 50_000
    with (
        tempfile.TemporaryDirectory(prefix="ein-") as folder,
        served(Path(folder)) as (installation, process),
    ):
        pid, who = process.popen.pid, installation.metadata("payments")
        flood = Flood(
            process.address,
            UNARY,
            [*who, ("grpc-timeout", "5S")],
            tick_s=0.001,
            cancels_percent=CANCELS_PERCENT,
        )
        streams = _Streams(process.address, who)
        streams.start()
        try:
            flood.calls(WARM_UP_CALLS, IN_FLIGHT)
            held, sizes = _held(pid), [rss_mib(pid)]
            opened, asked, answered = streams.opened, streams.asked, streams.answered
            phases = []
            for _ in range(ROUNDS):
                phases.append(flood.calls(calls // ROUNDS, IN_FLIGHT))
                sizes.append(rss_mib(pid))
            opened, asked = streams.opened - opened, streams.asked - asked
            answered = streams.answered - answered
        finally:
            streams.stop()
            flood.close()
        give_up_s = time.monotonic() + SETTLE_S
        while not _fits(held, after := _held(pid)) and time.monotonic() < give_up_s:
            time.sleep(0.05)
    told = {
        name: sum(phase.count(kind) for phase in phases)
        for name, kind in (
            ("full", FULL),
            ("degraded", DEGRADED),
            ("cancelled", CANCELLED),
            ("unanswered", 0),
        )
    }
    measured = {
        "calls": calls,
        **told,
        "streams_opened_and_dropped": opened + asked,
        "of_these_with_payments": asked,
        "of_these_answered": answered,
        "rss_mib": [round(size, 1) for size in sizes],
        "growth_mib": round(max(sizes[-3:]) - sizes[0], 1),
        "descriptors": [held[0], after[0]],
        "threads": [held[1], after[1]],
        "calls_per_s": round(calls / sum(phase.seconds for phase in phases)),
    }
    assert told["cancelled"] > calls * CANCELS_PERCENT // 200, told
    assert told["unanswered"] == 0, told
    assert opened > 0, "no stream of outcomes was opened"
    assert 0 < answered < asked, "of the streams with payments some are answered, and some dropped before"
    short = []
    if measured["growth_mib"] > GROWTH_MOST_MIB:
        short.append(f"grew by {measured['growth_mib']} MiB, at most {GROWTH_MOST_MIB}")
    if not _fits(held, after):
        short.append(f"descriptors and threads were {held}, and are {after}")
    return {**measured, "shortfalls": short}


def _fits(before: tuple[int, int], now: tuple[int, int]) -> bool:
    return all(have <= had + MORE_MOST for had, have in zip(before, now, strict=True))
