"""Delivery by poll (RFC 8936) and by look-up, without I/O: events in, actions out.

The shell carries out the actions in their order: `Record` (durable in the journal), `Apply` (durable in the
store), then `Reply`. A SENT record is thus durable before a byte leaves. Right before the bytes are handed to
the transport the shell asks `still_open` again, with no await in between.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.feeds.ports import (
    LAST_MS,
    MAX_CANDIDATES,
    Acknowledgement,
    DeliveryChange,
    DeliveryReader,
    DeliveryStore,
    Lapsed,
    OutboxItem,
    Switches,
)
from gateway.feeds.records import (
    EXPIRED_REASON,
    REFUSED_REASON,
    UNANSWERED_CODE,
    SignerOf,
    delivery_record,
    share_of_jti,
    told_reason,
    withdrawn_item,
)
from gateway.outcomes.matching import MATCH_WINDOW_MS, ReferencesLike, is_composite, match_keys
from gateway.records.reasons import Reason
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1.feed_pb2 import (
    MATCH_RESULT_AMBIGUOUS,
    MATCH_RESULT_NOT_MATCHED,
    MATCH_RESULT_UNIQUE,
)

MAX_EVENTS = 1000
"""SETs of one reply: 2 to 3 MB at the usual size."""

MAX_ANSWERS = 4000
"""`ack` and `setErrs` of one poll together: four full replies, for receivers that gather their answers."""

MAX_REPLY_BYTES = 4 * 1024 * 1024
"""Signed bytes of one reply; the first SET always fits."""

MAX_ERRORS = 5
"""Times that a recipient may refuse a SET before a tombstone takes its place: its order may be at fault."""

MAX_REDELIVERIES = 64
"""Offers of a SET that the recipient leaves unanswered while it answers later ones."""

WITHDRAW_MAX_ITEMS = 256
"""Tombstones signed in one transaction: about 15 ms."""

KEEP_SEALED_MS = 8 * 24 * 3_600_000
"""Sealed bodies are kept 8 days after fan-out, as in the journals (docs: retention)."""

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
OTHER_CODE = "other"
"""Stands for an error code that is not a short word: what a recipient writes freely is not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """A poll of a stream. `max_events` None: as many as we send."""

    stream_id: str
    acknowledged: tuple[str, ...] = ()
    set_errors: Mapping[str, str] = field(default_factory=dict)
    max_events: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedUp:
    """What a look-up found and is about to be answered with."""

    items: tuple[OutboxItem, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """Append to the journal of deliveries and wait until it is durable."""

    payloads: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    """Keep in the store, in one transaction."""

    change: DeliveryChange


@dataclass(frozen=True, slots=True)
class Reply:
    """Hand these to the recipient, in order of `stream_seq`. Empty: nothing to send yet."""

    items: tuple[OutboxItem, ...]
    more_available: bool = False


Action = Record | Apply | Reply


class LapsedConsent(NamedTuple):
    """A consent that does not cover any more what was shared under it, and why."""

    merchant_id: str
    platform_id: str
    consent_id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates of a look-up. `match` is a number of v1.MatchResult."""

    match: int
    items: tuple[OutboxItem, ...] = ()


_NOT_MATCHED = Found(MATCH_RESULT_NOT_MATCHED)


def still_open(items: Iterable[OutboxItem], switches: Switches) -> bool:
    """Whether all data may leave now. Asked immediately before the bytes are written."""
    return all(item.withdrawn or switches.stopped(item.program, item.issuer_id) is None for item in items)


class DeliveryCore:
    """One step at a time for a stream; steps of one stream must not overlap."""

    def __init__(self, *, store: DeliveryStore, signer_of: SignerOf, iss: str) -> None:
        self._store = store
        self._signer_of = signer_of
        self._iss = iss

    def on(self, event: Polled | LookedUp, switches: Switches, now_ms: int) -> list[Action]:
        """What is to be done about `event`."""
        if isinstance(event, LookedUp):
            change = DeliveryChange(sent=event.items)
            return [*_actions(_sent_records(event.items, now_ms), change), Reply(event.items)]
        return self._polled(event, switches, now_ms)

    def _polled(self, poll: Polled, switches: Switches, now_ms: int) -> list[Action]:
        answers = self._answers(poll)
        wanted = MAX_EVENTS if poll.max_events is None else max(0, min(poll.max_events, MAX_EVENTS))
        pending = self._store.pending(
            poll.stream_id, wanted + 1 + sum(1 for answer in answers if answer.final)
        )
        answers += _unanswered(pending, answers)
        # What is given up leaves its place to a tombstone: a receiver that keeps the order waits for it.
        given_up = {
            answer.item.share_id: self._tombstone(answer.item, REFUSED_REASON, now_ms)
            for answer in answers
            if answer.final and answer.error_code and not answer.item.withdrawn
        }
        final = {answer.item.share_id for answer in answers if answer.final} - given_up.keys()
        offered = [given_up.get(item.share_id, item) for item in pending if item.share_id not in final]
        chosen, withdrawn = self._choose(offered, wanted, switches, now_ms)
        withdrawn = [*given_up.values(), *withdrawn]
        records = [_answer_record(answer, now_ms) for answer in answers if answer.final]
        records += [
            delivery_record(item, storage.DELIVERY_EVENT_WITHDRAWN, at_ms=now_ms) for item in withdrawn
        ]
        records += _sent_records(chosen, now_ms)
        kept = [answer for answer in answers if answer.item.share_id not in given_up]
        change = DeliveryChange(answers=kept, withdrawn=withdrawn, sent=chosen, at_ms=now_ms)
        more = len(offered) > len(chosen)
        return [*_actions(records, change), Reply(tuple(chosen), more)]

    def _answers(self, poll: Polled) -> list[Acknowledgement]:
        said = dict.fromkeys(poll.acknowledged, "")
        said.update({jti: _code(code) for jti, code in poll.set_errors.items() if jti not in said})
        shares = list({share_of_jti(jti) for jti in said})
        items = self._store.open_of_shares(poll.stream_id, shares)
        return [
            Acknowledgement(
                item=item,
                error_code=said[item.jti],
                final=not said[item.jti] or item.error_count + 1 >= MAX_ERRORS,
            )
            for item in items
            # An answer to the data after its withdrawal is none to the tombstone.
            if item.jti in said
        ]

    def _choose(
        self, pending: Sequence[OutboxItem], wanted: int, switches: Switches, now_ms: int
    ) -> tuple[list[OutboxItem], list[OutboxItem]]:
        chosen: list[OutboxItem] = []
        withdrawn: list[OutboxItem] = []
        size = 0
        for item in pending[:wanted]:
            size += len(item.set_bytes)
            if chosen and size > MAX_REPLY_BYTES:
                break
            reason = None if item.withdrawn else switches.stopped(item.program, item.issuer_id)
            if reason is not None:
                item = self._tombstone(item, told_reason(reason), now_ms)
                withdrawn.append(item)
            chosen.append(item)
        return chosen, withdrawn

    def _tombstone(self, item: OutboxItem, reason: str, now_ms: int) -> OutboxItem:
        return withdrawn_item(item, reason, signer_of=self._signer_of, iss=self._iss, now_ms=now_ms)

    def sweep(self, switches: Switches, now_ms: int) -> list[Action]:
        """Withdraws some of what is open in stopped scopes; empty when nothing is left to withdraw."""
        for program, issuer_id in self._store.scopes():
            reason = switches.stopped(program, issuer_id)
            if reason is None:
                continue
            items = self._store.open_items(program, issuer_id, WITHDRAW_MAX_ITEMS)
            if items:
                return self._withdraw(items, told_reason(reason), now_ms)
        return []

    def lapsed_consents(self, lapsed: Lapsed) -> list[LapsedConsent]:
        """Those that something open was shared under. Goes through all that is open: once a round."""
        return [
            LapsedConsent(*consent, reason)
            for consent in self._store.open_consents()
            if (reason := lapsed(*consent)) is not None
        ]

    def revoke(self, consent: LapsedConsent, now_ms: int) -> list[Action]:
        """Withdraws some of what is open under a consent that lapsed; empty when nothing of it is left."""
        merchant_id, platform_id, consent_id, reason = consent
        items = self._store.open_of_consent(merchant_id, platform_id, consent_id, WITHDRAW_MAX_ITEMS)
        return self._withdraw(items, told_reason(reason), now_ms) if items else []

    def object(
        self, card_keys: Sequence[bytes], now_ms: int, queued_before_ms: int = LAST_MS
    ) -> list[Action]:
        """Withdraws some of what is open about these cards; empty when nothing of it is left."""
        items = self._store.open_of_cards(card_keys, WITHDRAW_MAX_ITEMS, queued_before_ms=queued_before_ms)
        return self._withdraw(items, told_reason(Reason.SUBJECT_OBJECTED), now_ms) if items else []

    def expire(self, now_ms: int) -> list[Action]:
        """Withdraws some of what was fetched by nobody in KEEP_SEALED_MS; empty when nothing is so old."""
        for program, issuer_id in self._store.scopes():
            items = self._store.open_items(
                program, issuer_id, WITHDRAW_MAX_ITEMS, queued_before_ms=now_ms - KEEP_SEALED_MS
            )
            if items:
                return self._withdraw(items, EXPIRED_REASON, now_ms)
        return []

    def _withdraw(self, items: Sequence[OutboxItem], reason: str, now_ms: int) -> list[Action]:
        tombstones = [self._tombstone(item, reason, now_ms) for item in items]
        records = [
            delivery_record(item, storage.DELIVERY_EVENT_WITHDRAWN, at_ms=now_ms) for item in tombstones
        ]
        return _actions(records, DeliveryChange(withdrawn=tombstones))


def find(
    reader: DeliveryReader, recipient_id: str, references: ReferencesLike, switches: Switches,
    *, attempted_at_ms: int, now_ms: int, caught_up: bool,
) -> Found:  # fmt: skip
    """Shares of the one authorization that fits. Keys in their order; the first that has any decides.

    Shares of several programs about one evaluation are one candidate; two candidates give no match. The
    composite alone decides only where all payments are known (`caught_up`), and counts those not shared too:
    what was held out, or is not fanned out yet, may be the one that is asked for.
    """
    span = (attempted_at_ms - MATCH_WINDOW_MS, attempted_at_ms + MATCH_WINDOW_MS)
    keys = match_keys(references)
    for key in keys:
        rows = reader.lookup(recipient_id, key, from_ms=span[0], to_ms=span[1], now_ms=now_ms)
        open_rows = [row for row in rows if switches.stopped(row[1].program, row[1].issuer_id) is None]
        if not open_rows:
            continue
        if is_composite(key):
            return _found_by_composite(reader, keys, open_rows, span) if caught_up else _NOT_MATCHED
        if len({evaluation_key for evaluation_key, _ in open_rows}) > 1:
            return Found(MATCH_RESULT_AMBIGUOUS)
        return Found(MATCH_RESULT_UNIQUE, tuple(item for _, item in open_rows))
    return _NOT_MATCHED


def _found_by_composite(
    reader: DeliveryReader,
    keys: Sequence[str],
    open_rows: Sequence[tuple[int, OutboxItem]],
    span: tuple[int, int],
) -> Found:
    candidates = reader.evaluations_of_key(keys[-1], from_ms=span[0], to_ms=span[1])
    # One payment may be evaluated several times.
    payments = {(row.sender_id, row.payment_intent_id, row.attempt_no) for row in candidates}
    if len(payments) > 1 or len(candidates) >= MAX_CANDIDATES:
        return Found(MATCH_RESULT_AMBIGUOUS)
    own_keys = {row.evaluation_key for row in candidates}
    if any(evaluation_key not in own_keys for evaluation_key, _ in open_rows):
        return _NOT_MATCHED
    for key in keys[:-1]:
        # A stronger key names a payment of which nothing is shared: the composite's is another one.
        if reader.evaluations_of_key(key, from_ms=span[0], to_ms=span[1]):
            return _NOT_MATCHED
    return Found(MATCH_RESULT_UNIQUE, tuple(item for _, item in open_rows))


def _code(code: str) -> str:
    return code if _CODE.fullmatch(code) else OTHER_CODE


def _unanswered(pending: Sequence[OutboxItem], answers: Sequence[Acknowledgement]) -> list[Acknowledgement]:
    """Items passed over again and again by a recipient that answers later ones: not offered any more."""
    last = max((answer.item.stream_seq for answer in answers), default=0)
    answered = {answer.item.share_id for answer in answers}
    return [
        Acknowledgement(item=item, error_code=UNANSWERED_CODE)
        for item in pending
        if item.stream_seq < last and item.sent_count >= MAX_REDELIVERIES and item.share_id not in answered
    ]


def _answer_record(answer: Acknowledgement, now_ms: int) -> bytes:
    refused = bool(answer.error_code)
    event = storage.DELIVERY_EVENT_REFUSED if refused else storage.DELIVERY_EVENT_ACKNOWLEDGED
    return delivery_record(answer.item, event, at_ms=now_ms, error_code=answer.error_code)


def _sent_records(items: Sequence[OutboxItem], now_ms: int) -> list[bytes]:
    return [delivery_record(item, storage.DELIVERY_EVENT_SENT, at_ms=now_ms) for item in items]


def _actions(records: Sequence[bytes], change: DeliveryChange) -> list[Action]:
    if change.empty:
        return []
    kept: list[Action] = [Record(tuple(records))] if records else []
    return [*kept, Apply(change)]
