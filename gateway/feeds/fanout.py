"""Fan-out: from journal entries to signed outbox items, one transaction a batch.

Pure but for its ports. At least once in, once out: a share seen before is dropped by its id.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.feeds.ports import (
    NO_EVALUATION,
    DeliveryReader,
    DeliveryStore,
    FanOutChange,
    Lapsed,
    Notice,
    OutboxItem,
    ShareRow,
    StopsCard,
    Switches,
)
from gateway.feeds.reading import DecisionSeen, EvaluationSeen, decision_seen, read_evaluation
from gateway.feeds.records import (
    SHARES_A_NOTICE_MAX,
    SignerOf,
    delivery_record,
    erasure_item,
    stream_of,
    told_reason,
    void_item,
    withdrawn_item,
)
from gateway.outcomes.matching import EvaluationRow, match_keys
from gateway.programs.model import CLEAR_PROFILE
from gateway.records.journal import EVALUATIONS, LABELS, Entry
from gateway.records.reasons import Reason
from gateway.sealing.keys import Signer
from gateway.sealing.set import share_set
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1.common_pb2 import TRANSPORT_LOOKUP, TRANSPORT_SSF

BATCH_MAX_ENTRIES = 128
"""Entries of one transaction: some 15 ms of signing and writing; a look-up waits no longer for them."""

ERASURES = "erasures"
"""Cases of the registry in place of a topic: the number of the last one whose recipients were told."""

PARTITION_SHIFT = 40
"""Room for 10^12 positions a partition in an evaluation_key, and for 2^23 partitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOutBatch:
    """A change to commit, and the streams to wake after it."""

    change: FanOutChange
    wake: frozenset[str]


@dataclass(slots=True)
class _Draft:
    evaluations: list[EvaluationRow] = field(default_factory=list)
    shares: list[ShareRow] = field(default_factory=list)
    items: list[OutboxItem] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    next_seqs: dict[str, int] = field(default_factory=dict)
    voids: dict[str, int] = field(default_factory=dict)


class FanOut:
    """Turns batches of entries into changes. Keeps nothing between batches: places come from the store."""

    def __init__(
        self,
        *,
        store: DeliveryStore,
        reader: DeliveryReader,
        signer_of: SignerOf,
        iss: str,
        lapsed: Lapsed = lambda merchant_id, platform_id, consent_id: None,
        stops_card: StopsCard = lambda unit_key, card_key, decided_at_ms: None,
        share_signer_of: Callable[[str], Signer | None] | None = None,
    ) -> None:
        """`share_signer_of`: of new shares alone, where it is not `signer_of`; None: nobody can."""
        self._lapsed = lapsed
        self._stops_card = stops_card
        self._store = store
        self._reader = reader
        self._signer_of = signer_of
        self._share_signer_of = share_signer_of or signer_of
        self._iss = iss

    def plan(
        self, topic: str, entries: Sequence[Entry], switches: Switches, *, now_ms: int, partition: int = 0
    ) -> FanOutBatch:
        """What a batch of `topic` (EVALUATIONS or LABELS) comes to. `entries` is not empty, in order."""
        draft = _Draft()
        if topic == EVALUATIONS:
            self._evaluations(draft, entries, switches, now_ms=now_ms, partition=partition)
        elif topic == LABELS:
            self._labels(draft, entries, switches, now_ms=now_ms)
        change = FanOutChange(
            topic=topic,
            partition=partition,
            position=entries[-1].position,
            at_ms=now_ms,
            evaluations=draft.evaluations,
            shares=draft.shares,
            items=draft.items,
            records=draft.records,
            next_seqs=draft.next_seqs,
        )
        return FanOutBatch(change=change, wake=frozenset(draft.next_seqs))

    def _evaluations(
        self, draft: _Draft, entries: Sequence[Entry], switches: Switches, *, now_ms: int, partition: int
    ) -> None:
        parsed = [(entry.position, read_evaluation(entry.payload)) for entry in entries]
        known = self._known([decision for _, record in parsed for decision in record.decisions])
        for position, record in parsed:
            row = _evaluation_row(record, partition << PARTITION_SHIFT | position)
            draft.evaluations.append(row)
            for decision in record.decisions:
                if not _is_new(decision, known):
                    continue
                self._share(
                    draft, decision, switches, now_ms=now_ms, row=row,
                    issuer_id=record.issuer_id, evaluation_id=record.evaluation_id,
                    decided_at_ms=record.decided_at_ms, card_keys=(record.unit_key, record.card_key),
                )  # fmt: skip

    def _labels(self, draft: _Draft, entries: Sequence[Entry], switches: Switches, *, now_ms: int) -> None:
        parsed = [storage.LabelRecord.FromString(entry.payload) for entry in entries]
        released = [[decision_seen(decision) for decision in record.decisions] for record in parsed]
        known = self._known([decision for decisions in released for decision in decisions])
        for record, decisions in zip(parsed, released, strict=True):
            for decision in decisions:
                if not _is_new(decision, known):
                    continue
                row = self._reader.evaluation_of_payment(
                    record.sender_id, record.payment_intent_id, record.attempt_no
                )
                self._share(
                    draft, decision, switches, now_ms=now_ms, row=row,
                    issuer_id=record.issuer_id, evaluation_id=record.label_evaluation_id,
                    decided_at_ms=record.label.recorded_at_ms, card_keys=(record.unit_key, record.card_key),
                )  # fmt: skip

    def notify(
        self,
        case_id: int,
        left: Mapping[str, Sequence[str]],
        *,
        name_of: Callable[[str, int], str],
        now_ms: int,
    ) -> FanOutBatch:
        """Orders to erase `left`: by recipient, the ids of the shares that it has or may have.

        `name_of` gives an order of (recipient_id, part) its name, the same each time, and no other order's.
        """
        draft = _Draft()
        notices = []
        for recipient_id, share_ids in left.items():
            for part, first in enumerate(range(0, len(share_ids), SHARES_A_NOTICE_MAX)):
                some = share_ids[first : first + SHARES_A_NOTICE_MAX]
                item = erasure_item(
                    name_of(recipient_id, part), some, recipient_id=recipient_id,
                    stream_seq=self._take_place(draft, recipient_id), signer_of=self._signer_of,
                    iss=self._iss, now_ms=now_ms,
                )  # fmt: skip
                self._skip_void(draft, item, now_ms=now_ms)
                draft.items.append(item)
                draft.records.append(delivery_record(item, storage.DELIVERY_EVENT_NOTICE, at_ms=now_ms))
                notices.append(
                    Notice(
                        case_id=case_id, recipient_id=recipient_id, share_id=item.share_id, shares=len(some),
                        told_at_ms=now_ms,
                    )
                )  # fmt: skip
        change = FanOutChange(
            topic=ERASURES, partition=0, position=case_id, at_ms=now_ms, items=draft.items,
            records=draft.records, next_seqs=draft.next_seqs, notices=notices,
        )  # fmt: skip
        return FanOutBatch(change=change, wake=frozenset(draft.next_seqs))

    def _known(self, decisions: Sequence[DecisionSeen]) -> set[str]:
        return self._store.known_shares([d.share_id for d in decisions if d.share_id])

    def _share(
        self,
        draft: _Draft,
        decision: DecisionSeen,
        switches: Switches,
        *,
        now_ms: int,
        row: EvaluationRow | None,
        issuer_id: str,
        evaluation_id: str,
        decided_at_ms: int,
        card_keys: tuple[bytes, bytes],
    ) -> None:
        share_id, transports = decision.share_id, decision.transports
        recipient_id, program = decision.recipient_id, decision.program
        merchant_id, platform_id = ("", "") if row is None else (row.merchant_id, row.platform_id)
        draft.shares.append(
            ShareRow(
                share_id=share_id, evaluation_key=NO_EVALUATION if row is None else row.evaluation_key,
                program=program, issuer_id=issuer_id, recipient_id=recipient_id,
                transports=transports, expires_at_ms=decision.expires_at_ms, consent_id=decision.consent_id,
                merchant_id=merchant_id, platform_id=platform_id,
                unit_key=card_keys[0], card_key=card_keys[1],
            )
        )  # fmt: skip
        on_stream, looked_up = TRANSPORT_SSF in transports, TRANSPORT_LOOKUP in transports
        if not (on_stream or looked_up):
            return
        clear = decision.profile == CLEAR_PROFILE
        if clear:
            # Of no subject: nothing in it ties it to what else is shared about the payment.
            evaluation_id = share_id
        seq = self._take_place(draft, recipient_id) if on_stream else 0
        signer = self._share_signer_of(recipient_id)
        signed = share_set(
            signer or self._signer_of(recipient_id),
            iss=self._iss, recipient_id=recipient_id, issued_at_ms=now_ms,
            jti=share_id, evaluation_id=evaluation_id, share_id=share_id,
            issuer_id=issuer_id, program=program, sealed=decision.sealed,
            stream_seq=seq or None, clear=clear,
        )  # fmt: skip
        item = OutboxItem(
            share_id=share_id, transport=TRANSPORT_SSF, recipient_id=recipient_id,
            program=program, issuer_id=issuer_id, evaluation_id=evaluation_id,
            stream_id=stream_of(recipient_id), stream_seq=seq, jti=share_id, set_bytes=signed,
        )  # fmt: skip
        # Decided while nothing stood against it, and taken back before it came here.
        reason = (
            (Reason.KEY_UNAVAILABLE if signer is None else None)
            or switches.stopped(program, issuer_id)
            or self._stops_card(*card_keys, decided_at_ms)
        )
        if reason is None:
            # Of a payment that is known no more nobody can say that its merchant still agrees.
            reason = (
                Reason.MERCHANT_CONSENT_MISSING
                if row is None
                else self._lapsed(merchant_id, platform_id, decision.consent_id)
            )
        if on_stream:
            self._skip_void(draft, item, now_ms=now_ms)
            self._enqueue(draft, item, reason, now_ms=now_ms)
        if looked_up:
            # The same bytes: a recipient that gets both by stream and by look-up sees one token.
            looked = replace(item, transport=TRANSPORT_LOOKUP, stream_id="", stream_seq=0)
            self._enqueue(draft, looked, reason, now_ms=now_ms)

    def _enqueue(self, draft: _Draft, item: OutboxItem, reason: Reason | None, *, now_ms: int) -> None:
        draft.records.append(delivery_record(item, storage.DELIVERY_EVENT_ENQUEUED, at_ms=now_ms))
        if reason is not None:
            item = withdrawn_item(
                item, told_reason(reason), signer_of=self._signer_of, iss=self._iss, now_ms=now_ms
            )
            draft.records.append(delivery_record(item, storage.DELIVERY_EVENT_WITHDRAWN, at_ms=now_ms))
        draft.items.append(item)

    def _take_place(self, draft: _Draft, recipient_id: str) -> int:
        stream_id = stream_of(recipient_id)
        seq = draft.next_seqs.get(stream_id)
        if seq is None:
            seq = self._store.next_seq(stream_id)
            first_free = self._store.first_free_seq()
            if seq < first_free:
                draft.voids[stream_id] = seq
                seq = first_free
        draft.next_seqs[stream_id] = seq + 1
        return seq

    def _skip_void(self, draft: _Draft, item: OutboxItem, *, now_ms: int) -> None:
        """The first item of a stream behind a restore brings one tombstone of the places that it skips."""
        first_seq = draft.voids.pop(item.stream_id, None)
        if first_seq is None:
            return
        void = void_item(
            item, first_seq, item.stream_seq - 1, signer_of=self._signer_of, iss=self._iss, now_ms=now_ms
        )
        draft.records.append(
            delivery_record(void, storage.DELIVERY_EVENT_WITHDRAWN, at_ms=now_ms, void_from_seq=first_seq)
        )
        draft.items.append(void)


def _is_new(decision: DecisionSeen, known: set[str]) -> bool:
    """Whether it released a share not seen before; sees it."""
    if decision.outcome != storage.DECISION_OUTCOME_RELEASED or decision.share_id in known:
        return False
    known.add(decision.share_id)
    return True


def _evaluation_row(record: EvaluationSeen, evaluation_key: int) -> EvaluationRow:
    keys = dict.fromkeys(match_keys(record.match))
    for decision in record.decisions:
        keys.update(dict.fromkeys(decision.match_keys))
    return EvaluationRow(
        evaluation_key=evaluation_key, evaluation_id=record.evaluation_id, sender_id=record.sender_id,
        merchant_id=record.merchant_id, platform_id=record.platform_id,
        payment_intent_id=record.payment_intent_id, attempt_no=record.attempt_no,
        issuer_id=record.issuer_id, unit_key=record.unit_key, card_key=record.card_key,
        initiated_at_ms=record.initiated_at_ms,
        channel=record.channel, mcc=record.mcc, amount_minor=record.amount_minor,
        currency=record.currency, cardholder_region=record.cardholder_region,
        merchant_country=record.merchant_country, match_keys=tuple(keys),
    )  # fmt: skip
