"""Wires the feeds: their store and journal, the gateway's journal, keys, policy and switches."""

import os
from dataclasses import dataclass
from functools import partial

from gateway.backends.embedded.approvals import SqliteApprovals
from gateway.backends.embedded.consents import SqliteConsents
from gateway.backends.embedded.delivery import SqliteDeliveryStore
from gateway.backends.embedded.delivery_reader import SqliteDeliveryReader
from gateway.backends.embedded.delivery_states import StoredDeliveries
from gateway.backends.embedded.enrolments import SqliteEnrolments
from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.backends.embedded.lake_followed import followed
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.ledger import SqliteLedgerReader, SqliteLedgerStore
from gateway.backends.embedded.ledger_acts import StoredActs
from gateway.backends.embedded.ledger_heads import AppendedHeads
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.backends.embedded.recipient_files import FileRecipientKeys
from gateway.backends.embedded.seen_ids import SqliteSeenIds
from gateway.backends.embedded.subjects import SqliteSubjects
from gateway.backends.embedded.token_keys import SqliteTokenKeys
from gateway.backends.embedded.wake import WakeListener, WakeSender
from gateway.feeds.delivery import DeliveryCore
from gateway.feeds.fanout import FanOut
from gateway.feeds.signers import StreamSigners
from gateway.measurement.ports import CASES
from gateway.outcomes.labels import LabelDesk
from gateway.programs.subjects import CaseEvent
from gateway.programs.switches import SwitchRunner
from gateway.records.journal import EVALUATIONS, FEEDS_TOPICS, JournalReader
from gateway.runtime.clock import Clock, SystemClock
from gateway.runtime.disk import Disk, RealDisk
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.jwe import Sealer
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.server.bootstrap.pins import pin_check
from gateway.server.consent_follower import ConsentFollower
from gateway.server.enrolment.desk import EnrolmentDesk
from gateway.server.feeds.case_names import CaseNames
from gateway.server.feeds.erasures import ErasureParts
from gateway.server.feeds.ledger import LedgerKeeper, LedgerParts
from gateway.server.feeds.token_key_desk import TokenKeyDesk
from gateway.server.own_keys import LiveKeys, key_files
from gateway.server.retention import bodies_since_ms
from gateway.server.settings import Settings
from gateway.server.state import StateDir
from gateway.server.verbs.keys import KeyDesk

FAN_OUT_CHUNK_BYTES = 64 * 1024
"""Some 25 records. Below the 128 KiB from which glibc maps and unmaps each buffer (mallopt(3))."""


@dataclass(frozen=True, slots=True)
class FeedsParts:
    """What `ein feeds` runs. A reader of the store for each thread that looks up."""

    clock: Clock
    store: SqliteDeliveryStore
    journal: FileJournalWriter
    gateway_journal: JournalReader
    own_journal: JournalReader
    listener: WakeListener
    wake_watchers: WakeSender
    """Called when there are new receipts or labels: nobody waits for what is delivered."""
    lookup_reader: SqliteDeliveryReader
    lookup_journal: JournalReader
    lookup_switches: SwitchRunner
    report_reader: SqliteDeliveryReader
    fan_out_reader: SqliteDeliveryReader
    fan_out: FanOut
    core: DeliveryCore
    labels: LabelDesk
    policy: SqlitePolicyStore
    registry: SqliteConsents
    cases: SqliteSubjects
    consents: ConsentFollower
    switches: SwitchRunner
    keys: LiveKeys
    key_desk: KeyDesk
    signers: StreamSigners
    ledger: LedgerKeeper
    names: CaseNames
    erasures: ErasureParts
    enrolments: SqliteEnrolments
    approvals: SqliteApprovals
    enrolment: EnrolmentDesk
    token_keys: TokenKeyDesk
    seen: SqliteSeenIds
    """Of tokens that others send."""

    def close(self) -> None:
        """The lease last: it says that nothing is shared any more."""
        self.listener.close()
        self.wake_watchers.close()
        for reader in (
            self.lookup_reader,
            self.report_reader,
            self.fan_out_reader,
            self.erasures.reader,
        ):
            reader.close()
        self.ledger.close()
        self.journal.close()
        self.store.close()
        self.lookup_switches.stop()
        self.switches.stop()
        self.policy.close()
        self.enrolments.close()
        self.approvals.close()
        self.token_keys.close()
        self.key_desk.close()
        self.seen.close()
        self.registry.close()
        self.cases.close()


def build_feeds(settings: Settings) -> FeedsParts:
    """Opens everything. Raises GatewayError where another process owns the store, or a file is unusable."""
    state, clock, disk, entropy = settings.state, SystemClock(), RealDisk(), SystemEntropy()
    keys = LiveKeys(key_files(settings, clock), clock)
    store = SqliteDeliveryStore(state.feeds_db)
    try:
        journal = FileJournalWriter(disk, clock, state.feeds_journal, FEEDS_TOPICS)
    except BaseException:
        store.close()
        raise

    signers = StreamSigners(keys.signer, keys.default, keys.followed)
    report_reader, fan_out_reader = store.reader(), store.reader()
    policy, board = SqlitePolicyStore(str(state.policy_db), clock), FileLeaseBoard(disk, str(state.leases))
    registry = SqliteConsents(str(state.consents_db), clock)
    cases = SqliteSubjects(str(state.consents_db), clock)
    consents = ConsentFollower(registry, cases, clock)
    names = CaseNames(cases, consents.subjects, clock, lambda: SqliteLedgerReader(state.ledger_db))
    enrolments = SqliteEnrolments(str(state.policy_db), clock)
    approvals = SqliteApprovals(str(state.policy_db), clock)
    ledger, pseudonyms = _ledger(settings, keys, clock, disk, names), Pseudonyms(keys.current.mac_keys)
    seen = SqliteSeenIds(state.seen_ids, began_ms=clock.wall_ms())
    fan_out = FanOut(
        store=store, reader=fan_out_reader, signer_of=signers.of, iss=settings.issuer_url,
        lapsed=consents.lapsed, stops_card=consents.subjects.stops, share_signer_of=signers.of_share,
    )  # fmt: skip
    return FeedsParts(
        clock=clock,
        store=store,
        journal=journal,
        gateway_journal=FileJournalReader(disk, str(state.gateway_journal), chunk_bytes=FAN_OUT_CHUNK_BYTES),
        own_journal=FileJournalReader(disk, str(state.feeds_journal)),
        listener=WakeListener(state.run, "gateway", "feeds"),
        wake_watchers=WakeSender(state.run, "feeds"),
        lookup_reader=store.reader(),
        lookup_journal=FileJournalReader(disk, str(state.gateway_journal)),
        lookup_switches=SwitchRunner(policy, board, clock, f"feeds-lookups-{os.getpid()}", consents=consents),
        report_reader=report_reader,
        fan_out_reader=fan_out_reader,
        fan_out=fan_out,
        core=DeliveryCore(store=store, signer_of=signers.of, iss=settings.issuer_url),
        labels=LabelDesk(
            index=report_reader,
            pseudonyms=pseudonyms,
            sealer=Sealer(entropy, clock, FileRecipientKeys(state.keys, clock, pin_check(state, clock))),
            signable=keys,
        ),
        policy=policy,
        # The loop says itself when nothing of an older epoch waits in a transport.
        switches=SwitchRunner(
            policy, board, clock, f"feeds-{os.getpid()}", reports_applied=True, consents=consents
        ),
        registry=registry,
        cases=cases,
        consents=consents,
        keys=keys,
        key_desk=KeyDesk.of(settings, keys.files, clock),
        signers=signers,
        ledger=ledger,
        names=names,
        erasures=_erasures(state, disk, clock, cases, store, fan_out, ledger, pseudonyms),
        enrolments=enrolments,
        approvals=approvals,
        enrolment=EnrolmentDesk(
            enrolments, approvals, issuer=settings.issuer_url, clock=clock, entropy=entropy, seen=seen
        ),
        token_keys=_token_keys(settings, keys, signers, clock),
        seen=seen,
    )


def _token_keys(settings: Settings, keys: LiveKeys, signers: StreamSigners, clock: Clock) -> TokenKeyDesk:
    state = settings.state
    return TokenKeyDesk(
        handed_out=SqliteTokenKeys(str(state.policy_db), clock),
        token_epochs=lambda: keys.current.token_epochs,
        mac_keys=keys.current.mac_keys,
        # Its own: a sealer is one thread's.
        sealer=Sealer(SystemEntropy(), clock, FileRecipientKeys(state.keys, clock, pin_check(state, clock))),
        signer_of=signers.of,
        iss=settings.issuer_url,
        clock=clock,
    )


def _erasures(
    state: StateDir,
    disk: Disk,
    clock: Clock,
    cases: SqliteSubjects,
    store: SqliteDeliveryStore,
    fan_out: FanOut,
    ledger: LedgerKeeper,
    pseudonyms: Pseudonyms,
) -> ErasureParts:
    gateway_journal = FileJournalReader(disk, str(state.gateway_journal))
    return ErasureParts(
        clock=clock,
        cases=cases,
        store=store,
        reader=store.reader(),
        fan_out=fan_out,
        open_ledger=lambda: SqliteLedgerReader(state.ledger_db),
        deliveries=StoredDeliveries(state.feeds_db),
        ledger_lag_s=ledger.lag_s,
        journal_end=lambda: gateway_journal.end(EVALUATIONS),
        name_of=partial(_order_name, pseudonyms),
        bodies_since_ms=lambda: bodies_since_ms(state, disk),
        lake_at=lambda: followed(state.measure_db, CASES),
    )


def _order_name(pseudonyms: Pseudonyms, case: CaseEvent, recipient_id: str, part: int) -> str:
    # With the time: after a restore the same number is another case.
    return pseudonyms.evaluation_id(recipient_id, f"erasure-{case.case_id}", part, str(case.at_ms))


def _ledger(settings: Settings, keys: LiveKeys, clock: Clock, disk: Disk, names: CaseNames) -> LedgerKeeper:
    state = settings.state
    return LedgerKeeper(
        LedgerParts(
            store=SqliteLedgerStore(state.ledger_db),
            gateway_journal=FileJournalReader(
                disk, str(state.gateway_journal), chunk_bytes=FAN_OUT_CHUNK_BYTES
            ),
            own_journal=FileJournalReader(disk, str(state.feeds_journal), chunk_bytes=FAN_OUT_CHUNK_BYTES),
            acts=StoredActs(state.policy_db, state.consents_db),
            heads=AppendedHeads(disk, state.ledger_heads),
            signer=keys.default,
            iss=settings.issuer_url,
            clock=clock,
            on_names=names.see,
        )
    )
