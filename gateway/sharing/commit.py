"""The last stage: one append and sync for the batch, then what may still leave is looked at once more."""

from collections.abc import Callable
from typing import Any

from gateway.programs.switches import SwitchRunner
from gateway.records.journal import EVALUATIONS, JournalUnavailable, JournalWriter
from gateway.records.reasons import Reason
from gateway.runtime.native import FAULTS, engines
from gateway.sharing.encode import Encoder
from gateway.sharing.items import Result
from gateway.sharing.remembered import Earlier, Remembered
from gateway.sharing.work import Batch, Work


class Committer:
    """Makes a batch durable and says what became of it."""

    __slots__ = ("_encoder", "_journal", "_on_fault", "_remembered", "_switches", "_told")

    def __init__(
        self,
        journal: JournalWriter,
        remembered: Remembered,
        encoder: Encoder,
        switches: SwitchRunner,
        on_fault: Callable[[str, BaseException], None],
        native: Any = engines,
    ) -> None:
        self._journal = journal
        self._remembered = remembered
        self._encoder = encoder
        self._switches = switches
        self._on_fault = on_fault
        self._told = told if native is None else native.told

    def commit(self, batch: Batch) -> None:
        """One append and sync for the batch; then what may still leave is looked at once more."""
        works = [work for work in batch.works if work.record and batch.results[work.index] is None]
        if not works:
            return
        try:
            positions = self._journal.append(EVALUATIONS, [work.record for work in works])
        except JournalUnavailable as fault:
            self._on_fault("append", fault)
            self._not_recorded(batch, works, instead=Reason.JOURNAL_UNAVAILABLE)
            return
        except FAULTS as fault:
            self._on_fault("append", fault)
            self._not_recorded(batch, works)
            return
        self._remembered.recorded_all(batch.now_ms, works, positions)
        tally = batch.tally
        degraded, released = self._told(works, batch.results, tally.withheld)
        tally.degraded += degraded
        tally.released += released
        tally.evaluated += len(works)
        self._last_look(batch, works)

    def _not_recorded(
        self,
        batch: Batch,
        works: list[Work],
        *,
        instead: Reason | None = None,
    ) -> None:
        """Nothing of them leaves: withheld where surely no record exists, undetermined where one may."""
        for work in works:
            answer = self._unshared(work, instead)
            batch.results[work.index] = answer
            if instead is None:
                batch.tally.undetermined += sum(1 for one in work.decided if one.reason is None)
            self._remembered.unrecorded(
                work.item.sender_id,
                work.payment.request_id,
                Earlier(work.digest, answer),
                now_ms=batch.now_ms,
            )
        if instead is not None:
            for work in works:
                for one in work.decided:
                    batch.tally.withhold(instead if one.reason is None else one.reason)

    def _unshared(self, work: Work, instead: Reason | None) -> bytes:
        told = self._encoder.unshared(work.decided, instead)
        return self._encoder.answer(work.payment, work.signals, work.evaluation_id, work.tail, told)

    def _last_look(self, batch: Batch, works: list[Work]) -> None:
        """A stop or a lost lease while the batch was on its way: nothing of it leaves in the answer."""
        view = self._switches.watcher.view
        fresh = self._switches.fresh()
        if fresh and view is not None and batch.view is not None and view.epoch == batch.view.epoch:
            return
        for work in works:
            released = [one for one in work.decided if one.reason is None]
            if not released:
                continue
            if (
                fresh
                and view is not None
                and not any(view.stopped(one.entry.program, one.entry.issuer_id) for one in released)
            ):
                continue
            batch.tally.undetermined += len(released)
            batch.results[work.index] = self._unshared(work, None)


def told(works: list[Work], results: list[Result | None], withheld: dict[Reason, int]) -> tuple[int, int]:
    """Puts answers in their places, and counts: works that were to be withheld, decisions released."""
    degraded = released = 0
    for work in works:
        results[work.index] = work.answer
        degraded += work.item.withhold is not None
        for one in work.decided:
            reason = one.reason
            if reason is None:
                released += 1
            else:
                withheld[reason] = withheld.get(reason, 0) + 1
    return degraded, released
