"""A gateway in memory: the sample policy, a journal that is a list, switches and a clock that tests move."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from gateway.backends.embedded.velocity import EmbeddedVelocity
from gateway.programs.documents import load_policy
from gateway.programs.subjects import Subjects
from gateway.programs.switches import MAX_EPOCH, Lease, SwitchRunner, SwitchView
from gateway.programs.table import ReleaseTable, compile_table
from gateway.records.journal import EVALUATIONS, Entry, JournalReader
from gateway.records.reasons import Reason
from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing.jwe import Sealer
from gateway.sealing.jwk import recipient_keys
from gateway.sealing.keys import MacKey, StaticRecipientKeys
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sealing.token_epochs import TokenEpochs
from gateway.server.policy import read_policy
from gateway.sharing.fetch import Budgeted
from gateway.sharing.gateway import Gateway
from gateway.sharing.items import Item, Refusal, Result, Tally
from gateway.sharing.remembered import Remembered
from gateway.sharing.score_port import Scorer
from issuernetwork.storage.v1 import journal_pb2
from issuernetwork.v1 import common_pb2, enrichment_pb2
from simulator.recipient_keys import ec_pair
from tests.kit.installation import RECIPIENTS, SAMPLE_POLICY
from tests.kit.payments import payment

SHARED = common_pb2.SHARE_STATUS_SHARED
WITHHELD = common_pb2.SHARE_STATUS_WITHHELD
UNDETERMINED = common_pb2.SHARE_STATUS_UNDETERMINED
RELEASED = journal_pb2.DECISION_OUTCOME_RELEASED
NOW_MS = 1_790_000_000_000


class ListJournal:
    """Implements both journal ports. `fault` is raised instead of appending."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.batches: list[int] = []
        self.fault: Exception | None = None
        self.before_return = lambda: None

    def append(self, topic: str, payloads: Sequence[bytes], *, partition: int = 0) -> list[int]:
        assert topic == EVALUATIONS
        if self.fault is not None:
            raise self.fault
        first = len(self.payloads)
        self.payloads += payloads
        self.batches.append(len(payloads))
        self.before_return()
        return list(range(first, len(self.payloads)))

    def close(self) -> None:
        return

    def read(self, topic: str, after: int, max_records: int, *, partition: int = 0) -> list[Entry]:
        found = self.payloads[after + 1 : after + 1 + max_records]
        return [Entry(after + 1 + at, payload) for at, payload in enumerate(found)]

    def end(self, topic: str, *, partition: int = 0) -> int:
        return len(self.payloads) - 1

    def records(self) -> list[journal_pb2.Evaluation]:
        return [journal_pb2.Evaluation.FromString(payload) for payload in self.payloads]


class Switchboard:
    """Switch store and lease board in memory."""

    def __init__(self) -> None:
        self.now = SwitchView(1)
        self.leases: dict[str, Lease] = {}

    def view(self) -> SwitchView:
        return self.now

    def epoch(self) -> int:
        return self.now.epoch

    def stop(self, program: str, issuer_id: str = "", reason: Reason = Reason.KILLED) -> None:
        self.now = SwitchView(self.now.epoch + 1, {**self.now.stops, (program, issuer_id): reason})

    def renew(
        self, worker_id: str, epoch: int, expires_monotonic_ns: int, consent_epoch: int = MAX_EPOCH
    ) -> None:
        self.leases[worker_id] = Lease(worker_id, epoch, expires_monotonic_ns, consent_epoch=consent_epoch)

    def release(self, worker_id: str) -> None:
        self.leases.pop(worker_id, None)

    def fence(self, worker_id: str) -> bool:
        return False

    def read_all(self) -> list[Lease]:
        return list(self.leases.values())


class Macs:
    def unit(self) -> MacKey:
        return MacKey(b"u" * 32)

    def velocity(self) -> MacKey:
        return MacKey(b"v" * 32)

    def share(self) -> MacKey:
        return MacKey(b"s" * 32)

    def token(self, recipient_id: str, epoch: int) -> MacKey:
        return MacKey(f"{recipient_id}:{epoch}".encode().ljust(32, b"t"))


class CountingVelocity(EmbeddedVelocity):
    """Counts the round trips and the attempts."""

    __slots__ = ("attempts", "fault", "trips")

    def __init__(self) -> None:
        super().__init__(max_keys=4_096)
        self.caught_up()
        self.trips = self.attempts = 0
        self.fault: Exception | None = None

    def touch(self, batch: Any) -> Any:
        self.trips += 1
        self.attempts += len(batch)
        if self.fault is not None:
            raise self.fault
        return super().touch(batch)


@lru_cache(maxsize=1)
def sample_files() -> dict[str, str]:
    return read_policy(SAMPLE_POLICY)


@lru_cache(maxsize=1)
def sample_pairs() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    return {recipient: ec_pair(recipient) for recipient in RECIPIENTS}


@lru_cache(maxsize=1)
def sample_table() -> ReleaseTable:
    return compile_table(load_policy(sample_files(), version=7))


class Kit:
    """A gateway and all that it stands on."""

    def __init__(
        self,
        *,
        table: ReleaseTable | None = None,
        without_key: str = "",
        providers: Sequence[Budgeted] = (),
        scorer: Scorer | None = None,
    ) -> None:
        self.providers = providers
        self.scorer = scorer
        self.clock = SimClock(wall_ms=NOW_MS)
        self.journal = ListJournal()
        self.board = Switchboard()
        self.velocity = CountingVelocity()
        self.faults: list[tuple[str, BaseException]] = []
        self.runner = SwitchRunner(
            self.board,
            self.board,
            self.clock,
            "worker-1",
            reports_applied=True,  # type: ignore[arg-type]
        )
        self.keys = StaticRecipientKeys(
            tuple(
                key
                for name, (public, _) in sample_pairs().items()
                if name != without_key
                for key in recipient_keys(name, json.dumps({"keys": [public]}))
            )
        )
        self.table = table or sample_table()
        self.subjects = Subjects()
        self.token_epochs = TokenEpochs()
        self.gateway = self.make_gateway()
        for _ in range(3):
            self.renew()

    def make_gateway(self) -> Gateway:
        """Another process on the same journal, as after a restart; it remembers nothing yet."""
        reader: JournalReader = self.journal
        self.remembered = Remembered(reader, slots=1 << 12, ring_bytes=1 << 16)
        return Gateway(
            clock=self.clock,
            table=self.table,
            switches=self.runner,
            pseudonyms=Pseudonyms(Macs()),
            sealer=Sealer(UnsafeSeededEntropy(1), self.clock, self.keys),
            recipient_keys=self.keys,
            velocity=self.velocity,
            journal=self.journal,
            reader=reader,
            remembered=self.remembered,
            subjects=self.subjects,
            on_fault=lambda stage, fault: self.faults.append((stage, fault)),
            token_epochs=lambda: self.token_epochs,
            providers=self.providers,
            scorer=self.scorer,
        )

    def renew(self) -> None:
        """One round of the switch watcher, and the loop's word that it has nothing in hand."""
        self.runner.step()
        self.gateway.idle()

    def results(
        self,
        *requests: enrichment_pb2.EnrichAuthorizationRequest,
        sender_id: str = "shop-1",
        withhold: Reason | None = None,
        tally: Tally | None = None,
    ) -> list[Result]:
        items = [Item(sender_id, request.SerializeToString(), withhold) for request in requests]
        return self.gateway.enrich(items, tally or Tally())

    def answers(self, *requests: Any, **options: Any) -> list[enrichment_pb2.EnrichAuthorizationResponse]:
        return [parsed(result) for result in self.results(*requests, **options)]


def parsed(result: Result) -> enrichment_pb2.EnrichAuthorizationResponse:
    assert not isinstance(result, Refusal), result
    return enrichment_pb2.EnrichAuthorizationResponse.FromString(result)


def requests(count: int, **options: Any) -> list[Any]:
    options = {"now_ms": NOW_MS, **options}
    return [payment(number, **options) for number in range(count)]


def shared_one(kit: Kit, **options: Any) -> Any:
    """A request whose data is shared, not asked yet: arms come from the card, so a twin kit tells."""
    for request in requests(40, **options):
        (answer,) = Kit().answers(request)
        if any(decision.status == SHARED for decision in answer.decisions):
            return request
    raise AssertionError("none of 40 cards is in treatment")
