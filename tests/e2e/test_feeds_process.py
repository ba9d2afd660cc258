"""`ein feeds` as it runs: a real process, real journals and sockets, killed in the middle."""

import base64
import json
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import grpc
import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from gateway.backends.embedded.delivery import shares_already_left
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs import switches
from gateway.records import journal
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import feed_pb2 as v1
from tests.kit.feeds_process import DEADLINE_S, Feeds, until
from tests.kit.installation import Installation, policy_with
from tests.kit.operators import register, token_of
from tests.unit.feeds.records import LOOKUP, SSF, references

BANK = "northgate-bank"
SHARED, WAITING, KILLED, CRASHED = "bank-shared", "bank-waiting", "bank-killed", "bank-crashed"
ACKING, ASKED, SLOW, COUNTED = "bank-acking", "bank-asked", "bank-slow", "bank-counted"
ISSUERS = (SHARED, WAITING, KILLED, CRASHED, ACKING, ASKED, SLOW, COUNTED)
"""A recipient, and so a stream, for each test: they share one process."""


@pytest.fixture(scope="module")
def feeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feeds]:
    installation = Installation(
        tmp_path_factory.mktemp("feeds"), processes=("feeds",), policy=policy_with(*ISSUERS)
    )
    for recipient_id in ISSUERS:
        installation.token(recipient_id, "issuer")
    register(installation.settings, "ops")
    installation.tokens["ops"] = token_of(installation.settings, "ops")
    with installation:
        running = Feeds(installation)
        yield running
        running.close()


def _claims(feeds: Feeds, token: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(feeds.get("/.well-known/jwks.json"))
    signed = jws.deserialize_compact(token, keys, algorithms=["ES256"])
    claims: dict[str, Any] = json.loads(signed.payload)
    return claims


def _event(claims: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    [(uri, event)] = claims["events"].items()
    return uri, event


def _sets(feeds: Feeds, recipient_id: str, count: int) -> dict[str, str]:
    """Sets of a poll that acknowledges nothing, once `count` are there."""
    sets: dict[str, str] = until(
        lambda: found if len(found := feeds.poll(recipient_id, maxEvents=1000)["sets"]) >= count else None
    )
    return sets


def test_a_share_is_polled_verified_looked_up_and_receipted(feeds: Feeds) -> None:
    [number] = feeds.pay(1, SHARED)
    share_id = f"share-{number}"
    [(jti, token)] = _sets(feeds, SHARED, 1).items()
    claims = _claims(feeds, token)
    uri, event = _event(claims)
    assert uri == "urn:x-issuernetwork:event:share:v1"
    assert (claims["aud"], claims["txn"], claims["jti"]) == (SHARED, f"evaluation-{number}", jti)
    assert (event["stream_seq"], event["share_id"], event["encryptedData"]) == (1, share_id, "e30.a.b.c.d")
    configuration = feeds.get("/.well-known/ssf-configuration")
    assert configuration["delivery_methods_supported"] == ["urn:ietf:rfc:8936"]

    question = v1.LookupRequest(match=references(number))
    found = feeds.call("Lookup", question, SHARED)
    assert found.match == v1.MATCH_RESULT_UNIQUE
    assert [(one.share_id, one.signed_set) for one in found.shares] == [(share_id, token)]
    assert feeds.call("Lookup", question, WAITING).match == v1.MATCH_RESULT_NOT_MATCHED

    receipt = v1.Receipt(receipt_id="r1", share_id=share_id, use=v1.RECEIPT_USE_USED, approved=True)
    request = v1.ReportReceiptsRequest(receipts=[receipt])
    foreign = feeds.call("ReportReceipts", request, WAITING)
    assert [issue.field for issue in foreign.results[0].field_issues] == ["share_id"]
    first, again = (feeds.call("ReportReceipts", request, SHARED).results[0] for _ in range(2))
    assert (first.recorded, first.duplicate) == (True, False)
    assert (again.recorded, again.duplicate) == (True, True)
    [kept] = [storage.ReceiptRecord.FromString(raw) for raw in feeds.records(journal.RECEIPTS)]
    assert (kept.sender_id, kept.payment_intent_id, kept.program) == (
        "payments", f"payment-{number}", "risk-score",
    )  # fmt: skip

    assert feeds.poll(SHARED, ack=[jti])["sets"] == {}
    steps = [(record.transport, record.event) for record in feeds.deliveries(SHARED)]
    by_stream = [event for transport, event in steps if transport == SSF]
    assert by_stream[0] == storage.DELIVERY_EVENT_ENQUEUED
    assert by_stream[-1] == storage.DELIVERY_EVENT_ACKNOWLEDGED
    assert (LOOKUP, storage.DELIVERY_EVENT_SENT) in steps


def test_callers_without_a_right_to_it_learn_nothing(feeds: Feeds) -> None:
    for token, stream in ((BANK, "harbor-federal"), ("payments", BANK), ("ops", BANK)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            feeds.poll(stream, token=token)
        assert refused.value.code == 404
        refused.value.close()
    with pytest.raises(grpc.RpcError) as denied:
        feeds.call("Lookup", v1.LookupRequest(match=references(0)), "payments")
    assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_waiting_poll_is_answered_as_soon_as_something_is_shared(feeds: Feeds) -> None:
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(feeds.poll, WAITING, returnImmediately=False)
        # Had the poll come later than the payment it would be answered at once as well.
        assert not waiting.done()
        started_s = time.monotonic()
        [number] = feeds.pay(1, WAITING)
        assert list(waiting.result(20)["sets"]) == [f"share-{number}"]
    assert time.monotonic() - started_s < 10, "it waited for the end of the long poll"


def test_what_a_long_poll_acknowledges_is_recorded_while_it_still_waits(feeds: Feeds) -> None:
    [number] = feeds.pay(1, ACKING)
    [jti] = _sets(feeds, ACKING, 1)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(feeds.poll, ACKING, returnImmediately=False, ack=[jti])
        until(
            lambda: [
                one for one in feeds.deliveries(ACKING) if one.event == storage.DELIVERY_EVENT_ACKNOWLEDGED
            ]
        )
        assert not waiting.done()
        feeds.pay(1, ACKING)
        assert list(waiting.result(20)["sets"]) == [f"share-{number + 1}"]


def test_a_look_up_right_after_the_payment_finds_it_without_being_asked_twice(feeds: Feeds) -> None:
    for _ in range(5):
        [number] = feeds.pay(1, ASKED)
        found = feeds.call("Lookup", v1.LookupRequest(match=references(number)), ASKED)
        assert found.match == v1.MATCH_RESULT_UNIQUE
        assert [share.share_id for share in found.shares] == [f"share-{number}"]
        sent = [one for one in feeds.deliveries(ASKED) if one.event == storage.DELIVERY_EVENT_SENT]
        assert f"share-{number}" in {one.share_id for one in sent}, "left before its record"


def test_a_fraud_report_reaches_the_issuer_of_the_card_and_no_report_comes_back_to_its_reporter(
    feeds: Feeds,
) -> None:
    mine, other = feeds.pay(2, BANK)
    feeds.poll(BANK, ack=list(_sets(feeds, BANK, 2)), maxEvents=0)
    now_ms = time.time_ns() // 1_000_000

    def label(label_id: str, **about: Any) -> v1.LabelEvent:
        return v1.LabelEvent(
            label_id=label_id, kind=v1.LABEL_KIND_FRAUD, source=v1.LABEL_SOURCE_TC40,
            verb=v1.LABEL_VERB_REPORTED, state=v1.LABEL_STATE_CONFIRMED, effective_at_ms=now_ms - 1000,
            **about,
        )  # fmt: skip

    def report(principal: str, *labels: v1.LabelEvent) -> Any:
        return feeds.call("ReportLabels", v1.ReportLabelsRequest(labels=labels), principal).results

    [by_sender] = report("payments", label("l1", payment_intent_id=f"payment-{mine}"))
    assert (by_sender.recorded, list(by_sender.field_issues)) == (True, [])
    by_issuer = report(
        BANK, label("l1", match=references(other)), label("l2", share_id="nobody's"), label("")
    )
    assert [result.recorded for result in by_issuer] == [True, True, False]
    assert [issue.field for issue in by_issuer[2].field_issues] == ["label_id"]

    records = [storage.LabelRecord.FromString(raw) for raw in feeds.records(journal.LABELS)]
    assert [(record.reporter_id, record.matched) for record in records] == [
        ("payments", True), (BANK, True), (BANK, False),
    ]  # fmt: skip
    assert [(one.program, one.outcome) for one in records[0].decisions] == [
        ("fraud-reports", storage.DECISION_OUTCOME_RELEASED)
    ]
    assert not records[1].decisions
    [token] = _sets(feeds, BANK, 1).values()
    _, event = _event(_claims(feeds, token))
    assert (event["program"], event["stream_seq"]) == ("fraud-reports", 3)
    header = json.loads(base64.urlsafe_b64decode(event["encryptedData"].split(".")[0] + "=="))
    assert header["kid"] == "northgate-bank-1"


def test_a_kill_turns_what_is_queued_into_signed_tombstones_at_their_own_places(feeds: Feeds) -> None:
    [number, *_] = feeds.pay(5, KILLED)
    before = _sets(feeds, KILLED, 5)
    policy = SqlitePolicyStore(str(feeds.state.policy_db), SystemClock())
    policy.kill("risk-score", KILLED, actor="test", reason="test")
    policy.close()
    after: dict[str, str] = until(
        lambda: found if not set(found := feeds.poll(KILLED, maxEvents=1000)["sets"]) & set(before) else None
    )
    events = [_event(_claims(feeds, token)) for token in after.values()]
    assert {uri for uri, _ in events} == {"urn:x-issuernetwork:event:withdrawn:v1"}
    assert sorted(event["stream_seq"] for _, event in events) == [1, 2, 3, 4, 5]
    assert {event["reason"] for _, event in events} == {"killed"}
    found = feeds.call("Lookup", v1.LookupRequest(match=references(number)), KILLED)
    assert found.match == v1.MATCH_RESULT_NOT_MATCHED
    assert shares_already_left(feeds.state.feeds_db, "risk-score", KILLED).ssf == 5
    feeds.poll(KILLED, ack=list(before))
    left = feeds.poll(KILLED, maxEvents=1000)["sets"]
    assert len(left) == 5, "an ack of the data is none of the tombstone"


def _drained(reader: socket.socket) -> bytes:
    """All that comes until it is quiet, or the connection ends."""
    reader.settimeout(0.5)
    found = b""
    with suppress(OSError):
        while more := reader.recv(1 << 16):
            found += more
    return found


def test_what_a_slow_receiver_has_not_read_does_not_leave_after_the_kill(feeds: Feeds) -> None:
    count = len(feeds.pay(200, SLOW, sealed=b"e30.a.b." + b"c" * 6000 + b".d"))
    until(lambda: len(feeds.deliveries(SLOW)) >= 2 * count)
    host, _, port = feeds.installation.address("feeds", "http").removeprefix("http://").partition(":")
    body = b'{"returnImmediately":true}'
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect((host, int(port)))
        head = (
            f"POST /ssf/streams/stream-{SLOW}/poll HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Authorization: Bearer {feeds.installation.tokens[SLOW]}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        reader.sendall(head.encode() + body)
        # Its first bytes are here, the rest waits for us.
        reader.settimeout(DEADLINE_S)
        assert reader.recv(1, socket.MSG_PEEK)
        clock = SystemClock()
        policy = SqlitePolicyStore(str(feeds.state.policy_db), clock)
        board = FileLeaseBoard(RealDisk(), str(feeds.state.leases))
        killed = switches.stop(
            policy.kill, board, clock, time.sleep, program="risk-score", issuer_id=SLOW, actor="t", reason="t"
        )
        policy.close()
        assert not killed.workers_waiting
        supervisor = feeds.installation.supervisor
        supervisor.signal("feeds", signal.SIGSTOP)
        try:
            in_the_kernel = _drained(reader)
        finally:
            supervisor.signal("feeds", signal.SIGCONT)
        after = _drained(reader)
    assert in_the_kernel.startswith(b"HTTP/1.1 200")
    assert after == b"", "left the process after the kill had returned"
    [first, *_] = feeds.poll(SLOW, maxEvents=5)["sets"]
    assert first.endswith(".w"), "nothing was acknowledged: the places are offered again"


def test_a_look_up_just_before_a_crash_is_counted_at_the_next_start(feeds: Feeds) -> None:
    [number] = feeds.pay(1, COUNTED)
    assert feeds.call("Lookup", v1.LookupRequest(match=references(number)), COUNTED).shares
    feeds.installation.supervisor.signal("feeds", signal.SIGKILL)
    feeds.installation.supervisor.respawn("feeds")
    left = shares_already_left(feeds.state.feeds_db, "risk-score", COUNTED)
    assert (left.lookup, left.shares) == (1, 1)


class _Receiver:
    """Takes sets, and holds that a place never has other bytes."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self._acks: list[str] = []
        self.seen: dict[int, str] = {}

    def round(self, max_events: int) -> int:
        """Polls once; the places seen so far."""
        try:
            reply = self._feeds.poll(CRASHED, ack=self._acks, maxEvents=max_events)
        except OSError:
            return len(self.seen)
        self._acks = list(reply["sets"])
        for token in reply["sets"].values():
            place = _event(_payload(token))[1]["stream_seq"]
            assert self.seen.setdefault(place, token) == token, "other bytes at the same place"
        return len(self.seen)


def test_nothing_is_lost_nor_doubled_when_the_process_is_killed_in_the_middle(feeds: Feeds) -> None:
    receiver = _Receiver(feeds)
    shares: set[str] = set()
    for _ in range(3):
        shares |= {f"share-{number}" for number in feeds.pay(200, CRASHED)}
        receiver.round(37)
        receiver.round(37)
        feeds.installation.supervisor.signal("feeds", signal.SIGKILL)
        feeds.installation.supervisor.respawn("feeds")
    until(lambda: receiver.round(1000) >= len(shares))
    receiver.round(0)

    assert sorted(receiver.seen) == list(range(1, len(shares) + 1))
    assert {_payload(token)["sub_id"]["id"] for token in receiver.seen.values()} == shares
    records = [record for record in feeds.deliveries(CRASHED) if record.transport == SSF]
    for event in (storage.DELIVERY_EVENT_ENQUEUED, storage.DELIVERY_EVENT_SENT):
        assert {record.share_id for record in records if record.event == event} == shares
    assert len({(record.share_id, record.stream_seq) for record in records}) == len(shares)


def _payload(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return payload
