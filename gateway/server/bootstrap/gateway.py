"""Wires `ein gateway` on one machine: embedded backends, one hot loop, one grpcio server behind the front."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gateway.backends.embedded.approvals import SqliteApprovals
from gateway.backends.embedded.consents import SqliteConsents
from gateway.backends.embedded.journal import FILLED_BYTES, FileJournalReader, FileJournalWriter
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.backends.embedded.recipient_files import FileRecipientKeys
from gateway.backends.embedded.seen_ids import SqliteSeenIds
from gateway.backends.embedded.subjects import SqliteSubjects
from gateway.backends.embedded.velocity_store import LocalVelocity, make_velocity
from gateway.backends.embedded.wake import LateWake, WakeSender
from gateway.outcomes.recorder import KNOWN_SLOTS, OutcomeRecorder
from gateway.programs.documents import Known
from gateway.programs.model import PolicySnapshot
from gateway.programs.switches import SwitchRunner
from gateway.programs.table import compile_table
from gateway.records.journal import EVALUATIONS, GATEWAY_TOPICS
from gateway.runtime.clock import Clock, SystemClock
from gateway.runtime.disk import RealDisk
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.jwe import Sealer
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.server.bootstrap.callers import authenticator_of
from gateway.server.bootstrap.pins import pin_check
from gateway.server.consent_follower import ConsentFollower
from gateway.server.gateway.models import ModelWatch, Scoring
from gateway.server.identity import Authenticator
from gateway.server.own_keys import LiveKeys, key_files
from gateway.server.policy import usable_policy
from gateway.server.providers.build import Providers, build_providers
from gateway.server.settings import Settings
from gateway.server.state import StateDir
from gateway.sharing.gateway import Gateway
from gateway.sharing.remembered import WINDOW_MS, Positions, Remembered, tail_start
from issuernetwork.storage.v1 import journal_pb2

_FILLED = {EVALUATIONS: FILLED_BYTES}
"""Of the journal: what is appended to for every payment."""

REPLAY_RECORDS = 1_000
"""Records of the journal's tail taken in at a time."""


@dataclass(frozen=True, slots=True)
class OperatorStores:
    """What operators' calls write to and read. Connections of their own: a lease never waits for them."""

    policy: SqlitePolicyStore
    approvals: SqliteApprovals
    consents: SqliteConsents
    seen: SqliteSeenIds

    @staticmethod
    def open(state: StateDir, clock: Clock) -> "OperatorStores":
        policy_db = str(state.policy_db)
        return OperatorStores(
            SqlitePolicyStore(policy_db, clock),
            SqliteApprovals(policy_db, clock),
            SqliteConsents(str(state.consents_db), clock),
            SqliteSeenIds(state.seen_ids, began_ms=clock.wall_ms()),
        )

    def close(self) -> None:
        for store in (self.policy, self.approvals, self.consents, self.seen):
            store.close()


@dataclass(slots=True)
class GatewayParts:
    """What `ein gateway` runs on."""

    clock: Clock
    policy: PolicySnapshot
    """In force here, at hand: reading it anew takes seconds where there are thousands of merchants."""
    documents: Known
    """Those of the policy that the process starts with, for who follows it."""
    store: SqlitePolicyStore
    journal: FileJournalWriter
    board: FileLeaseBoard
    switches: SwitchRunner
    velocity: LocalVelocity
    gateway: Gateway
    authenticator: Authenticator
    outcomes: OutcomeRecorder
    keys: LiveKeys
    wake: LateWake
    registry: SqliteConsents
    cases: SqliteSubjects
    consents: ConsentFollower
    operator_stores: OperatorStores
    providers: Providers
    models: ModelWatch | None

    def close(self) -> None:
        """After the hot loop has ended: what it held is given back."""
        with suppress(OSError):
            self.switches.stop()
        self.journal.close()
        self.store.close()
        self.operator_stores.close()
        self.registry.close()
        self.cases.close()
        self.wake.close()
        self.providers.close()


def build_gateway(
    settings: Settings,
    worker_id: str,
    *,
    on_fault: Callable[[str, BaseException], None],
    scoring: Scoring | None = None,
) -> GatewayParts:
    """Opens everything and catches up. Raises GatewayError: no policy, bad keys, a held journal."""
    state, clock, disk, entropy = settings.state, SystemClock(), RealDisk(), SystemEntropy()
    keys = LiveKeys(key_files(settings, clock), clock)
    store = SqlitePolicyStore(str(state.policy_db), clock)
    providers = _providers(settings)
    documents: Known = {}
    policy = usable_policy(store, documents)
    wake = LateWake(WakeSender(state.run, "gateway"))
    journal = FileJournalWriter(disk, clock, state.gateway_journal, GATEWAY_TOPICS, wake=wake, filled=_FILLED)
    reader = FileJournalReader(disk, state.gateway_journal)
    velocity = make_velocity(max_keys=settings.gateway.velocity_max_keys)
    remembered = caught_up(reader, now_ms=clock.wall_ms())
    outcomes = OutcomeRecorder(journal, clock, Positions(KNOWN_SLOTS))
    outcomes.replay(FileJournalReader(disk, state.gateway_journal))
    board = FileLeaseBoard(disk, str(state.leases))
    board.sweep(clock)
    registry = SqliteConsents(str(state.consents_db), clock)
    cases = SqliteSubjects(str(state.consents_db), clock)
    consents = ConsentFollower(registry, cases, clock)
    table = consents.use(compile_table(policy))
    consents.step()
    switches = SwitchRunner(store, board, clock, worker_id, reports_applied=True, consents=consents)
    recipient_keys = FileRecipientKeys(state.keys, clock, pin_check(state, clock))
    gateway = Gateway(
        clock=clock,
        table=table,
        switches=switches,
        pseudonyms=Pseudonyms(keys.current.mac_keys),
        sealer=Sealer(entropy, clock, recipient_keys),
        recipient_keys=recipient_keys,
        velocity=velocity,
        journal=journal,
        reader=reader,
        remembered=remembered,
        subjects=consents.subjects,
        on_fault=on_fault,
        signable=keys,
        token_epochs=lambda: keys.current.token_epochs,
        velocity_budget_us=settings.providers.velocity.budget_us,
        providers=providers.budgeted,
        scorer=None if scoring is None else scoring.scorer,
    )
    return GatewayParts(
        clock,
        policy,
        documents,
        store,
        journal,
        board,
        switches,
        velocity,
        gateway,
        authenticator_of(state, settings.issuer_url, clock, keys),
        outcomes,
        keys,
        wake,
        registry,
        cases,
        consents,
        OperatorStores.open(state, clock),
        providers,
        None if scoring is None else scoring.watch,
    )


def _providers(settings: Settings) -> Providers:
    state = settings.state
    return build_providers(
        settings.providers, folder=settings.source.parent, copies=state.run, memory=state.provider_memory
    )


def caught_up(reader: FileJournalReader, *, now_ms: int) -> Remembered:
    """The requests of the last minutes. Velocity is caught up beside the hot loop: see `Warming`."""
    remembered = Remembered(reader)
    since_ms = now_ms - WINDOW_MS
    after = tail_start(reader, since_ms=since_ms)
    while entries := reader.read(EVALUATIONS, after, REPLAY_RECORDS):
        for entry in entries:
            record = journal_pb2.Evaluation.FromString(entry.payload)
            if record.decided_at_ms >= since_ms:
                remembered.replay(record, entry.position)
        after = entries[-1].position
    return remembered
