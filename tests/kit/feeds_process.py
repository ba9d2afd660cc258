"""`ein feeds` with a gateway journal that the test writes, and what a receiver asks of it."""

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import grpc

from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.backends.embedded.wake import WakeSender
from gateway.records import journal
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import feed_pb2_grpc
from tests.kit.installation import Installation
from tests.unit.feeds.records import decision, evaluation

DEADLINE_S = 20.0


class Recipients:
    """What issuers ask of a running `ein feeds`."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.state = installation.state

    def poll(self, recipient_id: str, *, token: str = "", **members: object) -> dict[str, Any]:
        base = self.installation.supervisor.addresses("feeds")["http"]
        request = urllib.request.Request(
            f"{base}/ssf/streams/stream-{recipient_id}/poll",
            data=json.dumps({"returnImmediately": True, **members}).encode(),
            headers={"Authorization": f"Bearer {self.installation.tokens[token or recipient_id]}"},
        )
        with urllib.request.urlopen(request, timeout=40) as reply:
            found: dict[str, Any] = json.loads(reply.read())
        return found

    def deliveries(self, recipient_id: str) -> list[storage.DeliveryRecord]:
        records = [storage.DeliveryRecord.FromString(raw) for raw in self.records(journal.DELIVERIES)]
        return [record for record in records if record.recipient_id == recipient_id]

    def get(self, path: str) -> Any:
        base = self.installation.supervisor.addresses("feeds")["http"]
        with urllib.request.urlopen(f"{base}{path}", timeout=10) as reply:
            return json.loads(reply.read())

    def call(self, method: str, request: Any, principal: str) -> Any:
        address = self.installation.address("feeds", "grpc")
        with grpc.insecure_channel(address) as channel:
            stub = feed_pb2_grpc.FeedServiceStub(channel)  # type: ignore[no-untyped-call]
            return getattr(stub, method)(request, metadata=self.installation.metadata(principal), timeout=20)

    def records(self, topic: str) -> list[bytes]:
        reader = FileJournalReader(RealDisk(), str(self.state.feeds_journal))
        found: list[bytes] = []
        after = journal.FIRST
        while batch := reader.read(topic, after, 1000):
            found += [entry.payload for entry in batch]
            after = batch[-1].position
        return found


class Feeds(Recipients):
    """A running `ein feeds` with a gateway journal that the test writes."""

    def __init__(self, installation: Installation) -> None:
        super().__init__(installation)
        self._wake = WakeSender(self.state.run, "gateway")
        self._gateway = FileJournalWriter(
            RealDisk(),
            SystemClock(),
            self.state.gateway_journal,
            journal.GATEWAY_TOPICS,
            wake=self._wake,
        )
        self._next = 0

    def pay(
        self, count: int, recipient_id: str, *, sealed: bytes = b"e30.a.b.c.d", **changes: object
    ) -> list[int]:
        """Payments shared by stream and look-up; their numbers."""
        numbers = list(range(self._next, self._next + count))
        self._next += count
        records = [
            evaluation(
                number,
                decision(f"share-{number}", recipient_id=recipient_id, sealed=sealed),
                issuer_id=recipient_id,
                **changes,
            )
            for number in numbers
        ]
        self._gateway.append(journal.EVALUATIONS, [record.SerializeToString() for record in records])
        return numbers

    def close(self) -> None:
        self._gateway.close()
        self._wake.close()


def until(condition: Callable[[], Any]) -> Any:
    """The first true result; fails after the deadline."""
    deadline_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline_s:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError("it did not come true in time")
