"""Cardholders' cases: opened and moved in order, beside what merchants say, and followed by workers."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.backends.embedded.consents import SqliteConsents
from gateway.backends.embedded.subjects import SqliteSubjects
from gateway.programs.consents import ConsentRefused, Party, Setting
from gateway.programs.model import Tier
from gateway.programs.subjects import (
    EFFECT_MS,
    KEYS_A_CASE_MAX,
    CaseEvent,
    CaseKind,
    CaseState,
    SubjectRefused,
    Subjects,
)
from gateway.records.reasons import Reason
from gateway.runtime.clock import SimClock
from gateway.server.consent_follower import ConsentFollower

A, B, C = (bytes([number]) * 16 for number in (1, 2, 3))
OBJECTION, ERASURE = CaseKind.OBJECTION, CaseKind.ERASURE
WHO = {"actor": "maria", "reason": "letter of 3 May"}


@pytest.fixture
def clock() -> SimClock:
    return SimClock(wall_ms=1_000)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "consents.sqlite3")


@pytest.fixture
def consents(path: str, clock: SimClock) -> Iterator[SqliteConsents]:
    made = SqliteConsents(path, clock)
    yield made
    made.close()


@pytest.fixture
def cases(path: str, clock: SimClock) -> Iterator[SqliteSubjects]:
    made = SqliteSubjects(path, clock)
    yield made
    made.close()


def test_cases_and_consents_stand_in_one_order(consents: SqliteConsents, cases: SqliteSubjects) -> None:
    said = Setting(Party.MERCHANT, "m-1", Tier.NONE, "2026", "form", 0)
    assert consents.put([said], actor="a", reason="r") == 1
    assert cases.open([OBJECTION], [A], **WHO) == ([1], 2)
    assert consents.epoch() == 2, "whoever follows consents hears of it"
    assert consents.put([said], actor="a", reason="r") == 3
    assert cases.open([OBJECTION, ERASURE], [A, B, A], **WHO) == ([2, 3], 4)
    events, place = cases.events(0, 100)
    assert [(one.case_id, one.kind, one.state, one.unit_keys, one.epoch) for one in events] == [
        (1, OBJECTION, CaseState.RECEIVED, (A,), 2),
        (2, OBJECTION, CaseState.RECEIVED, (A, B), 4),
        (3, ERASURE, CaseState.RECEIVED, (A, B), 4),
    ]
    assert cases.events(place, 100) == ([], place)
    first, place = cases.events(0, 2)
    assert [one.case_id for one in first] == [1, 2]
    assert [one.case_id for one in cases.events(place, 2)[0]] == [3]


@pytest.mark.parametrize(
    ("kind", "moves", "refused"),
    [
        (OBJECTION, [CaseState.UPHELD], CaseState.REFUSED),
        (OBJECTION, [CaseState.REFUSED], CaseState.UPHELD),
        (OBJECTION, [], CaseState.CERTIFIED),
        (OBJECTION, [], CaseState.RECEIVED),
        (ERASURE, [], CaseState.REFUSED),
        (ERASURE, [CaseState.CERTIFIED], CaseState.RECEIVED),
    ],
)
def test_a_case_moves_as_the_table_says_and_no_other_way(
    cases: SqliteSubjects, kind: CaseKind, moves: list[CaseState], refused: CaseState
) -> None:
    (case_id,), _ = cases.open([kind], [A], **WHO)
    for state in moves:
        cases.move(case_id, state, **WHO)
    with pytest.raises(SubjectRefused, match="cannot become"):
        cases.move(case_id, refused, **WHO)
    assert [one.state for one in cases.case(case_id)] == [CaseState.RECEIVED, *moves]
    with pytest.raises(SubjectRefused, match="none of this number"):
        cases.move(99, CaseState.UPHELD, **WHO)


@pytest.mark.parametrize(
    "keys", [[], [b"short"], [n.to_bytes(16, "big") for n in range(KEYS_A_CASE_MAX + 1)]], ids=str
)
def test_a_case_is_of_a_card(cases: SqliteSubjects, keys: list[bytes]) -> None:
    with pytest.raises(SubjectRefused, match="pseudonyms"):
        cases.open([OBJECTION], keys, **WHO)
    with pytest.raises(ConsentRefused, match="reason"):
        cases.open([OBJECTION], [A], actor="maria", reason=" ")
    assert cases.events(0, 10) == ([], 0)


def test_all_cases_of_a_card_are_found_by_any_of_its_names(cases: SqliteSubjects) -> None:
    cases.open([OBJECTION], [A, B], **WHO)
    cases.open([OBJECTION], [C], **WHO)
    cases.open([ERASURE], [B], **WHO)
    assert [one.case_id for one in cases.of_card([B])] == [1, 3]
    assert [one.case_id for one in cases.of_card([C, A])] == [1, 2]


def test_what_is_still_to_come_is_counted(cases: SqliteSubjects) -> None:
    assert cases.open_counts() == {"objection": 0, "erasure": 0}
    (first, _), _ = cases.open([OBJECTION, ERASURE], [A], **WHO)
    cases.open([OBJECTION], [B], **WHO)
    cases.move(first, CaseState.UPHELD, **WHO)
    assert cases.open_counts() == {"objection": 1, "erasure": 1}


def test_sharing_stops_from_received_and_comes_back_only_where_every_objection_is_refused(
    cases: SqliteSubjects,
) -> None:
    known, place = Subjects(), 0

    def follow() -> Reason | None:
        nonlocal place
        events, place = cases.events(place, 100)
        known.take(events)
        return known.stops(A, b"", 5_000)

    (first,), _ = cases.open([OBJECTION], [A, B], **WHO)
    assert follow() is Reason.SUBJECT_OBJECTED
    assert known.stops(C, b"", 5_000) is None
    assert known.stops(C, A, 5_000) is Reason.SUBJECT_OBJECTED, "by its other name"
    (second,), _ = cases.open([OBJECTION], [A], **WHO)
    cases.move(first, CaseState.REFUSED, **WHO)
    assert follow() is Reason.SUBJECT_OBJECTED, "the other one stands"
    assert known.stops(B, b"", 5_000) is None
    cases.move(second, CaseState.UPHELD, **WHO)
    assert follow() is Reason.SUBJECT_OBJECTED
    assert bool(known.objecting)


def test_a_card_objects_throughout_while_one_of_its_cases_takes_the_place_of_another(
    cases: SqliteSubjects,
) -> None:
    (first,), _ = cases.open([OBJECTION], [A, B], **WHO)
    known = Subjects()
    events, place = cases.events(0, 10)
    known.take(events)
    cases.move(first, CaseState.REFUSED, **WHO)
    (second,), _ = cases.open([OBJECTION], [A], **WHO)
    asked: list[Reason | None] = []

    class Watched(list[CaseEvent]):
        """Asks, as the hot path may, behind each step that is read."""

        def __iter__(self) -> Iterator[CaseEvent]:
            for one in super().__iter__():
                yield one
                asked.append(known.stops(A, b"", 5_000))

    known.take(Watched(cases.events(place, 10)[0]))
    assert asked == [Reason.SUBJECT_OBJECTED] * 2
    assert known.objecting == {A: (second,)}


def test_what_was_decided_before_an_erasure_stays_gone_when_its_objection_is_refused(
    cases: SqliteSubjects, clock: SimClock
) -> None:
    (objection, _), _ = cases.open([OBJECTION, ERASURE], [A], **WHO)
    cases.move(objection, CaseState.REFUSED, **WHO)
    known = Subjects()
    known.take(cases.events(0, 10)[0])
    assert not known.objecting
    assert known.stops(A, b"", clock.wall_ms() + EFFECT_MS - 1) is Reason.SUBJECT_OBJECTED
    assert known.stops(A, b"", clock.wall_ms() + EFFECT_MS) is None


def test_a_worker_says_an_epoch_only_when_it_knows_its_cases(
    consents: SqliteConsents, cases: SqliteSubjects, clock: SimClock
) -> None:
    follower = ConsentFollower(consents, cases, clock)
    seen: list[tuple[int, bool]] = []
    follower.on_change = lambda: seen.append((follower.epoch(), A in follower.subjects.objecting))
    follower.step()
    cases.open([OBJECTION], [A], **WHO)
    follower.step()
    assert seen == [(0, False), (0, True)]
    assert follower.epoch() == 1


def test_who_was_told_of_an_erasure_by_hand_stays_with_who_wrote_it_and_the_newest_word_stands(
    cases: SqliteSubjects, clock: SimClock
) -> None:
    (objection, erasure), _ = cases.open([OBJECTION, ERASURE], [A], **WHO)
    cases.open([ERASURE], [B], **WHO)
    assert cases.told(erasure) == []
    assert cases.tell(erasure, "harbor", "letter 1", **WHO) == 3
    cases.tell(erasure, "atlas", "letter 2", **WHO)
    cases.tell(3, "harbor", "letter 9", **WHO)
    clock.advance_ms(10)
    cases.tell(erasure, "harbor", "letter 3", actor="tom", reason="sent again")
    assert [
        (one.case_id, one.recipient_id, one.evidence, one.epoch, one.actor, one.reason, one.at_ms)
        for one in cases.told(erasure)
    ] == [
        (erasure, "atlas", "letter 2", 4, "maria", WHO["reason"], 1_000),
        (erasure, "harbor", "letter 3", 6, "tom", "sent again", 1_010),
    ]
    assert [one.state for one in cases.case(erasure)] == [CaseState.RECEIVED], "it is no step of the case"
    for case_id, says in ((objection, "objection"), (99, "none of this number")):
        with pytest.raises(SubjectRefused, match=says):
            cases.tell(case_id, "harbor", "letter", **WHO)
    for recipient_id, evidence in (("", "letter"), ("harbor", ""), ("harbor", "e" * 257)):
        with pytest.raises(ConsentRefused):
            cases.tell(erasure, recipient_id, evidence, **WHO)
    cases.move(erasure, CaseState.CERTIFIED, **WHO)
    with pytest.raises(SubjectRefused, match="certified"):
        cases.tell(erasure, "harbor", "letter", **WHO)


def test_a_registry_of_before_takes_what_came_later(
    cases: SqliteSubjects, path: str, clock: SimClock
) -> None:
    (erasure,), _ = cases.open([ERASURE], [A], **WHO)
    cases._db.execute("drop table case_told")
    with closing(SqliteSubjects(path, clock)) as later:
        later.tell(erasure, "harbor", "letter", **WHO)
        assert len(later.told(erasure)) == 1


def test_no_case_shows_a_name_of_the_card(cases: SqliteSubjects) -> None:
    cases.open([OBJECTION], [A], **WHO)
    assert A.hex() not in repr(cases.events(0, 10)).replace("\\x01", "01")
