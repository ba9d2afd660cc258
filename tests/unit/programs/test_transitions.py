"""The table of states: complete, and held when a policy follows another."""

from itertools import product

import pytest

from gateway.programs.model import State
from gateway.programs.transitions import REVIVED, TRANSITIONS, transition_issues

PROGRAM = "programs/one.yaml"
ENROLMENT = "enrolments/bank-one.yaml"

FORBIDDEN = {
    *((State.ACTIVE, State.DRAFT), (State.PAUSED, State.DRAFT)),
    *((State.KILLED, other) for other in State if other not in (State.KILLED, State.RETIRED)),
    *((State.RETIRED, other) for other in State if other is not State.RETIRED),
}


def document(state: State | None) -> dict[str, str]:
    return {} if state is None else {PROGRAM: f"program: one\nstate: {state.name.lower()}\n"}


def enrolment(state: State, note: str = "") -> dict[str, str]:
    said = f"# {note}\nenrolment_id: bank-one\nprogram: one\nissuer_id: bank\nstate: {state.name.lower()}\n"
    return {ENROLMENT: said}


@pytest.mark.parametrize(("before", "after"), list(product(State, State)))
def test_every_pair_of_states_is_decided(before: State, after: State) -> None:
    issues = transition_issues(document(before), document(after))
    assert bool(issues) is ((before, after) in FORBIDDEN)
    assert (after in TRANSITIONS[before]) is not bool(issues)
    for issue in issues:
        assert (issue.file, issue.path) == (PROGRAM, "state")
        assert before.name.lower() in issue.what
        assert issue.mend


@pytest.mark.parametrize("state", list(State))
def test_any_state_may_be_the_first(state: State) -> None:
    assert transition_issues({}, document(state)) == []


@pytest.mark.parametrize("state", list(State))
def test_the_document_of_what_was_killed_or_retired_stays(state: State) -> None:
    issues = transition_issues(document(state), {})
    assert bool(issues) is (state in (State.KILLED, State.RETIRED))
    assert all("Keep the file" in issue.mend for issue in issues)


@pytest.mark.parametrize("after", list(State))
def test_a_killed_program_comes_back_by_its_revival_alone(after: State) -> None:
    before = document(State.KILLED)
    revived = not transition_issues(before, document(after), {("one", "")})
    assert revived is (after in REVIVED)
    unmoved = [{("two", "")}, {("one", "bank")}, set()]
    for revivals in unmoved:
        issues = transition_issues(before, document(after), revivals)
        assert bool(issues) is (after not in TRANSITIONS[State.KILLED])


@pytest.mark.parametrize("revival", [("one", "bank"), ("one", "")])
def test_an_enrolment_comes_back_by_a_revival_for_its_issuer_or_for_all(revival: tuple[str, str]) -> None:
    killed, active = enrolment(State.KILLED), enrolment(State.ACTIVE)
    assert transition_issues(killed, active, {revival}) == []
    assert transition_issues(killed, active, {("one", "other-bank")})


def test_a_revival_does_not_bring_back_what_was_retired() -> None:
    assert transition_issues(document(State.RETIRED), document(State.ACTIVE), {("one", "")})


def test_all_refusals_are_told_at_once_in_order_of_file() -> None:
    before = {**document(State.RETIRED), **enrolment(State.RETIRED)}
    after = {**document(State.ACTIVE), **enrolment(State.PAUSED)}
    assert [issue.file for issue in transition_issues(before, after)] == [ENROLMENT, PROGRAM]


def test_members_that_are_accepted_no_longer_hide_no_state() -> None:
    before = {PROGRAM: "program: one\nof_old: [1, 2]\nstate: retired\n"}
    assert transition_issues(before, document(State.ACTIVE))


@pytest.mark.parametrize("text", ["state: [active", "- a\n- b", "state: 7", "state: gone", ""])
def test_what_never_was_a_state_forbids_nothing(text: str) -> None:
    assert transition_issues({PROGRAM: text}, document(State.ACTIVE)) == []


def test_documents_of_other_kinds_have_no_state() -> None:
    assert transition_issues({"issuers/a.yaml": "state: retired"}, {"issuers/a.yaml": "state: active"}) == []
