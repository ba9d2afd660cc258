"""Fetch: what is known of the payments of a batch, in one trip to the velocity store and each provider.

Look-ups of this process are called inline, our own in one step where the engine is built; providers beside
are asked first and waited for last. Whatever goes wrong with one costs its own fields: they are absent, and
the answers say why.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

from enrichment.payment import NOTHING_FOUND, JsonValue, make_facts
from enrichment.provider import (
    KEYS,
    OF_PAYMENT,
    OVER_BUDGET,
    OVER_DEADLINE,
    REASONS,
    UNAVAILABLE,
    Columns,
    Provider,
)
from enrichment.providers.looks import has_twin, make_looks
from enrichment.shape_check import check_of
from enrichment.signals import PROVIDED
from enrichment.velocity import VelocityKind
from gateway.runtime.clock import Clock
from gateway.runtime.native import FAULTS, engines
from gateway.sharing.counting import VELOCITY, Counting, CountsByKind, Omissions
from gateway.sharing.items import Tally
from gateway.sharing.patience import Patience
from gateway.sharing.provider_port import Beside, Found
from gateway.sharing.work import Batch, Work

_SENDER: Final = "sender_id"
_HASH_KEYS: Final = {f"{kind.name.lower()}_key": kind.value for kind in VelocityKind}
_HASH_BYTES: Final = 16
_NO_HASH: Final = bytes(_HASH_BYTES)


@dataclass(slots=True)
class Budgeted(Patience):
    """A provider, how long a batch may take it, and how it has done."""

    provider: Provider
    budget_us: int
    beside: Beside | None = None
    late_ns: int = 0
    """When its answer for the batch in hand would be late."""
    name: str = field(init=False)
    gives: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.name, self.gives = self.provider.name, frozenset(self.provider.gives)


class Nonsense(Exception):
    """An answer that is none: another length, a name that was not promised, a value that is no plain one."""


class Fetch:
    """Fills in the facts of a batch. One thread: the hot loop's."""

    __slots__ = (
        "_beside", "_clock", "_counted", "_counting", "_hashed", "_in_turn", "_inline", "_looks", "_on_fault",
        "_others", "_plain", "_quick", "_read",
    )  # fmt: skip

    def __init__(
        self,
        clock: Clock,
        counting: Counting,
        providers: Sequence[Budgeted],
        on_fault: Callable[[str, BaseException], None],
        native: Any = engines,
    ) -> None:
        self._clock = clock
        self._counting = counting
        self._on_fault = on_fault
        self._inline = [one for one in providers if one.beside is None]
        self._beside = [one for one in providers if one.beside is not None]
        self._quick = [one for one in self._inline if native is not None and has_twin(one.provider)]
        """Those that the engine looks for, where it can."""
        self._others = len(self._quick) < len(self._inline)
        self._in_turn = [(one, one in self._quick) for one in self._inline]
        self._looks: Any = make_looks(native, [one.provider for one in self._quick]) if self._quick else None
        wanted = {key for one in providers for key in one.provider.wants}
        self._counted = VELOCITY in wanted
        self._hashed = {key: _HASH_KEYS[key] for key in _HASH_KEYS if key in wanted}
        self._plain = tuple(key for key in KEYS if key in wanted and KEYS[key].startswith(OF_PAYMENT))
        # Two more than there are: of a single path `attrgetter` would give no tuple.
        names = [KEYS[key].removeprefix(OF_PAYMENT) for key in self._plain]
        self._read = attrgetter(*names, "attempt_no", "attempt_no")

    def fetch(self, batch: Batch, until_ns: int = 0) -> None:
        """One round trip for the batch. Without an answer the payments go on without it.

        `until_ns`: monotonic; when the first of them has to go on (0: none has). Who may take longer than
        that is not asked.
        """
        counts, omitted = self._counting.count(batch)
        if batch.asked and (self._inline or self._beside):
            try:
                self._ask(batch, counts, omitted, until_ns)
            except FAULTS as fault:
                batch.tally.faults += 1
                self._on_fault("fetch", fault)
                every = (*self._inline, *self._beside)
                omitted = (*omitted, *[(one.name, UNAVAILABLE) for one in every])
            else:
                return
        for work, found in zip(batch.asked, counts, strict=True):
            work.facts = make_facts((found, omitted, NOTHING_FOUND, 0))

    def _ask(self, batch: Batch, counts: Sequence[CountsByKind], omitted: Omissions, until_ns: int) -> None:
        """The providers, those beside first: they are busy while the others are asked."""
        asked = batch.asked
        answers: list[Found] = []
        omissions: list[tuple[str, str]] = []
        waiting: list[tuple[Budgeted, str]] = []
        columns = None
        if self._beside:
            columns = self._plan(asked, counts)
            waiting = [(one, self._hand_over(one, columns, until_ns)) for one in self._beside]
        looked = self._look_quickly(asked, counts)
        if columns is None and (looked is None or self._others):
            columns = self._plan(asked, counts)
        self._look(columns, looked, answers, omissions, batch.tally)
        for one, why_not in waiting:
            if why_not:
                omissions.append((one.name, why_not))
            else:
                self._await(one, len(asked), answers, omissions)
        for omission in omissions:
            batch.tally.omitted[omission] = batch.tally.omitted.get(omission, 0) + len(asked)
        absent = (*omitted, *omissions)
        if looked is None:
            _join(asked, counts, absent, answers)
        else:
            self._looks.join(looked, asked, counts, absent, answers)

    def _plan(self, asked: Sequence[Work], counts: Sequence[Any]) -> Columns:
        """What the providers want to know, as columns. Pure."""
        rows = zip(*map(self._read, [work.payment for work in asked]), strict=True)
        columns: dict[str, Sequence[JsonValue]] = dict(zip(self._plain, rows, strict=False))
        if self._counted:
            # Whatever the store answers with: a provider of others may look for tuples.
            columns[VELOCITY] = [one if one is None else tuple(one) for one in counts]
        columns[_SENDER] = [work.item[0] for work in asked]
        if self._hashed:
            kinds = list(zip(*[work.velocity_keys for work in asked], strict=True))
            for key, kind in self._hashed.items():
                hashes: Sequence[bytes] = kinds[kind]
                if None in hashes:
                    hashes = [one or _NO_HASH for one in hashes]
                # The first eight of each sixteen bytes.
                columns[key] = array("Q", b"".join(hashes))[::2].tolist()
        return Columns(columns, len(asked))

    def _hand_over(self, one: Budgeted, columns: Columns, until_ns: int) -> str:
        """Asks a provider beside. Why not, where it is not asked."""
        assert one.beside is not None
        now_ns = self._clock.monotonic_ns()
        if now_ns < one.aside_until_ns:
            return one.reason
        one.late_ns = now_ns + one.budget_us * 1_000
        if 0 < until_ns < one.late_ns:
            return OVER_DEADLINE
        # What it asked for and nothing else, in a form that it cannot change.
        seen = Columns({key: tuple(columns[key]) for key in one.provider.wants}, columns.size)
        if not one.beside.ask(seen):
            one.strike(OVER_BUDGET, now_ns)
            return OVER_BUDGET
        return ""

    def _look_quickly(self, asked: list[Work], counts: Sequence[CountsByKind]) -> Any:
        """What the engine finds in one step; None where each has to be asked for itself."""
        if self._looks is None:
            return None
        now = self._clock.monotonic_ns
        for one in self._quick:
            if one.aside_until_ns and now() < one.aside_until_ns:
                return None
        return self._looks.look(asked, counts, now)

    def _look(
        self,
        columns: Columns | None,
        looked: Any,
        answers: list[Found],
        omissions: list[tuple[str, str]],
        tally: Tally,
    ) -> None:
        """Asks those of this process. Late is late: the answer is there all the same, and is used.

        `looked`: what the engine has found already; None: nothing. Whoever is asked then has `columns`."""
        now = self._clock.monotonic_ns
        ended_ns = now()
        outcomes: Iterator[int | BaseException] = iter(() if looked is None else looked.outcomes)
        for one, quick in self._in_turn:
            if quick and looked is not None:
                outcome = next(outcomes)
            elif ended_ns < one.aside_until_ns:
                omissions.append((one.name, one.reason))
                continue
            else:
                began_ns, fault = ended_ns, self._ask_one(one, columns, answers)
                ended_ns = now()
                outcome = ended_ns - began_ns if fault is None else fault
            if not isinstance(outcome, int):
                tally.faults += 1
                self._failed(one, outcome, omissions)
                continue
            tally.provided_ns[one.name] = outcome
            if outcome > one.budget_us * 1_000:
                one.strike(OVER_BUDGET, now())
            else:
                one.strikes = 0
            lacking = getattr(one.provider, "lacking", "")
            if lacking:
                omissions.append((one.name, lacking))

    def _ask_one(self, one: Budgeted, columns: Columns | None, answers: list[Found]) -> BaseException | None:
        """What went wrong with it, if anything did."""
        assert columns is not None
        try:
            found = one.provider.fetch(columns)
            _check_shape(one, found, columns.size)
        except FAULTS as fault:
            return fault
        answers.append(found)
        return None

    def _await(
        self, one: Budgeted, size: int, answers: list[Found], omissions: list[tuple[str, str]]
    ) -> None:
        """Takes the answer of a provider beside, or what is left of its budget goes by."""
        assert one.beside is not None
        name = one.name
        try:
            found = one.beside.answer(max(one.late_ns - self._clock.monotonic_ns(), 0))
            if found is None:
                one.strike(OVER_BUDGET, self._clock.monotonic_ns())
                omissions.append((name, OVER_BUDGET))
                return
            _check_shape(one, found, size)
            _check_values(found)
        except FAULTS as fault:
            self._failed(one, fault, omissions)
            return
        one.strikes = 0
        answers.append(found)
        lacking = getattr(one.provider, "lacking", "")
        if lacking:
            # A reason is told to callers: only words of ours.
            omissions.append((name, lacking if lacking in REASONS else UNAVAILABLE))

    def _failed(self, one: Budgeted, fault: BaseException, omissions: list[tuple[str, str]]) -> None:
        one.strike(UNAVAILABLE, self._clock.monotonic_ns())
        omissions.append((one.name, UNAVAILABLE))
        self._on_fault(f"provider {one.name}", fault)


def _join(
    asked: Sequence[Work],
    counts: Sequence[CountsByKind],
    omissions: tuple[tuple[str, str], ...],
    answers: Sequence[Found],
) -> None:
    """Facts by payment, from columns. Most columns are known for all payments or for none of them."""
    size = len(asked)
    if size == 1:  # the lone request: a quarter of the time
        lone: dict[str, JsonValue] = {}
        mask = 0
        for found in answers:
            for name, (value,) in found.items():
                if value is not None:
                    lone[name] = value
                    mask |= PROVIDED.get(name, 0)
        asked[0].facts = make_facts((counts[0], omissions, lone, mask))
        return
    known: list[dict[str, JsonValue]] = [{} for _ in asked]
    masks = [0] * size
    every = 0
    for found in answers:
        for name, column in found.items():
            bit = PROVIDED.get(name, 0)
            if None not in column:
                every |= bit
                for one, value in zip(known, column, strict=True):
                    one[name] = value
            elif column.count(None) < size:
                for at, value in enumerate(column):
                    if value is not None:
                        known[at][name] = value
                        masks[at] |= bit
    for work, count, one, mask in zip(asked, counts, known, masks, strict=True):
        work.facts = make_facts((count, omissions, one, mask | every))


def _check_shape(one: Budgeted, found: Found, size: int) -> None:
    # What it nearly always is, in a third of the time.
    if type(found) is not dict and not isinstance(found, Mapping):
        raise Nonsense("no mapping of columns")
    if not found.keys() <= one.gives:
        raise Nonsense("a name that it does not give")
    for length in map(len, found.values()):
        if length != size:
            raise Nonsense("a column that is not as long as the batch")


def _check_values(found: Found) -> None:
    for name, column in found.items():
        fits = check_of(name)
        for value in column:
            if value is not None and not fits(value):
                raise Nonsense("a value that is not of its field's shape")
