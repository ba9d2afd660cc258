"""From records of journals to changes of the ledger. Pure but for its store.

Evaluations and labels are read before the deliveries that came of them (`gateway/server/feeds/ledger.py`), so
that the decision behind a share is known when it leaves. The ledger says at least what left: a record is
durable before its effect, and nobody writes down that the effect did not happen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.ledger.entry import (
    ACTS_CHAIN,
    Act,
    StoredEntry,
    Tail,
    act_body,
    chain_of,
    gap_body,
    release_facts,
    returned_body,
    sent_body,
    unknown_facts,
)
from gateway.ledger.ports import CardShare, LedgerChange, LedgerStore, Release
from gateway.records.journal import DELIVERIES, EVALUATIONS, LABELS, Entry
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1.common_pb2 import TRANSPORT_MESSAGE, UNIT_SOURCE_CARD_REF

BATCH_MAX_ENTRIES = 64
"""Records of one transaction: some 3 ms of work, and deliveries wait for the interpreter no longer."""


@dataclass(slots=True)
class _Draft:
    tail: Tail
    entries: list[StoredEntry] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    cards: list[CardShare] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Released:
    position: int
    decided_at_ms: int
    decision: storage.Decision
    facts: str
    unit_key: bytes
    card_key: bytes


class Collector:
    """Turns batches into changes. Keeps nothing between batches: ends of chains come from the store."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store

    def plan(self, topic: str, entries: Sequence[Entry], *, partition: int = 0) -> LedgerChange:
        """What a batch of EVALUATIONS, LABELS or DELIVERIES comes to. `entries` is not empty, in order."""
        draft = _Draft(self._store.tail(chain_of(topic, partition)))
        offset = self._store.offset(topic, partition)
        if entries[0].position > offset + 1:
            gap = gap_body(after=offset, resumed_at=entries[0].position)
            draft.entries.append(draft.tail.append(gap))
        if topic == EVALUATIONS:
            records = [(one.position, storage.Evaluation.FromString(one.payload)) for one in entries]
            draft.cards += _names(records)
            self._released(draft, _of_evaluations(records))
        elif topic == LABELS:
            self._released(draft, _of_labels(entries))
        elif topic == DELIVERIES:
            self._sent(draft, entries)
        return LedgerChange(
            topic=topic, partition=partition, position=entries[-1].position,
            tail=draft.tail, entries=draft.entries, releases=draft.releases,
            cards=draft.cards,
        )  # fmt: skip

    def plan_acts(self, source: str, acts: Sequence[Act]) -> LedgerChange:
        """What administrative acts come to. `acts` is not empty, in order."""
        tail = self._store.tail(ACTS_CHAIN)
        entries = [tail.append(act_body(act)) for act in acts]
        return LedgerChange(topic=source, partition=0, position=acts[-1].position, tail=tail, entries=entries)

    def _released(self, draft: _Draft, found: Sequence[_Released]) -> None:
        by_message = [one for one in found if TRANSPORT_MESSAGE in one.decision.transports]
        known = self._store.known([one.decision.share_id for one in by_message])
        for one in by_message:
            share_id = one.decision.share_id
            if (share_id, TRANSPORT_MESSAGE) in known:
                continue
            known.add((share_id, TRANSPORT_MESSAGE))
            body = returned_body(one.facts, position=one.position, at_ms=one.decided_at_ms)
            draft.entries.append(draft.tail.append(body, share_id=share_id, transport=TRANSPORT_MESSAGE))
        draft.cards += [
            CardShare(
                share_id=one.decision.share_id,
                unit_key=one.unit_key,
                card_key=one.card_key,
                card_token=one.decision.card_token,
            )
            for one in found
            if one.unit_key
        ]
        # While two epochs overlap the card is known by both names, and this share may be the first of either.
        draft.cards += [
            CardShare(share_id="", unit_key=one.unit_key, card_token=one.decision.previous_card_token)
            for one in found
            if one.unit_key and one.decision.previous_card_token
        ]
        draft.releases += [
            Release(share_id=one.decision.share_id, facts=one.facts, decided_at_ms=one.decided_at_ms)
            for one in found
            if any(transport != TRANSPORT_MESSAGE for transport in one.decision.transports)
        ]

    def _sent(self, draft: _Draft, entries: Sequence[Entry]) -> None:
        sent = []
        for entry in entries:
            record = storage.DeliveryRecord.FromString(entry.payload)
            # A tombstone has a jti of its own: it tells nothing of the payment.
            if record.event == storage.DELIVERY_EVENT_SENT and record.jti == record.share_id:
                sent.append((entry.position, record))
        share_ids = list({record.share_id for _, record in sent})
        known = self._store.known(share_ids)
        facts = self._store.facts([share_id for share_id in share_ids if share_id])
        for position, record in sent:
            key = (record.share_id, int(record.transport))
            if key in known:
                continue
            known.add(key)
            body = sent_body(facts.get(record.share_id) or unknown_facts(record), record, position=position)
            draft.entries.append(draft.tail.append(body, share_id=key[0], transport=key[1]))


def _names(records: Sequence[tuple[int, storage.Evaluation]]) -> list[CardShare]:
    """Two names that are of one card alone, of each payment that gave both, shared or not."""
    return [
        CardShare(share_id="", unit_key=record.unit_key, card_key=record.card_key, one_card=True)
        for _, record in records
        if record.card_key and record.card_source != UNIT_SOURCE_CARD_REF
    ]


def _of_evaluations(records: Sequence[tuple[int, storage.Evaluation]]) -> list[_Released]:
    found = []
    for position, record in records:
        for decision in record.decisions:
            if decision.outcome != storage.DECISION_OUTCOME_RELEASED:
                continue
            facts = release_facts(
                decision, evaluation_id=record.evaluation_id, sender_id=record.sender_id,
                issuer_id=record.issuer_id, policy_version=record.policy_version,
                decided_at_ms=record.decided_at_ms,
            )  # fmt: skip
            found.append(
                _Released(position, record.decided_at_ms, decision, facts, record.unit_key, record.card_key)
            )
    return found


def _of_labels(entries: Sequence[Entry]) -> list[_Released]:
    found = []
    for entry in entries:
        record = storage.LabelRecord.FromString(entry.payload)
        at_ms = record.label.recorded_at_ms
        for decision in record.decisions:
            if decision.outcome != storage.DECISION_OUTCOME_RELEASED:
                continue
            facts = release_facts(
                decision, evaluation_id=record.label_evaluation_id, sender_id=record.sender_id,
                issuer_id=record.issuer_id, policy_version=record.policy_version, decided_at_ms=at_ms,
            )  # fmt: skip
            found.append(_Released(entry.position, at_ms, decision, facts, record.unit_key, record.card_key))
    return found
