"""Admission: each item of a batch read, told from repeats of earlier ones, named, and its issuer found.

The engine takes in what is as most are, up to the first item that is not; that one is dealt with here, where
its twin is, and the engine goes on behind it. So repeats within a batch are told in order.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import length_hint
from typing import Any, TypeVar

from enrichment.payment import UNIT_PAR, BadRequest
from enrichment.reader import Read, make_read, native_reader, reading
from gateway.programs.table import ReleaseTable
from gateway.runtime.native import FAULTS, engines
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sharing.items import ALREADY_EXISTS, INVALID_ARGUMENT, Item, Refusal
from gateway.sharing.objecting import UNIT_KINDS, card_key_of, names_of
from gateway.sharing.record import PAYMENT
from gateway.sharing.remembered import WINDOW_MS, Remembered
from gateway.sharing.work import Batch, Work

_Entry = TypeVar("_Entry")
Fault = tuple[int, BaseException]

_CHANGED_BODY = Refusal(
    ALREADY_EXISTS, "request_id: used before with another body; choose a new one for each request"
)
_NO_MESSAGE = Refusal(INVALID_ARGUMENT, "request is not a message of this method: send protobuf")


class Admitter:
    """Fills a batch with works. `admit` says which items went wrong, and how."""

    __slots__ = (
        "_digest", "_engine", "_issuers", "_look", "_native", "_on_fault", "_pseudonyms", "_read",
        "_remembered",
    )  # fmt: skip

    def __init__(
        self,
        pseudonyms: Pseudonyms,
        remembered: Remembered,
        on_fault: Callable[[str, BaseException], None],
        read: Read | None = None,
        native: Any = engines,
    ) -> None:
        """`read`: how requests are read where it is not for this to choose; the engine admits none then."""
        self._pseudonyms = pseudonyms
        self._remembered = remembered
        self._on_fault = on_fault
        self._digest = pseudonyms.request_digest
        self._look = remembered.look
        self._native = native
        self._engine: Any = None
        self._issuers: tuple[ReleaseTable | None, Any] = None, None
        if read is not None or native is None or not isinstance(pseudonyms.macs, native.Macs):
            self._read = read or make_read(native, PAYMENT)
            return
        reader = native_reader(native, PAYMENT)
        self._read = reading(reader)
        self._engine = native.Admitter(reader, pseudonyms.macs, Work, UNIT_KINDS)

    def admit(self, batch: Batch, items: Sequence[Item]) -> Iterator[Fault]:
        """Takes in all items; those that went wrong are not in the batch."""
        at, by_engine = 0, self._engine is not None
        while at < len(items):
            if by_engine:
                at, by_engine = self._by_engine(batch, items, at)
                if at == len(items):
                    return
            until = min(at + 1, len(items)) if by_engine else len(items)
            part = items if until - at == len(items) else items[at:until]
            for in_part, fault in faults(part, partial(self._admit, batch, until)):
                yield at + in_part, fault
            at = until

    def _by_engine(self, batch: Batch, items: Sequence[Item], at: int) -> tuple[int, bool]:
        """How far the engine got, and whether it is to be asked on."""
        recent = self._remembered.of_engine(batch.now_ms)
        if recent is None:
            return at, False
        table, issuers = self._issuers
        if table is not batch.table:
            issuers = batch.table.issuers_of_engine(self._native)
            self._issuers = batch.table, issuers
        before, now_ms = len(batch.works), batch.now_ms
        gathered = batch.works, batch.asked, batch.touches, batch.first, batch.attempts
        try:
            reached: int = self._engine.admit(
                items if type(items) is list else list(items),
                at, recent, issuers, gathered, now_ms, now_ms - WINDOW_MS,
            )  # fmt: skip
        except FAULTS as fault:
            self._on_fault("plan", fault)
            return at + len(batch.works) - before, False
        return reached, True

    def _admit(self, batch: Batch, until: int, rest: Iterator[Item]) -> None:
        """Checks items of which the last is that before `until`, and finds repeats of earlier ones."""
        tally, results, now_ms = batch.tally, batch.results, batch.now_ms
        first, attempts = batch.first, batch.attempts
        read, digest_of, look = self._read, self._digest, self._look
        for index, item in enumerate(rest, until - length_hint(rest)):
            sender_id, payload, _ = item
            try:
                payment = read(payload, now_ms)
            except Exception:  # the parser's own text could hold what was sent
                tally.refused += 1
                results[index] = _NO_MESSAGE
                continue
            if isinstance(payment, BadRequest):
                tally.refused += 1
                tally.tell(payment.issues)
                results[index] = _refusal(payment)
                continue
            if payment.validate_only:
                self._name(batch, Work(index, item, payment))
                continue
            digest = digest_of(payload)
            key, attempt_key, earlier, seen = look(
                sender_id, payment.payment_intent_id, payment.attempt_no, payment.request_id, now_ms
            )
            original = first.get(key)
            if original is not None:
                tally.repeated += 1
                if original.digest == digest:
                    batch.repeats.append((index, original))
                else:
                    results[index] = _CHANGED_BODY
                continue
            if earlier is not None:
                tally.repeated += 1
                if earlier.digest == digest:
                    batch.again.append((index, item, payment, earlier.answer))
                else:
                    results[index] = _CHANGED_BODY
                continue
            duplicate = seen or attempt_key in attempts
            work = first[key] = Work(index, item, payment, digest, key, attempt_key, duplicate)
            attempts.add(attempt_key)
            self._name(batch, work)

    def _name(self, batch: Batch, work: Work) -> None:
        """Pseudonyms stand for what is counted and clustered by, and the issuer is found."""
        payment, sender_id = work.payment, work.item[0]
        work.unit_source, work.unit_key, velocity_keys, work.evaluation_id = names_of(
            self._pseudonyms, payment, sender_id
        )
        if work.unit_source == UNIT_PAR:
            work.card_source, work.card_key = card_key_of(self._pseudonyms, payment, sender_id)
        work.issuer = batch.table.issuer_of(payment.iin)
        if not (work.duplicate or payment.validate_only):
            work.velocity_keys = velocity_keys
            batch.asked.append(work)
            batch.touches.append((payment.initiated_at_ms, velocity_keys))
        batch.works.append(work)


def faults(entries: Sequence[_Entry], step: Callable[[Iterator[_Entry]], None]) -> Iterator[Fault]:
    """Runs a step that loops over entries. Where it fails, says with which in hand, and goes on behind it."""
    rest = iter(entries)
    failed = -1
    while True:
        try:
            step(rest)
        except FAULTS as fault:
            in_hand = len(entries) - length_hint(rest) - 1
            if in_hand <= failed:
                raise  # it took none: it would fail for ever
            failed, found = in_hand, fault
        else:
            return
        yield failed, found


def _refusal(bad: BadRequest) -> Refusal:
    text = "; ".join(f"{name}: {code}: {mend}" for name, code, mend in bad.issues)
    return Refusal(INVALID_ARGUMENT, text, tuple(bad.issues))
