"""An installation that is broken one step at a time, and the real bytes of all that leaves it.

What left is told by the bytes that its servers sent, as a tap in each connection saw them: a canary as it is
or encoded, an element for the authorization message, a sealed body that a recipient's key opens.
"""

import base64
import json
import os
import re
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import grpc
import yaml

from gateway.backends.embedded.journal import FileJournalReader
from gateway.backends.embedded.ledger import SqliteLedgerReader
from gateway.records.journal import DELIVERIES, EVALUATIONS, FIRST
from gateway.runtime.disk import RealDisk
from gateway.server import exit_codes
from gateway.server.policy import read_policy
from issuernetwork._jose import JweOpener, RefusedToken, open_key
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import common_pb2 as common
from issuernetwork.v1 import enrichment_pb2 as v1
from issuernetwork.v1 import feed_pb2 as feed
from tests.canaries import scan_bytes, scan_tree
from tests.kit.faults import LOOKUP, MESSAGE, STREAM
from tests.kit.faulty_process import Faulty, make_faulty
from tests.kit.installation import SAMPLE_POLICY, Installation
from tests.kit.payments import HARBOR, MERIDIAN, NORTHGATE, pan, payment
from tests.kit.tap import Tap

ISSUERS = {"harbor-federal": HARBOR, "meridian-cards": MERIDIAN, "northgate-bank": NORTHGATE}
"""Harbor gets personal data by stream and look-up, Meridian elements of the message, Northgate a score."""

CARD = 4_711_000
CANARIES = {
    "email": "canary.ada.lovelace@mailbox.internal",
    "phone": "+12025550199",
    "name": "Canaria Lovelace",
    "street": "17 Canary Wharf Lane",
    "ip": "44.128.7.177",
    "device": "canary-device-7f3a",
    "agent": "CanaryBrowser/7.1 (planted)",
    **{f"pan-{issuer_id}": pan(iin, CARD) for issuer_id, iin in ISSUERS.items()},
}
_ELEMENT = b"DE48.SE7"
_SEGMENT = rb"[A-Za-z0-9_-]{8,}"
_JWS = re.compile(rb"(?<![A-Za-z0-9_.-])" + rb"\.".join([_SEGMENT] * 3) + rb"(?![A-Za-z0-9_.-])")
_JWE = re.compile(rb"eyJ[A-Za-z0-9_-]*\." + rb"\.".join([_SEGMENT] * 4))
_ENRICH = "/issuernetwork.v1.EnrichmentService/EnrichAuthorization"
_BATCH = "/issuernetwork.v1.EnrichmentService/BatchEnrichAuthorizations"
_LOOKUP = "/issuernetwork.v1.FeedService/Lookup"
CALL_LIMIT_S = 5.0
SETTLE_S = 10.0


def policy() -> dict[str, str]:
    """The sample policy without holdouts, and with a condition that every payment of ours meets."""
    files = dict(read_policy(SAMPLE_POLICY))

    def change(name: str, **members: object) -> None:
        files[name] = yaml.safe_dump({**yaml.safe_load(files[name]), **members})

    change("experiment.yaml", global_holdout_percent=0)
    for program in ("risk-score", "enhanced-data"):
        change(f"programs/{program}.yaml", holdout_percent=0)
    for name in (name for name in files if name.startswith("enrolments/") and "fraud" not in name):
        change(name, when={"channel": ["ecom"]})
    return files


def planted(number: int, issuer_id: str) -> v1.EnrichAuthorizationRequest:
    """A payment with a canary in every personal field."""
    request = payment(number, iin=ISSUERS[issuer_id], card=CARD, prefix="c")
    request.customer.email, request.customer.phone_e164 = CANARIES["email"], CANARIES["phone"]
    request.customer.name = CANARIES["name"]
    for place in (request.customer.billing, request.customer.shipping):
        place.line1 = CANARIES["street"]
    request.device.ip, request.device.device_id = CANARIES["ip"], CANARIES["device"]
    request.device.user_agent = CANARIES["agent"]
    return request


@dataclass(slots=True)
class Left:
    """What left, by what the servers sent. Shares by the transport that their bodies were found in."""

    shares: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    in_clear: list[str] = field(default_factory=list)
    """Canaries that anybody reads, and where."""

    def transports(self, but: set[str]) -> set[str]:
        """Those by which anything left that is not one of the shares `but`."""
        return {transport for transport, shares in self.shares.items() if shares - but}


@dataclass(slots=True)
class Asked:
    """Payments of one round and what their sender was told."""

    requests: list[v1.EnrichAuthorizationRequest] = field(default_factory=list)
    answers: list[v1.EnrichAuthorizationResponse] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def shared(self) -> set[str]:
        """Ids of the shares that the answers tell of as shared, or have elements of."""
        return {
            one.share_id
            for answer in self.answers
            for one in answer.decisions
            if one.status == common.SHARE_STATUS_SHARED or one.elements
        }

    def share_ids(self) -> set[str]:
        return {one.share_id for answer in self.answers for one in answer.decisions if one.share_id}


class Bench:
    """`with Bench(folder, front=...) as bench:` runs the gateway and the feeds, faultless."""

    def __init__(self, folder: Path, *, front: str) -> None:
        self.installation = Installation(folder, front=front, processes=("gateway", "feeds"), policy=policy())
        make_faulty(self.installation.supervisor)
        address = self.installation.address
        self._taps = {
            MESSAGE: Tap(lambda: address("gateway", "grpc")),
            LOOKUP: Tap(lambda: address("feeds", "grpc")),
            STREAM: Tap(lambda: address("feeds", "http").removeprefix("http://")),
        }
        self._opener = JweOpener(
            {key.kid: key for key in map(open_key, self.installation.recipient_keys.values())}
        )
        self._number = 0
        self.bytes_seen = 0
        self.known: set[str] = set()
        """Shares that were to leave, of payments between the faults."""

    def __enter__(self) -> "Bench":
        # What faults tell of: the processes inherit it.
        os.environ["EIN_PLANTED"] = " ".join(CANARIES.values())
        try:
            self.installation.__enter__()
        finally:
            del os.environ["EIN_PLANTED"]
        self._connect()
        return self

    def __exit__(self, *fault: object) -> None:
        for channel in (self._gateway, self._feeds):
            channel.close()
        self.installation.supervisor.stop()
        for tap in self._taps.values():
            tap.close()

    def _connect(self) -> None:
        self._gateway = grpc.insecure_channel(self._taps[MESSAGE].address)
        self._feeds = grpc.insecure_channel(self._taps[LOOKUP].address)

    @property
    def payments(self) -> int:
        return self._number

    @contextmanager
    def faulty(self, process: str) -> Iterator[Faulty]:
        control = Faulty(self.installation.state.run, process)
        try:
            yield control
        finally:
            control.close()

    # What the ends do.

    def pay(self, again: Asked | None = None) -> Asked:
        """A payment of each issuer by itself, and one of each in a batch; or those of `again` once more."""
        asked = Asked()
        caller = self.installation.metadata("payments")
        if again is not None:
            asked.requests = again.requests
        for issuer_id in (*ISSUERS, *ISSUERS) if again is None else ():
            self._number += 1
            asked.requests.append(planted(self._number, issuer_id))
        for request in asked.requests[:3]:
            raw = self._call(asked, self._gateway, _ENRICH, request.SerializeToString(), caller)
            if raw is not None:
                asked.answers.append(v1.EnrichAuthorizationResponse.FromString(raw))
        batch = v1.BatchEnrichAuthorizationsRequest(requests=asked.requests[3:])
        raw = self._call(asked, self._gateway, _BATCH, batch.SerializeToString(), caller)
        if raw is not None:
            for one in v1.BatchEnrichAuthorizationsResponse.FromString(raw).items:
                if one.HasField("error"):
                    asked.refused.append(grpc_name(one.error.code))
                else:
                    asked.answers.append(one.response)
        return asked

    def _call(
        self, asked: Asked, channel: grpc.Channel, path: str, payload: bytes, who: list[tuple[str, str]]
    ) -> bytes | None:
        try:
            raw: bytes = channel.unary_unary(path)(payload, metadata=who, timeout=CALL_LIMIT_S)
        except grpc.RpcError as refused:
            asked.refused.append(refused.code().name)  # type: ignore[attr-defined]
            asked.texts.append(f"{refused.details()} {refused.trailing_metadata()}")  # type: ignore[attr-defined]
            return None
        return raw

    def poll(self, recipient_id: str, acks: list[str]) -> list[str] | None:
        """Ids of the tokens of one poll; None where the server refuses."""
        http = self._taps[STREAM].address
        request = urllib.request.Request(
            f"http://{http}/ssf/streams/stream-{recipient_id}/poll",
            data=json.dumps({"returnImmediately": True, "ack": acks}).encode(),
            headers={"Authorization": f"Bearer {self.installation.tokens[recipient_id]}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=CALL_LIMIT_S) as reply:
                return list(json.loads(reply.read())["sets"])
        except (OSError, HTTPException, ValueError):
            return None

    def poll_all(self) -> None:
        """One poll of each stream, with nothing acknowledged."""
        for recipient_id in ISSUERS:
            self.poll(recipient_id, [])

    def look_up(self, asked: Asked) -> Asked:
        """Each payment's own issuer asks for it, by its own references; what became of the questions."""
        looked = Asked(texts=asked.texts)
        for request in asked.requests:
            recipient_id = next(name for name, iin in ISSUERS.items() if request.card.pan.startswith(iin))
            if recipient_id == "meridian-cards":
                continue
            question = feed.LookupRequest(
                match=common.MatchReferences(
                    acquiring_institution_id=request.acquirer.acquiring_institution_id,
                    retrieval_reference_number=request.acquirer.retrieval_reference_number,
                    attempted_at_ms=request.initiated_at_ms,
                )
            )
            who = self.installation.metadata(recipient_id)
            self._call(looked, self._feeds, _LOOKUP, question.SerializeToString(), who)
        return looked

    def settle(self) -> Asked:
        """Payments without a fault, to the last byte: what was on its way before has arrived with them."""
        deadline_s = time.monotonic() + SETTLE_S
        while True:
            asked = self.pay()
            if len(asked.shared()) >= len(asked.requests):
                break
            # A lease or a thread needs a moment after the fault.
            self.known |= asked.share_ids()
            assert time.monotonic() < deadline_s, (asked.refused, asked.answers)
            time.sleep(0.02)
        self.known |= asked.share_ids()
        while not self.feeds_ready():
            assert time.monotonic() < deadline_s, "the feeds' switches stay stale"
            time.sleep(0.02)
        self.drain(deadline_s)
        # Look-ups have a lease of their own.
        while self.look_up(asked).refused:
            assert time.monotonic() < deadline_s, "look-ups stay stale"
            time.sleep(0.02)
        return asked

    def feeds_ready(self) -> bool:
        """Whether anything may leave: a poll is answered either way."""
        try:
            with urllib.request.urlopen(
                f"{self.installation.address('feeds', 'http')}/healthz", timeout=CALL_LIMIT_S
            ) as page:
                return bool(page.status == 200)
        except OSError:
            return False

    def drain(self, deadline_s: float) -> None:
        """Polls with acknowledgements until nothing is queued and everything is fanned out."""
        for recipient_id in ISSUERS:
            acks: list[str] = []
            while True:
                came = self.poll(recipient_id, acks)
                if came == [] and self.fanned_out():
                    break
                acks = came or []
                assert time.monotonic() < deadline_s, f"the stream of {recipient_id} does not come to an end"
                if not came:
                    time.sleep(0.01)

    def fanned_out(self) -> bool:
        reader = FileJournalReader(RealDisk(), str(self.installation.state.gateway_journal))
        with self.faulty("feeds") as feeds:
            return int(feeds.ask("fanned_out")) >= reader.end(EVALUATIONS)

    def await_fan_out(self) -> None:
        deadline_s = time.monotonic() + SETTLE_S
        while not self.fanned_out():
            assert time.monotonic() < deadline_s, "fan-out does not catch up"
            time.sleep(0.005)

    def await_end(self, process: str) -> None:
        popen = self.installation.supervisor.children[process].popen
        assert popen is not None
        assert popen.wait(SETTLE_S) == exit_codes.FAULT

    def start_again(self, process: str) -> None:
        self.installation.supervisor.respawn(process)
        for channel in (self._gateway, self._feeds):
            channel.close()
        # A channel that found nobody there waits ever longer before it tries again.
        self._connect()

    # What came of it.

    def take(self, texts: list[str]) -> Left:
        """All that left since the last time, and what error texts said."""
        left = Left()
        for transport, tap in self._taps.items():
            sent = tap.take()
            self.bytes_seen += len(sent)
            left.in_clear += [f"{one.canary} in {transport}" for one in scan_bytes("", sent, CANARIES)]
            if _ELEMENT in sent:
                left.shares[MESSAGE].add("an element")
            for share_id in self._opened(sent):
                left.shares[transport].add(share_id)
        said = "\n".join(texts).encode()
        left.in_clear += [f"{one.canary} in an error" for one in scan_bytes("", said, CANARIES)]
        return left

    def _opened(self, sent: bytes) -> Iterator[str]:
        """Ids of shares whose bodies some recipient's key opens, in a token or bare."""
        sealed = {found.group() for found in _JWE.finditer(sent)}
        for found in _JWS.finditer(sent):
            segment = found.group().split(b".")[1]
            sealed |= set(_JWE.findall(base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))))
        for token in sealed:
            try:
                yield json.loads(self._opener.open(token))["share_id"]
            except RefusedToken:
                continue

    def durable(self) -> dict[str, set[str]]:
        """Shares by the transports that the journals, as they are on disk, have a record for."""
        state, found = self.installation.state, defaultdict[str, set[str]](set)
        for raw in _records(str(state.gateway_journal), EVALUATIONS):
            for decision in storage.Evaluation.FromString(raw).decisions:
                if decision.outcome == storage.DECISION_OUTCOME_RELEASED:
                    found["released"].add(decision.share_id)
        for raw in _records(str(state.feeds_journal), DELIVERIES):
            record = storage.DeliveryRecord.FromString(raw)
            if record.event == storage.DELIVERY_EVENT_SENT:
                by = STREAM if record.transport == common.TRANSPORT_SSF else LOOKUP
                found[by].add(record.share_id)
        return found

    def not_in_ledger(self) -> set[str]:
        """Shares that left by stream or look-up, and that the ledger has not got in time."""
        durable, deadline_s = self.durable(), time.monotonic() + SETTLE_S
        left = {share for share in durable[STREAM] | durable[LOOKUP] if share in durable["released"]}
        while left and time.monotonic() < deadline_s:
            # Anew each time: a reader sees the ledger as it was when it was opened.
            with closing(SqliteLedgerReader(self.installation.state.ledger_db)) as ledger:
                left = {share_id for share_id in left if not ledger.find(share_id)}
            time.sleep(0.05)
        return left

    def files(self) -> list[str]:
        """Canaries in any file of the state directory: journals, stores, ledger, logs."""
        found = scan_tree(self.installation.state.root, CANARIES)
        return [f"{leak.canary} ({leak.form}) in {leak.sink}" for leak in found]

    def metrics(self) -> list[str]:
        found: list[str] = []
        for process in ("gateway", "feeds"):
            url = f"http://{self.installation.address(process, 'metrics')}/metrics"
            with urllib.request.urlopen(url, timeout=CALL_LIMIT_S) as page:
                found += [leak.canary for leak in scan_bytes(process, page.read(), CANARIES)]
        return found


def grpc_name(code: int) -> str:
    return next(one.name for one in grpc.StatusCode if one.value[0] == code)


def _records(journal: str, topic: str) -> Iterator[bytes]:
    reader, after = FileJournalReader(RealDisk(), journal), FIRST
    while entries := reader.read(topic, after, 1_000):
        yield from (entry.payload for entry in entries)
        after = entries[-1].position
