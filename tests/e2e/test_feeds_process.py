"""`ein feeds` as it runs: a real process, real journals and sockets, killed in the middle."""

import base64
import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from gateway.backends.embedded.delivery import shares_already_left
from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.records import journal
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import common_pb2 as common
from issuernetwork.v1 import feed_pb2 as v1
from issuernetwork.v1 import feed_pb2_grpc
from tests.prove.installation import Installation
from tests.unit.feeds.records import LOOKUP, SSF, decision, evaluation, references

BANK = "northgate-bank"
DEADLINE_S = 20.0


class Feeds:
    """A running `ein feeds` with a gateway journal that the test writes."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.state = installation.state
        self._gateway = FileJournalWriter(
            RealDisk(), SystemClock(), self.state.gateway_journal, journal.GATEWAY_TOPICS
        )
        self._next = 0

    def pay(self, count: int, **changes: object) -> list[str]:
        """Payments shared by stream and look-up; their share ids."""
        numbers = range(self._next, self._next + count)
        self._next += count
        records = [
            evaluation(number, decision(f"share-{number}", transports=(SSF, LOOKUP)), **changes)
            for number in numbers
        ]
        self._gateway.append(journal.EVALUATIONS, [record.SerializeToString() for record in records])
        return [f"share-{number}" for number in numbers]

    def poll(self, *, token: str = BANK, stream: str = BANK, **members: object) -> dict[str, Any]:
        base = self.installation.supervisor.addresses("feeds")["http"]
        request = urllib.request.Request(
            f"{base}/ssf/streams/stream-{stream}/poll",
            data=json.dumps({"returnImmediately": True, **members}).encode(),
            headers={"Authorization": f"Bearer {self.installation.tokens[token]}"},
        )
        with urllib.request.urlopen(request, timeout=40) as reply:
            found: dict[str, Any] = json.loads(reply.read())
        return found

    def get(self, path: str) -> Any:
        base = self.installation.supervisor.addresses("feeds")["http"]
        with urllib.request.urlopen(f"{base}{path}", timeout=10) as reply:
            return json.loads(reply.read())

    def call(self, method: str, request: Any, principal: str = BANK) -> Any:
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

    def close(self) -> None:
        self._gateway.close()


@pytest.fixture
def feeds(tmp_path: Path) -> Iterator[Feeds]:
    with Installation(tmp_path, processes=("feeds",)) as installation:
        running = Feeds(installation)
        yield running
        running.close()


def until(condition: Callable[[], Any]) -> Any:
    """The first true result; fails after the deadline."""
    deadline_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline_s:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError("it did not come true in time")


def _claims(feeds: Feeds, token: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(feeds.get("/.well-known/jwks.json"))
    signed = jws.deserialize_compact(token, keys, algorithms=["ES256"])
    claims: dict[str, Any] = json.loads(signed.payload)
    return claims


def _event(claims: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    [(uri, event)] = claims["events"].items()
    return uri, event


def _jtis(feeds: Feeds, count: int) -> dict[str, str]:
    """Sets of a poll that acknowledges nothing, once `count` are there."""
    sets: dict[str, str] = until(
        lambda: found if len(found := feeds.poll(maxEvents=1000)["sets"]) >= count else None
    )
    return sets


def test_a_share_is_polled_verified_looked_up_and_receipted(feeds: Feeds) -> None:
    [share_id] = feeds.pay(1)
    [(jti, token)] = _jtis(feeds, 1).items()
    claims = _claims(feeds, token)
    uri, event = _event(claims)
    assert uri == "urn:x-issuernetwork:event:share:v1"
    assert (claims["aud"], claims["txn"], claims["jti"]) == (BANK, "evaluation-0", jti)
    assert (event["stream_seq"], event["share_id"], event["encryptedData"]) == (1, share_id, "e30.a.b.c.d")
    assert feeds.get("/.well-known/ssf-configuration")["delivery_methods_supported"] == ["urn:ietf:rfc:8936"]

    found = feeds.call("Lookup", v1.LookupRequest(match=references(0)))
    assert found.match == v1.MATCH_RESULT_UNIQUE
    assert [(one.share_id, one.signed_set) for one in found.shares] == [(share_id, token)]
    assert feeds.call("Lookup", v1.LookupRequest(match=references(0)), "harbor-federal").match == (
        v1.MATCH_RESULT_NOT_MATCHED
    )

    receipt = v1.Receipt(receipt_id="r1", share_id=share_id, use=v1.RECEIPT_USE_USED, approved=True)
    foreign = feeds.call("ReportReceipts", v1.ReportReceiptsRequest(receipts=[receipt]), "harbor-federal")
    assert [issue.field for issue in foreign.results[0].field_issues] == ["share_id"]
    first = feeds.call("ReportReceipts", v1.ReportReceiptsRequest(receipts=[receipt]))
    again = feeds.call("ReportReceipts", v1.ReportReceiptsRequest(receipts=[receipt]))
    assert (first.results[0].recorded, first.results[0].duplicate) == (True, False)
    assert (again.results[0].recorded, again.results[0].duplicate) == (True, True)
    [kept] = [storage.ReceiptRecord.FromString(raw) for raw in feeds.records(journal.RECEIPTS)]
    assert (kept.sender_id, kept.payment_intent_id, kept.program) == ("payments", "payment-0", "risk-score")

    assert feeds.poll(ack=[jti])["sets"] == {}
    events = [storage.DeliveryRecord.FromString(raw) for raw in feeds.records(journal.DELIVERIES)]
    steps = [(record.transport, record.event) for record in events if record.transport == SSF]
    assert steps[0] == (SSF, storage.DELIVERY_EVENT_ENQUEUED)
    assert steps[-1] == (SSF, storage.DELIVERY_EVENT_ACKNOWLEDGED)
    assert (LOOKUP, storage.DELIVERY_EVENT_SENT) in [(r.transport, r.event) for r in events]


def test_callers_without_a_right_to_it_learn_nothing(feeds: Feeds) -> None:
    feeds.pay(1)
    for token, stream in ((BANK, "harbor-federal"), ("payments", BANK), ("ops", BANK)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            feeds.poll(token=token, stream=stream)
        assert refused.value.code == 404
        refused.value.close()
    with pytest.raises(grpc.RpcError) as denied:
        feeds.call("Lookup", v1.LookupRequest(match=references(0)), "payments")
    assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_waiting_poll_is_answered_as_soon_as_something_is_shared(feeds: Feeds) -> None:
    import threading

    answers: list[tuple[float, dict[str, Any]]] = []

    def wait() -> None:
        reply = feeds.poll(returnImmediately=False)
        answers.append((time.monotonic(), reply))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)  # long enough that the poll waits; a poll that came later would pass as well
    shared_s = time.monotonic()
    feeds.pay(1)
    thread.join(10)
    [(answered_s, reply)] = answers
    assert list(reply["sets"]) == ["share-0"]
    assert answered_s - shared_s < 2.0


def test_a_fraud_report_reaches_the_issuer_of_the_card_and_no_report_comes_back_to_its_reporter(
    feeds: Feeds,
) -> None:
    feeds.pay(2)
    jtis = list(_jtis(feeds, 2))
    feeds.poll(ack=jtis, maxEvents=0)
    now_ms = time.time_ns() // 1_000_000

    def label(label_id: str, **about: Any) -> v1.LabelEvent:
        return v1.LabelEvent(
            label_id=label_id, kind=v1.LABEL_KIND_FRAUD, source=v1.LABEL_SOURCE_TC40,
            verb=v1.LABEL_VERB_REPORTED, state=v1.LABEL_STATE_CONFIRMED, effective_at_ms=now_ms - 1000,
            **about,
        )  # fmt: skip

    by_sender = until(
        lambda: (
            found
            if (
                found := feeds.call(
                    "ReportLabels",
                    v1.ReportLabelsRequest(labels=[label("l1", payment_intent_id="payment-0")]),
                    "payments",
                )
            )
            .results[0]
            .recorded
            else None
        )
    )
    assert not by_sender.results[0].field_issues
    by_issuer = feeds.call(
        "ReportLabels",
        v1.ReportLabelsRequest(
            labels=[label("l1", match=references(1)), label("l2", share_id="nobody's"), label("")]
        ),
    )
    assert [result.recorded for result in by_issuer.results] == [True, True, False]
    assert [issue.field for issue in by_issuer.results[2].field_issues] == ["label_id"]

    records = [storage.LabelRecord.FromString(raw) for raw in feeds.records(journal.LABELS)]
    assert [(record.reporter_id, record.matched) for record in records] == [
        ("payments", True), (BANK, True), (BANK, False),
    ]  # fmt: skip
    assert [one.program for one in records[0].decisions] == ["fraud-reports"]
    assert records[0].decisions[0].outcome == storage.DECISION_OUTCOME_RELEASED
    assert not records[1].decisions
    [token] = _jtis(feeds, 1).values()
    _, event = _event(_claims(feeds, token))
    assert (event["program"], event["stream_seq"]) == ("fraud-reports", 3)
    header = json.loads(base64.urlsafe_b64decode(event["encryptedData"].split(".")[0] + "=="))
    assert header["kid"] == "northgate-bank-1"


def test_a_kill_turns_what_is_queued_into_signed_tombstones_at_their_own_places(feeds: Feeds) -> None:
    feeds.pay(5)
    before = _jtis(feeds, 5)
    policy = SqlitePolicyStore(str(feeds.state.policy_db), SystemClock())
    policy.kill("risk-score", BANK, actor="test", reason="test")
    policy.close()
    after: dict[str, str] = until(
        lambda: found if not set(found := feeds.poll(maxEvents=1000)["sets"]) & set(before) else None
    )
    events = [_event(_claims(feeds, token)) for token in after.values()]
    assert {uri for uri, _ in events} == {"urn:x-issuernetwork:event:withdrawn:v1"}
    assert sorted(event["stream_seq"] for _, event in events) == [1, 2, 3, 4, 5]
    assert {event["reason"] for _, event in events} == {"killed"}
    assert feeds.call("Lookup", v1.LookupRequest(match=references(0))).match == v1.MATCH_RESULT_NOT_MATCHED
    assert shares_already_left(feeds.state.feeds_db, "risk-score", BANK).ssf == 5
    feeds.poll(ack=list(before))
    assert len(feeds.poll(maxEvents=1000)["sets"]) == 5, "an ack of the data is none of the tombstone"


def test_nothing_is_lost_nor_doubled_when_the_process_is_killed_in_the_middle(feeds: Feeds) -> None:
    seen: dict[int, str] = {}
    shares: list[str] = []
    acks: list[str] = []
    for _ in range(3):
        shares += feeds.pay(200)
        for _ in range(2):
            try:
                reply = feeds.poll(ack=acks, maxEvents=37)
            except OSError:
                break
            acks = []
            for jti, token in reply["sets"].items():
                place = _payload(token)["events"]["urn:x-issuernetwork:event:share:v1"]["stream_seq"]
                assert seen.setdefault(place, token) == token, "other bytes at the same place"
                acks.append(jti)
        feeds.installation.supervisor.signal("feeds", signal.SIGKILL)
        feeds.installation.supervisor.respawn("feeds")

    def drained() -> bool:
        nonlocal acks
        reply = feeds.poll(ack=acks, maxEvents=1000)
        acks = list(reply["sets"])
        for token in reply["sets"].values():
            place = _payload(token)["events"]["urn:x-issuernetwork:event:share:v1"]["stream_seq"]
            assert seen.setdefault(place, token) == token, "other bytes at the same place"
        return len(seen) >= len(shares)

    until(drained)
    assert sorted(seen) == list(range(1, len(shares) + 1))
    assert sorted(_payload(token)["sub_id"]["id"] for token in seen.values()) == sorted(shares)
    feeds.poll(ack=acks)
    records = [storage.DeliveryRecord.FromString(raw) for raw in feeds.records(journal.DELIVERIES)]
    for event in (storage.DELIVERY_EVENT_ENQUEUED, storage.DELIVERY_EVENT_SENT):
        assert {r.share_id for r in records if r.event == event and r.transport == SSF} == set(shares)
    places = {(r.share_id, r.stream_seq) for r in records if r.transport == common.TRANSPORT_SSF}
    assert len(places) == len(shares), "a share has one place"


def _payload(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return payload
