"""An issuer: poll the stream, use what came, give a receipt for each share.

Keeps the receiver's log that `ein verify` reads. The bearer token comes from EIN_ISSUER_TOKEN.
"""

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio

from issuernetwork.receiver import Erasure, Inbox, Item, JwksCache, PollReceiver, Receiver, Share, Withdrawn
from issuernetwork.v1 import feed_pb2, feed_pb2_grpc


class Desk:
    """What the issuer does with an item: keep it by its references for the authorization, log it."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.shares: dict[str, Share] = {}
        self.receipts: list[feed_pb2.Receipt] = []
        self.withdrawn = 0

    def __call__(self, item: Item) -> None:
        if isinstance(item, Erasure):
            self.erase(item)
            return
        if isinstance(item, Withdrawn):
            self.withdrawn += 1
            self.shares.pop(item.share_id, None)
        else:
            self.shares[item.share_id] = item
            self.receipts.append(
                feed_pb2.Receipt(
                    receipt_id=f"r-{item.share_id}",
                    share_id=item.share_id,
                    match=feed_pb2.MATCH_RESULT_UNIQUE,
                    use=feed_pb2.RECEIPT_USE_USED,
                    received_at_ms=item.received_at_ms,
                    decided_at_ms=item.received_at_ms,
                )
            )
        # The item is acknowledged when this returns: what has to last is written here.
        with self._log.open("a") as log:
            log.write(json.dumps(_line(item)) + "\n")

    def erase(self, order: Erasure) -> None:
        """The shares are gone from everything that the issuer keeps before this returns."""
        for share_id in order.share_ids:
            self.shares.pop(share_id, None)


def _line(item: Share | Withdrawn) -> dict[str, Any]:
    return {
        "share_id": item.share_id,
        "transport": "ssf",
        "program": item.program,
        "jti": item.jti,
        "stream_seq": item.stream_seq,
        "kind": "data" if isinstance(item, Share) else "withdrawn",
        "verified": True,
        "duplicate": False,
        "at_ms": item.received_at_ms,
    }


def inbox_of(state: Path) -> Inbox:
    """The inbox where it was: a new one would wait for the first item, which was taken long ago."""
    inbox = Inbox()
    if state.exists():
        inbox.restore(json.loads(state.read_text()))
    return inbox


async def poll(options: argparse.Namespace, token: str, desk: Desk) -> PollReceiver:
    state = Path(f"receiver-{options.recipient}.state.json")

    def save(document: dict[str, Any]) -> None:
        state.with_suffix(".new").write_text(json.dumps(document))
        state.with_suffix(".new").replace(state)

    async with aiohttp.ClientSession() as session:
        jwks = JwksCache(session, f"{options.feeds}/.well-known/jwks.json")
        poller = PollReceiver(
            session=session,
            poll_url=f"{options.feeds}/ssf/streams/stream-{options.recipient}/poll",
            token=token,
            receiver=Receiver(
                recipient_id=options.recipient,
                private_keys=[json.loads(options.key.read_text())],
                jwks=jwks.current,
                iss=options.iss or options.feeds,
            ),
            jwks=jwks,
            handler=desk,
            inbox=inbox_of(state),
            save_state=save,
        )
        # Until nothing waits. A service calls `poller.run(stop)` instead.
        while await poller.poll_once(return_immediately=True) and poller.pending:
            pass
    return poller


async def report(target: str, token: str, receipts: list[feed_pb2.Receipt]) -> int:
    """Hands the receipts over, at most 1,000 in one call; how many are recorded."""
    recorded = 0
    async with grpc.aio.insecure_channel(target) as channel:
        service: Any = feed_pb2_grpc.FeedServiceStub(channel)  # type: ignore[no-untyped-call]
        for start in range(0, len(receipts), 1000):
            reply = await service.ReportReceipts(
                feed_pb2.ReportReceiptsRequest(receipts=receipts[start : start + 1000]),
                metadata=(("authorization", f"Bearer {token}"),),
                timeout=10,
            )
            recorded += sum(result.recorded for result in reply.results)
    return recorded


async def run(options: argparse.Namespace) -> None:
    token = os.environ["EIN_ISSUER_TOKEN"]
    desk = Desk(options.log or Path(f"receiver-{options.recipient}.ndjson"))
    poller = await poll(options, token, desk)
    recorded = await report(options.feeds_grpc, token, desk.receipts)
    print(f"{len(desk.shares)} shares, {desk.withdrawn} withdrawn, {poller.counts.refused} refused")
    print(f"{recorded} receipts recorded")
    for share in list(desk.shares.values())[:1]:
        # Without references of the payment there is nothing to match by ahead of the authorization.
        key = next(iter(share.match.get("keys", ())), "unmatched")
        print(f"first: {share.program} {key} {json.dumps(dict(share.fields))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feeds", default="http://127.0.0.1:7480", help="base URL of `ein feeds`")
    parser.add_argument("--feeds-grpc", default="127.0.0.1:7444", help="gRPC address of `ein feeds`")
    parser.add_argument("--recipient", default="northgate-bank", help="recipient id, the token's principal")
    parser.add_argument("--iss", help="issuer URL in the tokens; default: --feeds")
    parser.add_argument("--key", type=Path, required=True, help="private JWK")
    parser.add_argument("--log", type=Path, help="receiver's log; added to")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
