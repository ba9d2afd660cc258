"""The hot path without a transport: a batch of authorizations in, durable decisions out.

plan -> fetch -> score -> signals -> release -> draw -> seal -> append -> answer, in stages over the whole
batch: the velocity store is asked once, the model once, and the journal synced once. What goes wrong with one
item stays with it.
"""

from collections.abc import Callable, Container, Iterator, Sequence

from enrichment.provider import BUDGET_US
from enrichment.reader import Read
from enrichment.signals import assessed_signals, signals
from gateway.programs.arms import global_line
from gateway.programs.model import CLEAR_PROFILE
from gateway.programs.subjects import Subjects
from gateway.programs.switches import SwitchRunner
from gateway.programs.table import ProgramEntry, ReleaseTable, make_query
from gateway.records.journal import JournalReader, JournalWriter
from gateway.records.reasons import Reason
from gateway.runtime.clock import Clock
from gateway.runtime.native import FAULTS
from gateway.sealing.jwe import Sealer
from gateway.sealing.keys import KeyUnavailable, RecipientKeys, SignatureAlgorithm
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sealing.token_epochs import TokenEpochs
from gateway.sharing.admit import Admitter, faults
from gateway.sharing.again import Repeats
from gateway.sharing.assess import assess, match, unmatched
from gateway.sharing.budget import Budget
from gateway.sharing.commit import Committer
from gateway.sharing.counting import Counting
from gateway.sharing.decide import Rules, Standing, decide, no_program
from gateway.sharing.encode import EXPIRES_AFTER_MS, Encoder
from gateway.sharing.fetch import Budgeted, Fetch
from gateway.sharing.items import (
    Item,
    Result,
    Tally,
    request_id_of,
    unevaluated,
)
from gateway.sharing.record import frame_of, record_of
from gateway.sharing.remembered import Remembered
from gateway.sharing.score_port import Scorer
from gateway.sharing.seal import ShareSealer
from gateway.sharing.share import match_keys
from gateway.sharing.steps import Steps
from gateway.sharing.velocity_port import VelocityStore
from gateway.sharing.work import Batch, Work

_DEGRADED_TEXT = {Reason.OVER_DEADLINE: "over_deadline", Reason.OVERLOADED: "overloaded"}


class Gateway:
    """Evaluates batches. One thread at a time; `table` may be replaced by another between two batches."""

    def __init__(
        self,
        *,
        clock: Clock,
        table: ReleaseTable,
        switches: SwitchRunner,
        pseudonyms: Pseudonyms,
        sealer: Sealer,
        recipient_keys: RecipientKeys,
        velocity: VelocityStore,
        journal: JournalWriter,
        reader: JournalReader,
        remembered: Remembered | None = None,
        subjects: Subjects | None = None,
        read: Read | None = None,
        on_fault: Callable[[str, BaseException], None] = lambda stage, fault: None,
        signable: Container[str] = frozenset(SignatureAlgorithm),
        token_epochs: Callable[[], TokenEpochs] = TokenEpochs,
        velocity_budget_us: int = BUDGET_US,
        providers: Sequence[Budgeted] = (),
        scorer: Scorer | None = None,
    ) -> None:
        """`signable`: the algorithms that the feeds have a key for. `token_epochs`: as they are now.
        `scorer`: None leaves it to the points."""
        self.table = table
        self._token_epochs = token_epochs
        self._signable = signable
        self._scorer = scorer
        self._clock = clock
        self._switches = switches
        self._subjects = Subjects() if subjects is None else subjects
        self._repeats = Repeats(switches, self._subjects, pseudonyms)
        self._recipient_keys = recipient_keys
        self._remembered = remembered if remembered is not None else Remembered(reader)
        self._admitter = Admitter(pseudonyms, self._remembered, on_fault, read)
        self._encoder = Encoder()
        self._stood = table, Standing(None)
        self._share_sealer = ShareSealer(pseudonyms, sealer, self._encoder)
        self._steps = Steps(self._share_sealer, self._encoder, on_fault)
        self._committer = Committer(journal, self._remembered, self._encoder, switches, on_fault)
        self._budget = Budget(clock)
        self._on_fault = on_fault
        self.counting = Counting(velocity, velocity_budget_us, clock, on_fault)
        self._fetch = Fetch(clock, self.counting, providers, on_fault)

    def idle(self) -> None:
        """Says that nothing is in hand. Call it between batches, at least every 50 ms, or leases run out."""
        self._switches.begin()

    def enrich(self, items: Sequence[Item], tally: Tally, due: Sequence[int] = ()) -> list[Result]:
        """One result an item, in order. Nothing it answers as shared is not durable.

        `due`: when each is to be answered, in monotonic nanoseconds; 0: whenever.
        """
        budget = self._budget
        budget.begin(due, sum([len(item.payload) for item in items]))
        now_ms, view = self._clock.wall_ms(), self._switches.begin()
        batch = Batch(
            now_ms=now_ms,
            table=self.table,
            view=view,
            fresh=self._switches.fresh(),
            tally=tally,
            expires_at_ms=now_ms + EXPIRES_AFTER_MS,
            results=[None] * len(items),
        )
        batch.frame = frame_of(batch)
        batch.tail = self._tail(batch, None)
        tally.items += len(items)
        for index, fault in self._admitter.admit(batch, items):
            self._faulted(batch, index, items[index], "plan", fault)
        # Stage by stage over the batch: what one stage needs stays in the processor's caches.
        self._fetch.fetch(batch, budget.fetch_until_ns())
        budget.behind_fetch(batch)
        if self._scorer is not None:
            self._stage(batch, "score", match, unmatched(batch))
            assess(batch, self._scorer, self._on_fault)
        shared = global_line(batch.table.global_salt, batch.table.global_holdout_ppm)
        batch.rules = Rules(shared, self._standing(batch), batch.fresh, self._has_key)
        self._stage(batch, "decide", self._decide, self._steps.decide(batch, self._subjects.objecting))
        budget.behind_decisions(batch)
        self._share_sealer.begin(now_ms, self._token_epochs(), batch.expires_at_ms)
        left = self._stage(batch, "seal", self._seal, self._steps.conclude(batch))
        self._stage(batch, "write", self._write, left)
        self._committer.commit(batch)
        budget.end(tally)
        for index, original in batch.repeats:
            batch.results[index] = batch.results[original.index]
        # Behind the sync, as the last look at new ones is: a stop may have come while it took its time.
        for index, item, payment, answer in batch.again:
            try:
                batch.results[index] = self._repeats.again(batch, item.sender_id, payment, answer)
            except FAULTS as fault:
                self._faulted(batch, index, item, "repeat", fault)
        return [
            result or unevaluated(request_id_of(items[index].payload), "internal")
            for index, result in enumerate(batch.results)
        ]

    def _stage(
        self, batch: Batch, name: str, step: Callable[[Batch, Iterator[Work]], None], works: list[Work]
    ) -> list[Work]:
        """One step over works, and whom it was done for. A fault stays with its work, which leaves the batch
        with it."""
        if not works:
            return works
        faulted = set()
        for at, fault in faults(works, lambda rest: step(batch, rest)):
            work = works[at]
            self._faulted(batch, work.index, work.item, name, fault)
            faulted.add(work.index)
        if faulted:
            batch.works = [work for work in batch.works if work.index not in faulted]
            return [work for work in works if work.index not in faulted]
        return works

    def _faulted(self, batch: Batch, index: int, item: Item, stage: str, fault: BaseException) -> None:
        """Fail open for the payment: an answer without anything shared, and no word of the fault in it."""
        batch.tally.faults += 1
        batch.tally.degraded += 1
        batch.results[index] = unevaluated(request_id_of(item.payload), "internal")
        self._on_fault(stage, fault)

    def _standing(self, batch: Batch) -> Standing:
        """Anew with another table, or when a switch was set."""
        table, standing = self._stood
        if table is not batch.table or standing.view is not batch.view:
            standing = Standing(batch.view)
            self._stood = batch.table, standing
        return standing

    def _has_key(self, entry: ProgramEntry) -> bool:
        if entry.signing_algorithm not in self._signable:
            return False
        if entry.profile == CLEAR_PROFILE:
            return True
        try:
            self._recipient_keys.current(entry.recipient_id, now_ms=self._clock.wall_ms())
        except KeyUnavailable:
            return False
        return True

    def _decide(self, batch: Batch, works: Iterator[Work]) -> None:
        """Signals, and by them what may leave, by program. Nothing is decided where the request only asks
        whether it is well."""
        rules, now_ms, objecting = batch.rules, batch.now_ms, self._subjects.objecting
        for work in works:
            payment, issuer = work.payment, work.issuer
            assessment = work.assessment
            seen = work.signals = (
                signals(payment, work.facts) if assessment is None
                else assessed_signals(payment, work.facts, assessment, work.ship_bill_match)
            )  # fmt: skip
            if payment.validate_only:
                continue
            if issuer is None:
                work.decided = [no_program(Reason.UNKNOWN_ISSUER)]
            elif not issuer.programs:
                work.decided = [no_program(Reason.NOT_ENROLLED, issuer.issuer_id)]
            else:
                query = make_query(
                    (
                        payment.cardholder_region, payment.merchant_id, payment.platform_id, payment.channel,
                        payment.mcc, payment.amount_minor, payment.merchant_country, seen.mask,
                        seen.below_quality, now_ms,
                        bool(objecting) and (work.unit_key in objecting or work.card_key in objecting),
                    )
                )  # fmt: skip
                work.decided = decide(
                    rules,
                    issuer,
                    query,
                    work.unit_key,
                    duplicate=work.duplicate,
                    withhold=work.item.withhold,
                )

    def _seal(self, batch: Batch, works: Iterator[Work]) -> None:
        """Seals what is released, with the keys that its recipient finds it by; then the PAN is dropped."""
        seal = self._share_sealer.seal
        for work in works:
            if work.sealed:
                raise RuntimeError("sealed before, but its record could not be written")
            for one in work.decided:
                if one.reason is None:
                    work.match_keys = match_keys(work.payment)
                    seal(work)
                    break
            work.payment.drop_pan()

    def _tail(self, batch: Batch, withhold: Reason | None) -> bytes:
        return self._encoder.tail(batch.table.version, "" if withhold is None else _DEGRADED_TEXT[withhold])

    def _write(self, batch: Batch, works: Iterator[Work]) -> None:
        """Answers, and the records that have to be durable before they are given."""
        encoder = self._encoder
        decisions, answer = encoder.decisions, encoder.answer
        for work in works:
            payment, seen, withhold = work.payment, work.signals, work.item.withhold
            tail = work.tail = batch.tail if withhold is None else self._tail(batch, withhold)
            if seen.quality or payment.field_issues:
                batch.tally.tell(seen.issues)
            if payment.validate_only:
                batch.results[work.index] = answer(payment, seen, "", tail, b"")
                continue
            told, recorded = decisions(work.decided)
            work.answer = answer(payment, seen, work.evaluation_id, tail, told)
            work.record = record_of(batch, work, seen, recorded)
