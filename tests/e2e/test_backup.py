"""The drill: a backup under load, everything gone, a restore elsewhere; nothing is lost or doubled."""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.backends.embedded.keyfiles import load_keys
from gateway.backends.embedded.ledger import SqliteLedgerReader
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.ledger.entry import ACTS_CHAIN, PREFIX
from gateway.records.journal import EVALUATIONS, LABELS
from gateway.records.reasons import Reason
from gateway.runtime.clock import SystemClock
from gateway.server.account import build_account, entries
from gateway.server.install import ISSUER_URL, write_settings
from gateway.server.settings import Settings, load_settings
from gateway.server.supervisor import Supervisor
from issuernetwork.receiver import Inbox, Offered, Receiver, Share, Withdrawn
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import common_pb2, enrichment_pb2, enrichment_pb2_grpc, feed_pb2, feed_pb2_grpc
from tests.kit.installation import Installation
from tests.kit.payments import HARBOR, payment

BANK = "northgate-bank"
EIN = [sys.executable, "-m", "gateway.server.cli.main"]
DEADLINE_S = 30.0
SENDERS = 3
OPTED_OUT = "m-1234"
CONSENTS = "party,party_id,tier,terms_version,evidence,valid_from,valid_until\n" + "".join(
    f"merchant,m-{n},opted-out,2026,list,2025-01-01,\n" for n in range(1_000, 1_600)
)
"""More than one pack of them."""


def ein(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*EIN, *arguments], capture_output=True, text=True, check=False, timeout=60)


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline_s:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError(f"not in time: {what}")


@dataclass(slots=True)
class Answer:
    """A payment and what its sender was told."""

    request: enrichment_pb2.EnrichAuthorizationRequest
    response: enrichment_pb2.EnrichAuthorizationResponse
    answered_at_ms: int

    @property
    def shared(self) -> set[str]:
        return {d.share_id for d in self.response.decisions if d.status == common_pb2.SHARE_STATUS_SHARED}

    def line(self) -> dict[str, Any]:
        names = {common_pb2.SHARE_STATUS_SHARED: "shared", common_pb2.SHARE_STATUS_WITHHELD: "withheld"}
        decisions = [
            {"status": names.get(one.status, "undetermined"), "share_id": one.share_id}
            for one in self.response.decisions
        ]
        return {"request_id": self.request.request_id, "answered": True, "decisions": decisions}


class Sender:
    """A payment service that goes on over the end of the installation."""

    def __init__(self, metadata: list[tuple[str, str]]) -> None:
        self._metadata = metadata
        self._lock = threading.Lock()
        self.answers: list[Answer] = []

    def send(self, supervisor: Supervisor, *requests: Any) -> list[Answer]:
        with grpc.insecure_channel(str(supervisor.addresses("gateway")["grpc"])) as channel:
            stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)  # type: ignore[no-untyped-call]
            found = []
            for request in requests:
                response = stub.EnrichAuthorization(request, metadata=self._metadata, timeout=DEADLINE_S)
                found.append(Answer(request, response, time.time_ns() // 1_000_000))
        with self._lock:
            self.answers += found
        return found

    def load(self, supervisor: Supervisor, prefix: str, stop: threading.Event) -> list[threading.Thread]:
        """Payments without a pause until `stop`."""

        def run(number: int) -> None:
            while not stop.is_set():
                self.send(supervisor, *(payment(n, prefix=prefix) for n in range(number, number + 5)))
                number += 5

        threads = [threading.Thread(target=run, args=(1_000_000 * (n + 1),)) for n in range(SENDERS)]
        for thread in threads:
            thread.start()
        return threads


@dataclass(slots=True)
class Bank:
    """An issuer's receiver, which keeps its own state: nothing of it is restored."""

    receiver: Receiver
    token: str
    log: list[dict[str, Any]] = field(default_factory=list)
    inbox: Inbox = field(init=False)
    jwks: dict[str, Any] = field(default_factory=dict)
    handed_out: list[Share | Withdrawn] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inbox = Inbox(on_duplicate=lambda item: self._note(item, duplicate=True))

    def poll(self, supervisor: Supervisor) -> bool:
        """One round; whether there may be more."""
        base = supervisor.addresses("feeds")["http"]
        with urllib.request.urlopen(f"{base}/.well-known/jwks.json", timeout=10) as reply:
            self.jwks.clear()
            self.jwks.update(json.load(reply))
        acks = self.inbox.acks()
        question = {"returnImmediately": True, "maxEvents": 500, "ack": acks}
        request = urllib.request.Request(
            f"{base}/ssf/streams/stream-{BANK}/poll",
            data=json.dumps(question).encode(),
            headers={"Authorization": f"Bearer {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=40) as reply:
            sets = json.load(reply)["sets"]
        self.inbox.acked(acks)
        for token in sets.values():
            item = self.receiver.open(token)
            if self.inbox.offer(item) is Offered.DUPLICATE:
                continue
        while (item := self.inbox.take()) is not None:
            self.handed_out.append(item)
            self._note(item, duplicate=False)
            self.inbox.handled(item)
        return bool(sets or self.inbox.acks())

    def _note(self, item: Share | Withdrawn, *, duplicate: bool) -> None:
        kind = "data" if isinstance(item, Share) else "withdrawn"
        self.log.append(
            {
                "share_id": item.share_id, "transport": "ssf", "program": item.program, "jti": item.jti,
                "stream_seq": item.stream_seq, "kind": kind, "verified": True, "duplicate": duplicate,
            }
        )  # fmt: skip

    @property
    def shares(self) -> list[str]:
        return [item.share_id for item in self.handed_out if isinstance(item, Share)]


@dataclass(slots=True)
class Drill:
    """What a whole drill left behind for the tests to look at."""

    lost: Installation
    settings: Settings
    supervisor: Supervisor
    sender: Sender
    bank: Bank
    archive: Path
    began_at_ms: int
    passed_before: int
    """Places of the stream that the bank had passed when everything went away."""
    restored: dict[str, Any]
    repeated: list[tuple[Answer, Answer]] = field(default_factory=list)
    after: list[Answer] = field(default_factory=list)

    def evaluations(self) -> dict[str, storage.Evaluation]:
        found = [storage.Evaluation.FromString(e.payload) for e in entries(self.journal, EVALUATIONS)]
        return {one.request_id: one for one in found}

    @property
    def journal(self) -> Path:
        return self.settings.state.gateway_journal


def label(number: int) -> feed_pb2.LabelEvent:
    """Fraud that the payment service reports: on the bank's stream too, in between of payments."""
    return feed_pb2.LabelEvent(
        label_id=f"l-{number}", payment_intent_id=f"first-i-{number}", attempt_no=1,
        kind=feed_pb2.LABEL_KIND_FRAUD, reported_at_ms=time.time_ns() // 1_000_000,
    )  # fmt: skip


def run_drill(folder: Path) -> Drill:
    for name in ("lost", "new"):
        (folder / name).mkdir()
    lost = Installation(folder / "lost")
    jwks: dict[str, Any] = {"keys": []}
    bank = Bank(
        Receiver(
            recipient_id=BANK,
            private_keys=[lost.recipient_keys[BANK]],
            jwks=lambda: dict(jwks),
            iss=ISSUER_URL,
        ),
        lost.tokens[BANK],
        jwks=jwks,
    )
    sender = Sender(lost.metadata("payments"))
    archive = folder / "backup.tar.gz"
    stop = threading.Event()
    with lost:
        store = SqlitePolicyStore(str(lost.state.policy_db), SystemClock())
        store.kill("enhanced-data", actor="tests", reason="drill")
        store.close()
        (folder / "consents.csv").write_text(CONSENTS)
        done = ein(
            "consent", "import", str(folder / "consents.csv"), "--reason", "drill",
            "--config", str(lost.config),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        sender.send(lost.supervisor, *(payment(n, prefix="first") for n in range(60)))
        until(lambda: bank.poll(lost.supervisor) and bank.shares, "a first share")
        threads = sender.load(lost.supervisor, "load", stop)
        try:
            until(lambda: len(sender.answers) > 150, "load")
            began_at_ms = time.time_ns() // 1_000_000
            done = ein("backup", str(archive), "--config", str(lost.config), "--json")
            assert done.returncode == 0, done.stderr
            behind = len(sender.answers)
            until(lambda: len(sender.answers) > behind + 150, "load after the backup")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        until(lambda: not bank.poll(lost.supervisor), "everything delivered")
        report_labels(lost, *(label(n) for n in range(20)))
        until(lambda: not bank.poll(lost.supervisor), "everything delivered")
    passed = bank.inbox.next_seq
    assert passed is not None
    settings = load_settings(write_settings(folder / "new"))
    done = ein("restore", str(archive), "--config", str(settings.source), "--json")
    assert done.returncode == 0, done.stderr
    restored = json.loads(done.stdout)
    return Drill(lost, settings, Supervisor(settings), sender, bank, archive, began_at_ms, passed, restored)


def report_labels(installation: Installation, *labels: feed_pb2.LabelEvent) -> None:
    with grpc.insecure_channel(installation.address("feeds", "grpc")) as channel:
        stub = feed_pb2_grpc.FeedServiceStub(channel)  # type: ignore[no-untyped-call]
        request = feed_pb2.ReportLabelsRequest(labels=labels)
        stub.ReportLabels(request, metadata=installation.metadata("payments"), timeout=DEADLINE_S)


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    drill = run_drill(tmp_path_factory.mktemp("drill"))
    supervisor = drill.supervisor
    # The archive has no passphrase: whoever keeps it brings it.
    passphrase = (drill.lost.state.keys / "passphrase").read_bytes()
    kept = drill.settings.state.keys / "passphrase"
    assert not kept.exists()
    kept.touch(mode=0o600)
    kept.write_bytes(passphrase)
    with supervisor:
        before = [answer for answer in drill.sender.answers if answer.answered_at_ms < drill.began_at_ms]
        again = drill.sender.send(supervisor, *(answer.request for answer in before))
        drill.repeated = list(zip(before, again, strict=True))
        new = [payment(n, prefix="after") for n in range(80)]
        new += [payment(n, prefix="after-harbor", iin=HARBOR) for n in range(20)]
        new += [payment(n, prefix="after-opted-out", merchant_id=OPTED_OUT) for n in range(20)]
        drill.after = drill.sender.send(supervisor, *new)
        wanted = {share for answer in drill.after for share in answer.shared}
        until(lambda: drill.bank.poll(supervisor) or wanted <= set(drill.bank.shares), "new shares")
        until(lambda: not drill.bank.poll(supervisor), "everything delivered")
        yield drill


def test_no_payment_acknowledged_before_the_backup_began_is_missing(drill: Drill) -> None:
    recorded = drill.evaluations()
    before = [answer for answer in drill.sender.answers if answer.answered_at_ms < drill.began_at_ms]
    assert len(before) > 150
    assert [a.request.request_id for a in before if a.request.request_id not in recorded] == []


def test_repeats_of_requests_from_before_get_the_same_answers(drill: Drill) -> None:
    assert drill.repeated
    for first, second in drill.repeated:
        assert first.response == second.response


def test_the_backup_was_made_under_load_and_something_came_after_it(drill: Drill) -> None:
    recorded = drill.evaluations()
    missing = [a for a in drill.sender.answers if a.request.request_id not in recorded]
    assert len(missing) > 50


def test_a_kill_from_before_holds_and_the_epoch_is_kept(drill: Drill) -> None:
    epochs = []
    for state in (drill.lost.state, drill.settings.state):
        store = SqlitePolicyStore(str(state.policy_db), SystemClock())
        epochs.append(store.epoch())
        assert [(s.program, s.state) for s in store.switches()] == [("enhanced-data", "killed")]
        store.close()
    assert epochs[0] == epochs[1] > 0
    harbor = [a for a in drill.after if a.request.request_id.startswith("after-harbor")]
    recorded = drill.evaluations()
    decisions = [d for one in harbor for d in recorded[one.request.request_id].decisions]
    reasons = {one.withhold_reason for one in decisions if one.program == "enhanced-data"}
    assert Reason.KILLED in reasons
    assert not any(answer.shared for answer in harbor)


def test_what_was_imported_before_the_backup_holds_behind_the_restore(drill: Drill) -> None:
    recorded = drill.evaluations()
    reasons = {one.withhold_reason for one in recorded["after-opted-out-r-7"].decisions}
    assert Reason.MERCHANT_OPTED_OUT in reasons
    opted_out = [a for a in drill.after if a.request.merchant_id == OPTED_OUT]
    assert len(opted_out) == 20
    assert not any(answer.shared for answer in opted_out)


def test_keys_open_and_are_those_of_before(drill: Drill) -> None:
    assert load_keys(drill.settings.state.keys).jwks == load_keys(drill.lost.state.keys).jwks


def test_the_bank_gets_everything_that_is_shared_after_the_restore_and_nothing_twice(drill: Drill) -> None:
    told = {share for answer in drill.after for share in answer.shared}
    assert told
    assert told <= set(drill.bank.shares)
    assert len(drill.bank.shares) == len(set(drill.bank.shares))


def test_no_place_of_a_stream_is_given_again_for_another_share(drill: Drill) -> None:
    assert drill.restored["first_free_seq"] > drill.passed_before
    shares: dict[int, set[str]] = {}
    for line in drill.bank.log:
        shares.setdefault(line["stream_seq"], set()).add(line["share_id"])
    assert {seq: ids for seq, ids in shares.items() if len(ids) > 1} == {}
    [void] = [item for item in drill.bank.handed_out if isinstance(item, Withdrawn)]
    assert void.reason == "restored"
    assert void.void_from_seq is not None
    assert (
        void.void_from_seq <= drill.passed_before <= drill.restored["first_free_seq"] - 1 == void.stream_seq
    )


def test_the_ledger_is_whole_and_goes_on(drill: Drill) -> None:
    until(lambda: drill.settings.state.ledger_heads.exists(), "a head")

    def acts() -> list[str]:
        with closing(SqliteLedgerReader(drill.settings.state.ledger_db)) as reader:
            return [json.loads(data[PREFIX.size :])["act"] for _, _, data in reader.rows(ACTS_CHAIN)]

    until(lambda: "restore" in acts(), "the restore itself in the ledger")
    done = ein("audit", "verify", "--config", str(drill.settings.source), "--json")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_account_of_what_is_left_adds_up(drill: Drill, tmp_path: Path) -> None:
    recorded = drill.evaluations()
    state = drill.settings.state
    labels = [storage.LabelRecord.FromString(e.payload) for e in entries(state.feeds_journal, LABELS)]
    decisions = [d for one in [*recorded.values(), *labels] for d in one.decisions]
    released = {one.share_id for one in decisions if one.share_id}
    sender, receiver = tmp_path / "sender.ndjson", tmp_path / "receiver.ndjson"
    answers = [a for a in drill.sender.answers if a.request.request_id in recorded]
    sender.write_text("".join(json.dumps(answer.line()) + "\n" for answer in answers))
    # What was shared after the backup is known to the bank alone.
    lines = [one for one in drill.bank.log if one["share_id"] in released or one["kind"] == "withdrawn"]
    receiver.write_text("".join(json.dumps(line) + "\n" for line in lines))
    account = build_account(state, sender_lists=[sender], receiver_logs=[receiver])
    assert account.broken == {}
    assert account.columns["lost"] == account.columns["duplicates"] == account.columns["outstanding"] == 0
