"""What the feeds keep: evaluations and shares to match by, outboxes, offsets. One process owns a store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.outcomes.matching import EvaluationRow, PaymentIndex
from gateway.records.errors import GatewayError
from gateway.records.reasons import Reason

MAX_CANDIDATES = 16
"""Candidates read for one key: two already give no match; the rest is room for shares of one evaluation."""


LAST_MS = 1 << 62
"""Later than any time."""

NO_EVALUATION = -1
"""In place of the evaluation_key of a payment that is known no more."""


class StoreUnavailable(GatewayError):
    """Nothing of the change was kept: the disk is full, or another process owns the store."""

    code = "store_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRow:
    """A share of an evaluation, or of a label about it."""

    share_id: str
    evaluation_key: int
    program: str
    issuer_id: str
    recipient_id: str
    transports: tuple[int, ...]
    expires_at_ms: int
    consent_id: str = ""
    merchant_id: str = ""
    """Whose payment it is about; empty where that is not known any more."""
    platform_id: str = ""
    unit_key: bytes = field(default=b"", repr=False)
    card_key: bytes = field(default=b"", repr=False)


QUEUED, SENT, ACKNOWLEDGED, REFUSED = range(4)
"""States of an outbox item. What was withdrawn is queued again as a tombstone, with `withdrawn` set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxItem:
    """One share by one transport. `stream_seq` is 0 where there is no stream."""

    share_id: str
    transport: int
    recipient_id: str
    program: str
    issuer_id: str
    evaluation_id: str
    stream_id: str
    stream_seq: int
    jti: str
    set_bytes: bytes = field(repr=False)
    withdrawn: bool = False
    state: int = QUEUED
    sent_count: int = 0
    error_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One order to erase, to one recipient; a case with many shares has several. Times 0: not yet."""

    case_id: int
    recipient_id: str
    share_id: str
    """Of the outbox item that it is."""
    shares: int
    told_at_ms: int
    answered_at_ms: int = 0
    error_code: str = ""
    """Why the recipient refused it, where it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOutChange:
    """Everything one batch of fan-out does, kept in one transaction with the offset.

    `records` go to the journal right after it. They are kept until the next batch, since a restart in between
    has to hand them over again: consumers drop the repeat.
    """

    topic: str
    partition: int
    position: int
    at_ms: int
    evaluations: Sequence[EvaluationRow] = ()
    shares: Sequence[ShareRow] = ()
    items: Sequence[OutboxItem] = ()
    records: Sequence[bytes] = ()
    next_seqs: Mapping[str, int] = field(default_factory=dict)
    notices: Sequence[Notice] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """What a recipient said about one item of its stream. `error_code` empty: it has it."""

    item: OutboxItem
    error_code: str = ""
    final: bool = True
    """False where it refused and is to be offered it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryChange:
    """What one step of delivery does, in one transaction.

    `withdrawn` holds items as they become: tombstones with `jti` and `set_bytes` of their own; look-ups,
    which have no place in a stream, are closed.
    """

    answers: Sequence[Acknowledgement] = ()
    withdrawn: Sequence[OutboxItem] = ()
    sent: Sequence[OutboxItem] = ()
    at_ms: int = 0

    @property
    def empty(self) -> bool:
        return not (self.answers or self.withdrawn or self.sent)


class Switches(Protocol):
    """The switches as last seen."""

    @property
    def epoch(self) -> int: ...

    def stopped(self, program: str, issuer_id: str) -> Reason | None:
        """Why nothing of the program may leave for the issuer now; None where it may."""
        ...


Lapsed = Callable[[str, str, str], Reason | None]
"""(merchant_id, platform_id, consent_id) -> why what was shared under it may not leave any more, or None."""


StopsCard = Callable[[bytes, bytes, int], Reason | None]
"""(unit_key, card_key or empty, decided_at_ms) -> why what was decided then may not leave, or None."""


class DeliveryReader(PaymentIndex, Protocol):
    """Looks up by match keys and ids. Never waits for the writer."""

    def lookup(
        self, recipient_id: str, match_key: str, *, from_ms: int, to_ms: int, now_ms: int
    ) -> list[tuple[int, OutboxItem]]:
        """Look-up items not withdrawn nor expired, with their evaluation_key, of payments in the span."""
        ...

    def evaluations_of_cards(self, card_keys: Sequence[bytes], after_key: int, up_to_key: int) -> list[int]:
        """Keys of a card's evaluations in a span of keys. There is no index by card."""
        ...

    def notices(self, case_id: int) -> list[Notice]: ...

    def close(self) -> None: ...


class DeliveryStore(Protocol):
    """All changes. Each method is one durable transaction; raises StoreUnavailable and has then no effect."""

    def offset(self, topic: str, partition: int) -> int:
        """Position up to which the topic is fanned out; FIRST when nothing is."""
        ...

    def known_shares(self, share_ids: Sequence[str]) -> set[str]: ...

    def next_seq(self, stream_id: str) -> int:
        """From 1."""
        ...

    def first_free_seq(self) -> int:
        """Places below were given, or may have been before a restore. 1 where nothing was restored."""
        ...

    def commit_fan_out(self, change: FanOutChange) -> None: ...

    def unconfirmed_records(self) -> list[bytes]:
        """Journal records of the last fan-out: after a restart they may not have reached the journal."""
        ...

    def pending(self, stream_id: str, max_items: int) -> list[OutboxItem]:
        """Items neither acknowledged nor refused for good, in order of `stream_seq`."""
        ...

    def open_of_shares(self, stream_id: str, share_ids: Sequence[str]) -> list[OutboxItem]:
        """The stream's open items of these shares, their bytes left out."""
        ...

    def apply(self, change: DeliveryChange) -> None: ...

    def note_sent(self, items: Sequence[OutboxItem]) -> None:
        """Counts what is about to leave. Kept over the end of the process; a power cut may lose the last."""
        ...

    def scopes(self) -> list[tuple[str, str]]:
        """Each (program, issuer_id) that ever had a share."""
        ...

    def open_items(
        self, program: str, issuer_id: str, max_items: int, *, queued_before_ms: int = LAST_MS
    ) -> list[OutboxItem]:
        """Open items of a scope that are not withdrawn yet, by any transport, their bytes left out.

        Only those fanned out before `queued_before_ms`, by the wall clock.
        """
        ...

    def open_consents(self) -> list[tuple[str, str, str]]:
        """Each (merchant_id, platform_id, consent_id) that open items not withdrawn yet were shared under."""
        ...

    def open_of_consent(
        self, merchant_id: str, platform_id: str, consent_id: str, max_items: int
    ) -> list[OutboxItem]:
        """Those items of one of them, by any transport, their bytes left out."""
        ...

    def open_of_cards(
        self, card_keys: Sequence[bytes], max_items: int, *, queued_before_ms: int = LAST_MS
    ) -> list[OutboxItem]:
        """Open items not withdrawn yet about cards with any of these keys, by any transport.

        Only those fanned out before `queued_before_ms`, by the wall clock. Their bytes are left out.
        """
        ...

    def forget_evaluations(self, evaluation_keys: Sequence[int]) -> None:
        """As `forget`, for these: what was recorded about a card that is erased."""
        ...

    def forgotten(self, case_id: int, rows: int, *, at_ms: int) -> None:
        """Keeps that all rows of an erasure's card are gone."""
        ...

    def erased_up_to(self) -> int:
        """The last erasure whose card's rows are gone; 0 before the first."""
        ...

    def known_reports(self, kind: str, reporter_id: str, report_ids: Sequence[str]) -> set[str]: ...

    def keep_reports(self, kind: str, reporter_id: str, report_ids: Sequence[str], *, at_ms: int) -> None: ...

    def forget_reports(self, recorded_before_ms: int, max_rows: int) -> int:
        """Removes ids of reports kept before that time: a repeat of one would count as new; how many."""
        ...

    def expire(self, now_ms: int, max_rows: int) -> int:
        """Forgets signed bytes of look-ups that nobody can ask for any more; how many."""
        ...

    def forget(self, recorded_before_ms: int, max_rows: int) -> int:
        """Removes evaluations recorded before that time, with their keys, shares and items; how many.

        Open items stay until they are answered: without them the stream would have a gap. So do shares of
        items not withdrawn: by them they are taken back.
        """
        ...

    def close(self) -> None: ...
