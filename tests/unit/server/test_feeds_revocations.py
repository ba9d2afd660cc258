"""A round of revocations takes back all that it is about, whoever else has one under way."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from gateway.feeds.ports import LAST_MS, StoreUnavailable
from gateway.programs.model import State
from gateway.programs.release import ProgramEntry
from gateway.programs.subjects import EFFECT_MS, CaseEvent, CaseKind, CaseState
from gateway.programs.subjects import Subjects as Objecting
from gateway.records.reasons import Reason
from gateway.runtime.clock import SimClock
from gateway.server.feeds.in_flight import InFlight
from gateway.server.feeds.revocations import Revocations

CARD = b"k" * 16
OBJECTION = CaseEvent(
    case_id=1, kind=CaseKind.OBJECTION, state=CaseState.RECEIVED, unit_keys=(CARD,), epoch=1,
    actor="a", reason="r", at_ms=0,
)  # fmt: skip


class Core:
    """Has nothing open, and notes which cards it was asked to withdraw."""

    def __init__(self) -> None:
        self.objected: list[list[bytes]] = []
        self.erased: list[tuple[bytes, int]] = []

    def lapsed_consents(self, lapsed: Any) -> list[Any]:
        return []

    def sweep(self, switches: Any, now_ms: int) -> list[Any]:
        return []

    def object(self, cards: list[bytes], now_ms: int, queued_before_ms: int = LAST_MS) -> list[Any]:
        if queued_before_ms == LAST_MS:
            self.objected.append(list(cards))
        else:
            self.erased.append((cards[0], queued_before_ms))
        return []


def test_who_objects_while_another_round_waits_for_fan_out_is_taken_back_behind_it() -> None:
    subjects, core = Objecting(), Core()
    consents: Any = SimpleNamespace(subjects=subjects, lapsed=lambda *who: None, whole=lambda: True)
    with ThreadPoolExecutor(1) as delivery:
        revocations = Revocations(
            core,
            consents,
            SimClock(),
            delivery,
            lambda actions: None,
            InFlight(),  # type: ignore[arg-type]
        )
        listed = threading.Event()
        objecting = Objecting.objecting.fget  # type: ignore[attr-defined]

        class Watched(Objecting):
            @property
            def objecting(self) -> Any:
                listed.set()
                return objecting(self)

        subjects.__class__ = Watched
        with revocations.planning:
            # Fan-out has planned a share of the card, and has yet to commit it.
            policy = threading.Thread(target=revocations.policy_changed)
            policy.start()
            assert listed.wait(5), "the round lists who objects before it waits"
            subjects.take([OBJECTION])
        policy.join(5)
        before = len(core.objected)
        revocations._round()
    assert [CARD] in core.objected[before:]


def test_who_objects_anew_with_the_refusal_of_an_earlier_case_is_taken_back_again() -> None:
    """Between the two the card objected to nothing, and was queued."""
    subjects, core = Objecting(), Core()
    consents: Any = SimpleNamespace(subjects=subjects, lapsed=lambda *who: None, whole=lambda: True)
    with ThreadPoolExecutor(1) as delivery:
        revocations = Revocations(
            core,  # type: ignore[arg-type]
            consents,
            SimClock(),
            delivery,
            lambda actions: None,
            InFlight(),
        )
        subjects.take([OBJECTION])
        revocations._round()
        revocations._round()
        assert core.objected == [[CARD]], "once for one case"
        subjects.take([replace(OBJECTION, state=CaseState.REFUSED, event_id=2, epoch=2)])
        subjects.take([replace(OBJECTION, case_id=2, event_id=3, epoch=3)])
        revocations._round()
        assert core.objected == [[CARD], [CARD]]
        subjects.take([replace(OBJECTION, case_id=2, state=CaseState.REFUSED, event_id=4, epoch=4)])
        revocations._round()
    assert core.objected == [[CARD], [CARD]]
    assert revocations._withdrawn_cards == {}


def test_what_was_queued_before_an_erasure_is_taken_back_also_where_its_objection_was_refused() -> None:
    """Both came while the feeds were down: nobody objects when they are back."""
    subjects, core = Objecting(), Core()
    consents: Any = SimpleNamespace(subjects=subjects, lapsed=lambda *who: None, whole=lambda: True)
    erasure = replace(OBJECTION, case_id=2, kind=CaseKind.ERASURE, at_ms=7)
    subjects.take([OBJECTION, erasure, replace(OBJECTION, state=CaseState.REFUSED)])
    with ThreadPoolExecutor(1) as delivery:
        revocations = Revocations(
            core,  # type: ignore[arg-type]
            consents,
            SimClock(),
            delivery,
            lambda actions: None,
            InFlight(),
        )
        revocations._round()
        revocations._round()
    assert (core.objected, core.erased) == ([], [(CARD, 7 + EFFECT_MS)]), "once, and nothing that came after"


class Busy(Core):
    """Has something to withdraw in each round, and tells of it; `held` is asked after each."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self._held = held
        self._left: list[Any] = []
        self.withdrawn = 0

    def lapsed_consents(self, lapsed: Any) -> list[Any]:
        self._left = [object()]
        return ["consent"]

    def revoke(self, consent: Any, now_ms: int) -> list[Any]:
        if self._left:
            return [self._left.pop()]
        self.withdrawn += 1
        self._held(self.withdrawn)
        return []


def test_a_round_cuts_off_what_it_withdrew_also_where_another_ends_meanwhile() -> None:
    first_over, second_withdrew = threading.Event(), threading.Event()
    cut_off: list[int] = []

    def held(number: int) -> None:
        if number == 2:
            second_withdrew.set()
            first_over.wait(5)

    class Waiting(InFlight):
        def waiting(self) -> Any:
            cut_off.append(1)
            if len(cut_off) == 1:
                # Of rounds that wait for each other the second has not begun.
                second_withdrew.wait(0.3)
            return []

    consents: Any = SimpleNamespace(subjects=Objecting(), lapsed=lambda *who: None, whole=lambda: True)
    loop = asyncio.new_event_loop()
    loop_thread = threading.Thread(target=loop.run_forever)
    loop_thread.start()
    try:
        with ThreadPoolExecutor(1) as delivery:
            revocations = Revocations(
                Busy(held),  # type: ignore[arg-type]
                consents,
                SimClock(),
                delivery,
                lambda actions: None,
                Waiting(),
            )
            revocations.attach(loop)

            def first_round() -> None:
                revocations._round()
                first_over.set()

            first = threading.Thread(target=first_round)
            first.start()
            while not cut_off:
                first.join(0.001)
            second = threading.Thread(target=revocations._round)
            second.start()
            first.join(5)
            second.join(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        loop_thread.join(5)
        loop.close()
    assert (len(cut_off), revocations.count) == (2, 2)


def test_a_policy_whose_round_failed_stays_due_also_where_an_earlier_round_ends_after_it_came() -> None:
    policy_came = threading.Event()
    rounds: list[int] = []

    class Failing(Core):
        def lapsed_consents(self, lapsed: Any) -> list[Any]:
            rounds.append(len(rounds))
            if len(rounds) == 1:
                policy.start()
                assert policy_came.wait(5)
            if len(rounds) == 2:
                raise StoreUnavailable("the disk is full")
            return []

    def whole() -> bool:
        if threading.current_thread() is policy:
            policy_came.set()
        return True

    consents: Any = SimpleNamespace(subjects=Objecting(), lapsed=lambda *who: None, whole=whole)
    with ThreadPoolExecutor(1) as delivery:
        revocations = Revocations(
            Failing(),  # type: ignore[arg-type]
            consents,
            SimClock(),
            delivery,
            lambda actions: None,
            InFlight(),
        )
        policy = threading.Thread(target=revocations.policy_changed)
        revocations.policy_changed()
        policy.join(5)
        assert rounds == [0, 1]
        revocations.mend()
        assert rounds == [0, 1, 2], "what failed is tried again"
        revocations.mend()
    assert rounds == [0, 1, 2]


def test_before_the_registry_is_known_a_policy_takes_nothing_back() -> None:
    asked: list[str] = []

    class Asked(Core):
        def lapsed_consents(self, lapsed: Any) -> list[Any]:
            asked.append("lapsed")
            return []

    known = [False]
    consents: Any = SimpleNamespace(subjects=Objecting(), lapsed=lambda *who: None, whole=lambda: known[0])
    with ThreadPoolExecutor(1) as delivery:
        revocations = Revocations(
            Asked(),  # type: ignore[arg-type]
            consents,
            SimClock(),
            delivery,
            lambda actions: None,
            InFlight(),
        )
        revocations.policy_changed()
        assert asked == [], "the documents alone would speak, and tombstones are not taken back"
        known[0] = True
        revocations.mend()
        assert asked == ["lapsed"]
        revocations.mend()
        assert asked == ["lapsed"], "once a policy"


def entry(issuer_id: str, until_ms: int) -> ProgramEntry:
    return ProgramEntry(
        program="risk-score", issuer_id=issuer_id, ahead=True, purpose=1, enrolment_id=issuer_id,
        state=State.ACTIVE, valid_until_ms=until_ms, attestation_expires_ms=until_ms,
    )  # fmt: skip


def policy_of(*entries: ProgramEntry) -> Any:
    issuers = {one.issuer_id: SimpleNamespace(issuer_id=one.issuer_id, programs=(one,), after=())
               for one in entries}  # fmt: skip
    return SimpleNamespace(issuers=issuers)


def test_what_is_queued_is_taken_back_when_its_enrolment_is_gone_and_when_its_last_day_has_passed() -> None:
    queued = {"lakeside", "northgate"}
    taken_back: list[tuple[str, Reason]] = []

    class Queued(Core):
        def sweep(self, switches: Any, now_ms: int) -> list[Any]:
            for issuer_id in sorted(queued):
                if (reason := switches.stopped("risk-score", issuer_id)) is not None:
                    queued.discard(issuer_id)
                    taken_back.append((issuer_id, reason))
                    return [issuer_id]
            return []

    clock = SimClock()
    end_ms = clock.wall_ms() + 5_000
    consents: Any = SimpleNamespace(subjects=Objecting(), lapsed=lambda *who: None, whole=lambda: True)
    with ThreadPoolExecutor(1) as delivery:
        revocations = Revocations(
            Queued(),  # type: ignore[arg-type]
            consents,
            clock,
            delivery,
            lambda actions: None,
            InFlight(),
        )
        revocations._round()
        assert taken_back == [], "no policy is known"
        revocations.use(policy_of(entry("lakeside", end_ms), entry("northgate", end_ms)))
        revocations.policy_changed()
        assert taken_back == []
        revocations.use(policy_of(entry("lakeside", end_ms)))
        revocations.policy_changed()
        assert taken_back == [("northgate", Reason.NOT_ENROLLED)]
        clock.advance_ms(4_999)
        revocations.look()
        assert queued == {"lakeside"}
        clock.advance_ms(1)
        revocations.look()
    assert taken_back[1:] == [("lakeside", Reason.OUTSIDE_VALIDITY)]
