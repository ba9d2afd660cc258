"""Switches: what stops a program at once, everywhere, and how a worker proves that it has stopped.

A kill writes a stop under a new epoch and waits until each worker's lease carries that epoch or has run out.
A worker shares only while its lease is fresh. Two rules make that safe:

- A worker whose view is older than the store's does not renew. So a worker that hangs runs out by itself.
- A lease that was not continuous counts only after a poll behind its publication saw the same epoch: a kill
  that wrote before that poll is in its answer, and one that writes later finds the lease on the board.

Both hold for the registry of consents as well, which has an epoch of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from gateway.programs.model import State
from gateway.records.errors import GatewayError
from gateway.records.reasons import Reason
from gateway.runtime.clock import MS, Clock

POLL_MS: Final = 50
"""Between two polls of the store: 1/20 of the second within which a kill has to be over."""

LEASE_MS: Final = 500
"""A worker that has not renewed for so long withholds with `policy_stale` (docs/concepts.md, Switches)."""

LEASE_GRACE_MS: Final = 100
"""Others wait this much longer for a lease to run out: time for what was in flight when it became stale."""

KILL_TIMEOUT_MS: Final = 1_000
"""A kill is over within a second: what we promise to operators (docs/operating.md)."""

ACKNOWLEDGE_POLL_MS: Final = 5
"""Between two looks at the leases while a kill waits."""

MAX_EPOCH: Final = (1 << 63) - 1
"""Beyond any: of who has nothing to catch up with."""

EVERY_ISSUER: Final = ""
"""In place of an issuer id: the switch holds for all issuers of the program."""

GUARDRAIL_ACTOR: Final = "guardrail:"
"""Begins the name of an actor that is no person: it pauses, and can take nothing back."""


class SwitchStoreUnavailable(GatewayError):
    """The switches cannot be read or written now."""

    code = "switches_unavailable"


class SwitchRefused(GatewayError):
    """The switch may not be changed in this way."""

    code = "switch_refused"


@dataclass(frozen=True, slots=True)
class SwitchView:
    """All stops as of one epoch. The epoch rises with every change."""

    epoch: int
    stops: Mapping[tuple[str, str], Reason] = field(default_factory=dict)

    def stopped(self, program: str, issuer_id: str) -> Reason | None:
        """Why the program is stopped for the issuer, or None. A kill goes before a pause."""
        stops = self.stops
        if not stops:
            return None
        everywhere = stops.get((program, EVERY_ISSUER))
        if everywhere is Reason.KILLED:
            return everywhere
        return stops.get((program, issuer_id)) or everywhere


_STOPPED: Final = {Reason.KILLED: State.KILLED, Reason.PROGRAM_NOT_ACTIVE: State.PAUSED}


def effective_state(program: State, enrolment: State, stop: Reason | None) -> State:
    """The strictest of what the program, the enrolment and the switches say."""
    stopped = State.ACTIVE if stop is None else _STOPPED.get(stop, State.PAUSED)
    return max(program, enrolment, stopped)


class SwitchStore(Protocol):
    """Where switches are kept. Works without any other process. Raises SwitchStoreUnavailable."""

    def epoch(self) -> int: ...

    def view(self) -> SwitchView:
        """All stops now. Cheap where nothing changed since the last call."""
        ...

    def kill(self, program: str, issuer_id: str, *, actor: str, reason: str) -> int:
        """Stops for good; the epoch that carries it. `issuer_id` EVERY_ISSUER stops for all."""
        ...

    def pause(self, program: str, issuer_id: str, *, actor: str, reason: str) -> int:
        """Stops until resumed; never weakens a kill."""
        ...

    def resume(self, program: str, issuer_id: str, *, actor: str, reason: str) -> int:
        """Takes a pause back. Raises SwitchRefused where it was killed."""
        ...


class WriteStop(Protocol):
    """`kill` or `pause` of a store."""

    def __call__(self, program: str, issuer_id: str, *, actor: str, reason: str) -> int: ...


class Lease(NamedTuple):
    """A worker's word: it acts on `epoch` or later, and from `expires_ns` (monotonic) on, on nothing.

    `consent_epoch` is the same of the registry of consents; MAX_EPOCH of a worker that decides by none.
    """

    worker_id: str
    epoch: int
    expires_ns: int
    legible: bool = True
    """False where the record could not be read: it counts as unexpired until a whole lease has passed."""

    consent_epoch: int = MAX_EPOCH


class LeaseBoard(Protocol):
    """Where workers publish their leases. No locks: a stopped worker must not hold up a kill."""

    def renew(
        self, worker_id: str, epoch: int, expires_monotonic_ns: int, consent_epoch: int = MAX_EPOCH
    ) -> None: ...

    def release(self, worker_id: str) -> None:
        """Takes a worker's lease away, when it ends."""
        ...

    def read_all(self) -> Sequence[Lease]: ...

    def fence(self, worker_id: str) -> bool:
        """Ends a worker whose lease has run out because it was stopped; true where that was so.

        Between its last look at the switches and its write such a worker may stand still for any time, and
        go on behind the back of a kill. Nothing that it checks by itself can help: it has checked already.
        """
        ...


class ConsentsInForce(Protocol):
    """What a worker knows of the registry of consents."""

    def epoch(self) -> int:
        """Every act up to here holds in what is decided from now on."""
        ...

    def fresh(self) -> bool:
        """False where the registry has not answered for too long: then the lease runs out."""
        ...

    def seen(self) -> int:
        """Every act up to here is known: while it is not yet in force, no lease is renewed."""
        ...

    def stands_at(self, epoch: int) -> bool:
        """Whether the registry, by a look of now, has no later act. False where it does not answer."""
        ...


class NoConsents:
    """Of a worker that decides by no consent."""

    def epoch(self) -> int:
        return MAX_EPOCH

    def fresh(self) -> bool:
        return True

    def seen(self) -> int:
        return MAX_EPOCH

    def stands_at(self, epoch: int) -> bool:
        return True


class SwitchWatcher:
    """What one worker knows of the switches. Pure: it is told of polls and publications.

    The thread that polls and the thread that shares may be two. Each attribute has one writer of the two:
    `applied` the one that shares, all else the one that polls.
    """

    __slots__ = (
        "_applied_consents",
        "_applied_epoch",
        "_confirmed_until_ns",
        "_lease",
        "_view",
        "worker_id",
    )

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self._view: SwitchView | None = None
        self._applied_epoch = -1
        self._applied_consents = MAX_EPOCH
        self._lease: Lease | None = None
        self._confirmed_until_ns = 0

    @property
    def view(self) -> SwitchView | None:
        """The last view that was polled; None before the first."""
        return self._view

    def polled(self, view: SwitchView, consents_stand_at: Callable[[int], bool] = lambda epoch: True) -> None:
        """The store answered, behind the last publication: a lease of the same epochs now counts."""
        self._view = view
        lease = self._lease
        if lease is None or lease.epoch != view.epoch or lease.expires_ns <= self._confirmed_until_ns:
            return
        if consents_stand_at(lease.consent_epoch):
            self._confirmed_until_ns = lease.expires_ns

    def applied(self, epoch: int, consent_epoch: int = MAX_EPOCH) -> None:
        """The thread that shares says: nothing that was decided under older epochs is in its hands."""
        self._applied_consents = consent_epoch
        self._applied_epoch = epoch

    def renewal(self, now_ns: int, consent_epoch: int = -1) -> Lease | None:
        """The lease to publish now, or None while the newest view, or what is known of consents, is not
        applied."""
        view = self._view
        if view is None or self._applied_epoch != view.epoch or self._applied_consents < consent_epoch:
            return None
        expires_ns = now_ns + (LEASE_MS + LEASE_GRACE_MS) * MS
        return Lease(self.worker_id, view.epoch, expires_ns, consent_epoch=self._applied_consents)

    def published(self, lease: Lease, now_ns: int) -> bool:
        """The lease is on the board. True where a poll must confirm it first, since the last had run out."""
        continuous = now_ns < self._confirmed_until_ns
        self._lease = lease
        if continuous:
            self._confirmed_until_ns = lease.expires_ns
        return not continuous

    def fresh(self, now_ns: int) -> bool:
        """False where the worker has to withhold with `policy_stale`."""
        return now_ns < self._confirmed_until_ns - LEASE_GRACE_MS * MS


class SwitchRunner:
    """Drives a watcher against a store and a board.

    Two ways of use. A thread that does all by itself calls `step()` between two batches. Where another
    thread shares, that one calls `begin()` before each batch, with `reports_applied=True` here, and waits
    for new work no longer than POLL_MS at a time, so that it reports in time.
    """

    __slots__ = ("_board", "_clock", "_consents", "_reports_applied", "_store", "watcher")

    def __init__(
        self,
        store: SwitchStore,
        board: LeaseBoard,
        clock: Clock,
        worker_id: str,
        *,
        reports_applied: bool = False,
        consents: ConsentsInForce | None = None,
    ) -> None:
        self._consents = NoConsents() if consents is None else consents
        self._store = store
        self._board = board
        self._clock = clock
        self._reports_applied = reports_applied
        self.watcher = SwitchWatcher(worker_id)

    def step(self) -> bool:
        """Polls, renews. False where the store or the board did not answer: then the lease runs out."""
        if not self._consents.fresh():
            return False
        try:
            stands_at = self._consents.stands_at
            self.watcher.polled(self._store.view(), stands_at)
            if not self._reports_applied:
                self._apply()
            lease = self.watcher.renewal(self._clock.monotonic_ns(), self._consents.seen())
            if lease is not None:
                self._board.renew(lease.worker_id, lease.epoch, lease.expires_ns, lease.consent_epoch)
                if self.watcher.published(lease, self._clock.monotonic_ns()):
                    self.watcher.polled(self._store.view(), stands_at)
        except (SwitchStoreUnavailable, OSError):
            return False
        return True

    def begin(self) -> SwitchView | None:
        """The view to act on from here; says at once that nothing older is in hand. None: withhold."""
        return self._apply()

    def fresh(self) -> bool:
        """Look before a batch, and again before anything of it leaves."""
        return self.watcher.fresh(self._clock.monotonic_ns())

    def stop(self) -> None:
        """Gives the lease back. Only when nothing is shared any more."""
        self._board.release(self.watcher.worker_id)

    def _apply(self) -> SwitchView | None:
        view = self.watcher.view
        if view is not None:
            self.watcher.applied(view.epoch, self._consents.epoch())
        return view


@dataclass(frozen=True, slots=True)
class Stopped:
    """Result of a stop: who knows of it, and who has run out."""

    epoch: int
    effective_after_ms: int
    workers_acknowledged: tuple[str, ...]
    workers_expired: tuple[str, ...]
    workers_fenced: tuple[str, ...] = ()
    """Those of the expired that were stopped and had to be ended."""

    workers_waiting: tuple[str, ...] = ()
    """Not empty only where the time was over: then the stop is written, and not yet everywhere in effect."""


def await_epoch(
    board: LeaseBoard,
    clock: Clock,
    wait_s: Callable[[float], None],
    epoch: int,
    *,
    since_ns: int,
    timeout_ms: int = KILL_TIMEOUT_MS,
    of_consents: bool = False,
) -> Stopped:
    """Returns when each worker has reached `epoch` or its lease has run out, or the time is over.

    `of_consents`: the epoch is one of the registry of consents, else of the switches.
    """
    longest_ns = (LEASE_MS + LEASE_GRACE_MS) * MS
    first_look_ns = clock.monotonic_ns()
    while True:
        leases = board.read_all()
        now_ns = clock.monotonic_ns()
        acknowledged: list[str] = []
        expired: list[str] = []
        waiting: list[str] = []
        for lease in leases:
            if not lease.legible:
                (waiting if now_ns - first_look_ns < longest_ns else expired).append(lease.worker_id)
            elif (lease.consent_epoch if of_consents else lease.epoch) >= epoch:
                acknowledged.append(lease.worker_id)
            # No lease reaches further than its length: one that does is of an earlier start of this machine.
            elif now_ns < lease.expires_ns <= now_ns + longest_ns:
                waiting.append(lease.worker_id)
            else:
                expired.append(lease.worker_id)
        over = now_ns - since_ns >= timeout_ms * MS
        if not waiting or over:
            fenced = tuple(worker_id for worker_id in expired if board.fence(worker_id))
            took_ms = (clock.monotonic_ns() - since_ns) // MS
            return Stopped(epoch, took_ms, tuple(acknowledged), tuple(expired), fenced, tuple(waiting))
        wait_s(ACKNOWLEDGE_POLL_MS / 1_000)


def stop(
    write: WriteStop,
    board: LeaseBoard,
    clock: Clock,
    wait_s: Callable[[float], None],
    *,
    program: str,
    issuer_id: str = EVERY_ISSUER,
    actor: str,
    reason: str,
) -> Stopped:
    """Stops a program by `write`, and returns when nobody shares under it any more."""
    since_ns = clock.monotonic_ns()
    epoch = write(program, issuer_id, actor=actor, reason=reason)
    return await_epoch(board, clock, wait_s, epoch, since_ns=since_ns)
