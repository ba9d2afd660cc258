"""Planted personal data appears nowhere outside sealed bytes; a leak planted in any kind of sink is found."""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pyarrow as pa
import pyarrow.parquet as parquet

from issuernetwork.v1 import enrichment_pb2 as v1
from issuernetwork.v1 import enrichment_pb2_grpc as enrichment_rpc
from issuernetwork.v1 import feed_pb2 as feed
from issuernetwork.v1 import feed_pb2_grpc as feed_rpc
from issuernetwork.v1 import outcomes_pb2 as outcomes
from issuernetwork.v1 import outcomes_pb2_grpc as outcome_rpc
from tests.canaries import Leak, scan_bytes, scan_tree
from tests.kit.installation import Installation
from tests.kit.payments import HARBOR, MERIDIAN, NORTHGATE, SUMMIT, pan, payment

EMAIL = "canary.ada.lovelace@mailbox.internal"
IP = "44.128.7.177"
DEVICE = "canary-device-7f3a"
CARDS = {"northgate": NORTHGATE, "harbor": HARBOR, "meridian": MERIDIAN, "summit": SUMMIT}
CANARIES = {
    "email": EMAIL,
    "ip": IP,
    "device": DEVICE,
    **{f"pan-{name}": pan(iin, 4_711_000) for name, iin in CARDS.items()},
}
RECIPIENT_OF = {
    "northgate": "northgate-bank",
    "harbor": "harbor-federal",
    "meridian": "meridian-cards",
    "summit": "atlas-processing",
}
SETTLE_S = 30.0


def _payment(number: int, iin: str, canary: bool) -> v1.EnrichAuthorizationRequest:
    request = payment(number, iin=iin)
    if canary:
        request.card.pan = pan(iin, 4_711_000)
    request.customer.email = EMAIL
    request.device.ip = IP
    request.device.device_id = DEVICE
    return request


def _spoil(request: v1.EnrichAuthorizationRequest, number: int) -> v1.EnrichAuthorizationRequest:
    """Puts canaries where they are refused or dropped, so that errors and issues tell of them."""
    spoilers: list[Callable[[], Any]] = [
        lambda: setattr(request, "currency", EMAIL),
        lambda: setattr(request, "request_id", DEVICE * 10),
        lambda: setattr(request.merchant, "mcc", IP),
        lambda: setattr(request.customer, "phone_e164", EMAIL),
        lambda: setattr(request.device, "ip", EMAIL),
        lambda: setattr(request.card, "pan", CANARIES["pan-northgate"][:-1]),
    ]
    spoilers[number % len(spoilers)]()
    return request


async def _traffic(installation: Installation, count: int) -> tuple[bytes, int, int]:
    """Payments, outcomes, labels, polls. What callers were told (as bytes), and how many shares and SETs."""
    caller = installation.metadata("payments")
    told: list[str] = []
    shared = 0
    async with (
        grpc.aio.insecure_channel(installation.address("gateway", "grpc")) as gateway,
        grpc.aio.insecure_channel(installation.address("feeds", "grpc")) as feeds,
    ):
        enrich = enrichment_rpc.EnrichmentServiceStub(gateway).EnrichAuthorization
        report = outcome_rpc.OutcomeServiceStub(gateway).ReportOutcomes
        label = feed_rpc.FeedServiceStub(feeds).ReportLabels
        for number in range(1, count + 1):
            iin = list(CARDS.values())[number % len(CARDS)]
            request = _payment(number, iin, canary=number % 3 == 0)
            if number % 5 == 0:
                _spoil(request, number)
            try:
                answer = await enrich(request, metadata=caller, timeout=5)
            except grpc.aio.AioRpcError as refused:
                told.append(f"{refused.details()} {refused.debug_error_string()}")
                continue
            told.append(str(answer))
            shared += any(decision.share_id for decision in answer.decisions)
            outcome = outcomes.OutcomeEvent(
                outcome_id=f"out-{number}", payment_intent_id=request.payment_intent_id, attempt_no=1,
                kind=outcomes.OUTCOME_KIND_AUTHORIZATION, occurred_at_ms=request.initiated_at_ms + 1_000,
                approved=True, response_code=EMAIL if number % 7 == 0 else "00",
                response_code_scheme=outcomes.RESPONSE_CODE_SCHEME_ISO1987,
            )  # fmt: skip
            event = feed.LabelEvent(
                label_id=f"label-{number}", payment_intent_id=request.payment_intent_id, attempt_no=1,
                kind=feed.LABEL_KIND_FRAUD, source=feed.LABEL_SOURCE_CHARGEBACK,
                verb=feed.LABEL_VERB_REPORTED, state=feed.LABEL_STATE_CONFIRMED,
                effective_at_ms=request.initiated_at_ms, reported_at_ms=request.initiated_at_ms + 5_000,
                fraud_type=IP if number % 7 == 0 else "06",
            )  # fmt: skip
            told.append(
                str(await report(outcomes.ReportOutcomesRequest(outcomes=[outcome]), metadata=caller))
            )
            told.append(str(await label(feed.ReportLabelsRequest(labels=[event]), metadata=caller)))
    return "\n".join(told).encode(), shared, count


def _drain_streams(installation: Installation) -> tuple[int, bytes]:
    """Polls every stream to its end and acknowledges; the tokens as they went over the wire."""
    tokens: list[str] = []
    for recipient_id in RECIPIENT_OF.values():
        url = f"{installation.address('feeds', 'http')}/ssf/streams/stream-{recipient_id}/poll"
        acks: list[str] = []
        deadline, empty = time.monotonic() + SETTLE_S, 0
        while empty < 5 and time.monotonic() < deadline:
            body = json.dumps({"maxEvents": 100, "returnImmediately": True, "ack": acks}).encode()
            request = urllib.request.Request(url, body, method="POST")
            request.add_header("Authorization", f"Bearer {installation.tokens[recipient_id]}")
            request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request, timeout=10) as reply:
                sets = json.loads(reply.read())["sets"]
            acks = list(sets)
            tokens += sets.values()
            empty = 0 if sets else empty + 1
            if not sets:
                time.sleep(0.05)
    return len(tokens), "\n".join(tokens).encode()


def _metrics(installation: Installation) -> bytes:
    pages = []
    for process in ("gateway", "feeds", "measure"):
        with urllib.request.urlopen(
            f"http://{installation.address(process, 'metrics')}/metrics", timeout=10
        ) as page:
            pages.append(page.read())
    return b"\n".join(pages)


def _commands(installation: Installation) -> bytes:
    """What the operator's commands print."""
    ein = Path(sys.executable).with_name("ein")
    printed = b""
    for command in (["report", "--json"], ["report"], ["status", "--json"], ["programs"]):
        done = subprocess.run(
            [str(ein), *command, "--config", str(installation.config)], capture_output=True, check=False
        )
        printed += done.stdout + done.stderr
    return printed


def _plant_all(state: Path) -> list[str]:
    """Plants a leak in each kind of sink of a finished run; names of those that the scan misses."""
    missed = []

    def journal(path: Path) -> None:
        with path.open("ab") as file:
            file.write(b"\x08\x01" + EMAIL.encode())

    def database(path: Path) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute("create table planted (v text)")
            connection.execute("insert into planted values (?)", (IP,))

    def lake(path: Path) -> None:
        parquet.write_table(pa.table({"v": [DEVICE] * 50}), path.with_name("planted.parquet"))

    def log(path: Path) -> None:
        with path.open("a") as file:
            file.write(json.dumps({"event": "odd", "detail": CANARIES["pan-harbor"]}) + "\n")

    kinds: list[tuple[str, str, Callable[[Path], None]]] = [
        ("journal", "gateway/journal/evaluations/*.journal", journal),
        ("feeds journal", "feeds/journal/deliveries/*.journal", journal),
        ("database", "feeds/feeds.sqlite3", database),
        ("lake", "measure/lake/**/*.parquet", lake),
        ("log", "logs/gateway.log", log),
    ]
    for name, pattern, plant in kinds:
        with tempfile.TemporaryDirectory(prefix="ein-") as copy:
            target = Path(copy) / "state"
            shutil.copytree(state, target, ignore=shutil.ignore_patterns("*.sock", "wake.*"))
            files = sorted(target.glob(pattern))
            assert files, f"no file for {name}: {pattern}"
            plant(files[0])
            if not scan_tree(target, CANARIES):
                missed.append(name)
    return missed


def run(full: bool) -> dict[str, Any]:
    count = 4_000 if full else 600
    with tempfile.TemporaryDirectory(prefix="ein-") as folder:
        with Installation(Path(folder)) as installation:
            told, shared, sent = asyncio.run(_traffic(installation, count))
            tokens, wire = _drain_streams(installation)
            time.sleep(2.0)
            live: list[Leak] = []
            for sink, content in (
                ("answers and errors", told),
                ("tokens on the wire", wire),
                ("metrics", _metrics(installation)),
                ("commands", _commands(installation)),
            ):
                assert content, sink
                live += scan_bytes(sink, content, CANARIES)
            state = installation.state.root
        assert shared, "nothing was shared: the check could not fail"
        assert tokens, "nothing was delivered: the check could not fail"
        found = live + scan_tree(state, CANARIES)
        assert not found, found[:10]
        scanned = sum(path.stat().st_size for path in state.rglob("*") if path.is_file())
        missed = _plant_all(state)
        assert not missed, f"planted leaks were not found in: {missed}"
    return {
        "payments": sent,
        "payments_with_a_share": shared,
        "tokens_delivered": tokens,
        "canaries": len(CANARIES),
        "bytes_scanned": scanned,
        "leaks": len(found),
        "planted_leaks_found": 5,
    }
