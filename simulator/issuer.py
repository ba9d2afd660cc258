"""One simulated issuer as a process of its own: `python -m simulator.issuer --config issuer.json`.

It answers authorizations on a Unix socket, asks for shares by Lookup, receives its SSF stream with the SDK,
and reports receipts and fraud back. Its log says what reached it, before anything is acknowledged.
"""

import argparse
import asyncio
import gc
import json
import signal
import sys
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio

from issuernetwork.client import channel_options
from issuernetwork.receiver import (
    Erasure,
    Inbox,
    Item,
    JwksCache,
    PollFault,
    PollReceiver,
    Receiver,
    RefusedToken,
    Share,
    Withdrawn,
    open_fresh,
)
from issuernetwork.v1 import feed_pb2
from simulator.decisions import BEHAVIOURS, UNENROLLED
from simulator.desk import Desk, mangled, nature_of, references_message
from simulator.draws import draw
from simulator.labels import LabelSchedule
from simulator.lines import LineList, read_lines
from simulator.network import serve

LOOKUP_TIMEOUT_S = 1.0
"""Longest an authorization waits for its data. Generous: here all processes share two cores."""

RECEIPT_PERIOD_S = 0.25
RECEIPT_BATCH = 500
LABEL_BATCH = 500
POLL_PAUSE_S = 0.1
"""Pause between polls, so that one reply carries what has gathered: a poll costs more than the SETs in it."""

FAULT_PAUSE_S = 0.2
REMEMBERED_LINES = 32_768
"""Deliveries remembered to tell a repeat by; a repeat follows within seconds or a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerConfig:
    """What one issuer needs to run. `recipient_id` empty: an issuer that is not enrolled."""

    issuer_id: str
    socket: str
    seed: int
    recipient_id: str = ""
    token: str = ""
    feeds_grpc: str = ""
    feeds_http: str = ""
    iss: str = ""
    directory: str = ""
    """Holds private.jwks.json, inbox.json and the receiver's log."""
    lookup: bool = False
    stream: bool = False
    # Faults that can be switched on. Unmatched and late ones come with nature's draw: the truth knows them.
    refused_share: float = 0.0
    """Share of the tokens of its stream that it refuses."""
    poll_pause_ms: int = 0
    """Pause between polls; 0 takes the usual one."""

    def __repr__(self) -> str:
        return f"IssuerConfig({self.issuer_id!r})"


class ReceiverLog:
    """What reached this recipient: a line for each delivery, a repeat marked as one, over restarts too."""

    def __init__(self, path: Path) -> None:
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self.unique = {"ssf": 0, "lookup": 0, "message": 0}
        self.withdrawn = 0
        for line in read_lines(path):
            self._note(line["share_id"], line["transport"], line["kind"])
        self._lines = LineList(path)

    def _note(self, share_id: str, transport: str, kind: str) -> bool:
        key = (share_id, transport, kind)
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > REMEMBERED_LINES:
            self._seen.popitem(last=False)
        if kind == "data":
            self.unique[transport] += 1
        else:
            self.withdrawn += 1
        return False

    def add(
        self, item: Share | Withdrawn | None, transport: str, *, share_id: str = "", program: str = ""
    ) -> bool:
        """Writes the line; True where the same delivery was there before."""
        kind = "withdrawn" if isinstance(item, Withdrawn) else "data"
        share_id = item.share_id if item is not None else share_id
        duplicate = self._note(share_id, transport, kind)
        self._lines.add(
            {
                "share_id": share_id,
                "transport": transport,
                "program": item.program if item is not None else program,
                "jti": item.jti if item is not None else "",
                "stream_seq": item.stream_seq if item is not None and transport == "ssf" else None,
                "kind": kind,
                "verified": True,
                "duplicate": duplicate,
                "at_ms": time.time_ns() // 1_000_000,
            }
        )
        return duplicate

    def close(self) -> None:
        self._lines.close()


class IssuerProcess:
    """Wires desk, network, lookup, stream and reports."""

    def __init__(self, config: IssuerConfig) -> None:
        self.config = config
        self.behaviour = BEHAVIOURS.get(config.issuer_id, UNENROLLED)
        self.desk = Desk(self.behaviour, seed=config.seed)
        self.labels = LabelSchedule()
        self.event_ms = 0
        self.labels_reported = 0
        self.receipts_reported = 0
        self.lookups_failed = 0
        self._metadata = (("authorization", f"Bearer {config.token}"),)
        self._stop = asyncio.Event()
        self._finish = asyncio.Event()
        self._receiver: Receiver | None = None
        self._jwks: JwksCache | None = None
        self._log: ReceiverLog | None = None
        self._channel: grpc.aio.Channel | None = None
        self._poll: PollReceiver | None = None

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        config = self.config
        async with asyncio.TaskGroup() as group, aiohttp.ClientSession() as session:
            tasks: list[asyncio.Task[None]] = []
            if config.recipient_id:
                directory = Path(config.directory)
                self._log = ReceiverLog(directory / f"receiver-{config.recipient_id}.ndjson")
                jwks = JwksCache(session, f"{config.feeds_http}/.well-known/jwks.json", cooldown_s=0.2)
                self._jwks = jwks
                await self._first_keys(jwks)
                private = json.loads((directory / "private.jwks.json").read_text())
                self._receiver = Receiver(
                    recipient_id=config.recipient_id,
                    private_keys=private["keys"],
                    jwks=jwks.current,
                    iss=config.iss,
                )
                self._open_channel()
                tasks.append(group.create_task(self._report()))
                if config.stream:
                    self._poll = self._poll_receiver(session, jwks, directory / "inbox.json")
                    tasks.append(group.create_task(self._receive(self._poll)))
            server = await serve(Path(config.socket), self._handle)
            gc.freeze()
            await self._stop.wait()
            server.close()
            await asyncio.gather(*tasks)
        if self._channel is not None:
            await self._channel.close()
        if self._log is not None:
            self._log.close()

    async def _first_keys(self, jwks: JwksCache) -> None:
        while not self._stop.is_set():
            with suppress(PollFault):
                if await jwks.refresh():
                    return
            await asyncio.sleep(FAULT_PAUSE_S)

    def _open_channel(self) -> None:
        self._channel = grpc.aio.insecure_channel(self.config.feeds_grpc, options=channel_options())
        self._lookup = self._unary("Lookup", feed_pb2.LookupRequest, feed_pb2.LookupResponse)
        self._receipts = self._unary(
            "ReportReceipts", feed_pb2.ReportReceiptsRequest, feed_pb2.ReportReceiptsResponse
        )
        self._labels = self._unary(
            "ReportLabels", feed_pb2.ReportLabelsRequest, feed_pb2.ReportLabelsResponse
        )

    def _unary(self, method: str, request: Any, response: Any) -> Any:
        assert self._channel is not None
        return self._channel.unary_unary(
            f"/issuernetwork.v1.FeedService/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )

    async def _handle(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["kind"] == "authorization":
            return await self._authorize(message)
        if message["kind"] == "finish":
            # Event time runs on: what is still to come of these payments comes now.
            self.event_ms = max(self.event_ms, message["event_ms"])
            self._finish.set()
        return {"status": self.status()}

    async def _authorize(self, message: dict[str, Any]) -> dict[str, Any]:
        self.event_ms = max(self.event_ms, message["refs"]["attempted_at_ms"])
        if self._log is not None:
            for share_id, program in {(element[0], element[1]) for element in message["elements"]}:
                self._log.add(None, "message", share_id=share_id, program=program)
        shares: Sequence[Share] = self.desk.held_for(message["refs"])
        nature = nature_of(message)
        if nature.unmatched or nature.late:
            shares = []
        if self.config.lookup and not nature.late:
            references = mangled(message["refs"]) if nature.unmatched else message["refs"]
            shares = [*await self._look_up(references), *shares]
        by_id = list({share.share_id: share for share in shares}.values())
        approved, code, labels = self.desk.decide(message, by_id, now_ms=_wall_ms())
        for due in labels:
            if self.config.recipient_id:
                self.labels.add(due)
        return {"approved": approved, "code": code}

    async def _look_up(self, references: dict[str, Any]) -> list[Share]:
        request = feed_pb2.LookupRequest(match=references_message(references))
        try:
            response = await self._lookup(request, timeout=LOOKUP_TIMEOUT_S, metadata=self._metadata)
        except grpc.aio.AioRpcError:
            self.lookups_failed += 1
            return []
        assert self._receiver is not None
        assert self._jwks is not None
        assert self._log is not None
        shares: list[Share] = []
        for found in response.shares:
            try:
                item = await open_fresh(self._receiver, self._jwks, found.signed_set)
            except RefusedToken:
                self.desk.tally.refused += 1
                continue
            # A look-up brings data alone.
            if not isinstance(item, Erasure):
                self._log.add(item, "lookup")
            if isinstance(item, Share):
                self.desk.tally.shares_opened += 1
                shares.append(item)
        return shares

    def _poll_receiver(self, session: aiohttp.ClientSession, jwks: JwksCache, state: Path) -> PollReceiver:
        assert self._receiver is not None
        inbox = Inbox()
        if state.exists():
            inbox.restore(json.loads(state.read_text()))

        def save(document: dict[str, Any]) -> None:
            fresh = state.with_suffix(".new")
            fresh.write_text(json.dumps(document))
            fresh.rename(state)

        stream_id = f"stream-{self.config.recipient_id}"
        return PollReceiver(
            session=session,
            poll_url=f"{self.config.feeds_http}/ssf/streams/{stream_id}/poll",
            token=self.config.token,
            receiver=_RefusingReceiver(self._receiver, self.config),
            jwks=jwks,
            handler=self._arrived,
            inbox=inbox,
            save_state=save,
        )

    def _arrived(self, item: Item) -> None:
        assert self._log is not None
        if isinstance(item, Erasure):
            for share_id in item.share_ids:
                self.desk.withdrawn(share_id)
            return
        self._log.add(item, "ssf")
        if isinstance(item, Share):
            self.desk.tally.shares_opened += 1
            self.desk.arrived(item, now_ms=_wall_ms())
        else:
            self.desk.withdrawn(item.share_id)

    async def _receive(self, poll: PollReceiver) -> None:
        pause_s = self.config.poll_pause_ms / 1000 or POLL_PAUSE_S
        while not self._stop.is_set():
            round_trip = asyncio.ensure_future(self._poll_once(poll))
            stopped = asyncio.ensure_future(self._stop.wait())
            await asyncio.wait({round_trip, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not round_trip.done():
                round_trip.cancel()
                return
            if round_trip.exception() is None:
                await asyncio.sleep(pause_s)
            elif isinstance(round_trip.exception(), PollFault):
                poll.counts.poll_faults += 1
                await asyncio.sleep(FAULT_PAUSE_S)
            else:
                round_trip.result()

    async def _poll_once(self, poll: PollReceiver) -> bool:
        # A long poll would keep its acknowledgements unanswered for as long as nothing new comes.
        return await poll.poll_once(return_immediately=bool(poll.inbox.acks()))

    async def _report(self) -> None:
        while not self._stop.is_set():
            await asyncio.sleep(RECEIPT_PERIOD_S)
            grace = {"grace_ms": 0} if self._finish.is_set() and self._quiet() else {}
            self.desk.settle_overdue(now_ms=_wall_ms(), **grace)
            while receipts := self.desk.take_receipts(RECEIPT_BATCH):
                if not await self._send(self._receipts, feed_pb2.ReportReceiptsRequest(receipts=receipts)):
                    self.desk.give_back(receipts)
                    break
                self.receipts_reported += len(receipts)
            while labels := self.labels.take_due(self.event_ms, LABEL_BATCH):
                request = feed_pb2.ReportLabelsRequest(labels=labels)
                while not await self._send(self._labels, request):
                    if self._stop.is_set():
                        return
                    await asyncio.sleep(FAULT_PAUSE_S)
                self.labels_reported += len(labels)

    def _quiet(self) -> bool:
        return self._poll is None or not self._poll.inbox.acks()

    async def _send(self, call: Any, request: Any) -> bool:
        try:
            await call(request, timeout=10.0, metadata=self._metadata)
        except grpc.aio.AioRpcError:
            return False
        return True

    def status(self) -> dict[str, Any]:
        """Counts for progress and for the drain of a run."""
        log = self._log
        return {
            "issuer_id": self.config.issuer_id,
            "authorizations": self.desk.tally.authorizations,
            "informed": self.desk.tally.informed,
            "unique": dict(log.unique) if log is not None else {},
            "withdrawn": log.withdrawn if log is not None else 0,
            "refused": self.desk.tally.refused + (self._poll.counts.refused if self._poll else 0),
            "unacknowledged": len(self._poll.inbox.acks()) if self._poll is not None else 0,
            "held": self.desk.shares_held,
            "receipts_waiting": self.desk.receipts_waiting,
            "receipts_reported": self.receipts_reported,
            "labels_waiting": len(self.labels),
            "labels_reported": self.labels_reported,
            "lookups_failed": self.lookups_failed,
            "uses": dict(self.desk.tally.uses),
        }


class _RefusingReceiver(Receiver):
    """Refuses a share of the tokens, as a receiver with a fault of its own does."""

    def __init__(self, receiver: Receiver, config: IssuerConfig) -> None:
        self.recipient_id = receiver.recipient_id
        self._inner = receiver
        self._config = config

    def open(self, signed_set: str | bytes) -> Item:
        item = self._inner.open(signed_set)
        refused = draw(self._config.seed, "refused", item.jti) < self._config.refused_share
        if refused and isinstance(item, Share):
            raise RefusedToken("malformed")
        return item


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def main() -> None:
    """Runs one issuer. Exit code 0 after SIGTERM."""
    parser = argparse.ArgumentParser(description="One simulated issuer.")
    parser.add_argument("--config", type=Path, required=True)
    document = json.loads(parser.parse_args().config.read_text())
    asyncio.run(IssuerProcess(IssuerConfig(**document)).run())
    sys.exit(0)


if __name__ == "__main__":
    main()
