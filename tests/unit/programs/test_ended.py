"""What was shared under an earlier policy leaves while the one in force still stands behind it."""

from dataclasses import replace

import pytest

from gateway.programs.ended import Standing, ended
from gateway.programs.model import State
from gateway.programs.release import ProgramEntry
from gateway.programs.switches import SwitchView
from gateway.records.reasons import Reason

ENTRY = ProgramEntry(
    program="risk-score", issuer_id="bank", ahead=True, purpose=1, enrolment_id="e", state=State.ACTIVE,
    valid_from_ms=10, valid_until_ms=30, attestation_expires_ms=20,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "now_ms", "reason", "until_ms"),
    [
        ({}, 10, None, 20),
        ({}, 9, Reason.OUTSIDE_VALIDITY, 9),
        ({}, 19, None, 20),
        ({}, 20, Reason.ATTESTATION_EXPIRED, 20),
        ({"attestation_expires_ms": 40}, 29, None, 30),
        ({"attestation_expires_ms": 40}, 30, Reason.OUTSIDE_VALIDITY, 30),
        ({"state": State.KILLED}, 12, Reason.KILLED, 12),
        ({"state": State.RETIRED}, 12, Reason.PROGRAM_NOT_ACTIVE, 12),
        ({"state": State.DRAFT}, 12, Reason.PROGRAM_NOT_ACTIVE, 12),
        ({"state": State.PAUSED}, 12, None, 20),
        ({"state": State.SHADOW}, 12, None, 20),
    ],
)
def test_what_an_enrolment_covered_leaves_until_it_ends_or_its_state_is_final(
    changes: dict[str, object], now_ms: int, reason: Reason | None, until_ms: int
) -> None:
    assert ended(replace(ENTRY, **changes), now_ms) == (reason, until_ms)


def test_of_a_program_that_has_no_enrolment_any_more_nothing_leaves() -> None:
    assert ended(None, 12) == (Reason.NOT_ENROLLED, 12)


def test_a_switch_speaks_first_and_without_a_policy_alone() -> None:
    ends: list[int] = []
    view = SwitchView(epoch=3, stops={("risk-score", "bank"): Reason.KILLED})
    entries = {("risk-score", "bank"): ENTRY}
    assert Standing(view, entries, 12, ends.append).stopped("risk-score", "bank") is Reason.KILLED
    assert Standing(view, None, 12, ends.append).stopped("other", "bank") is None
    assert ends == []
    open_view = SwitchView(epoch=4)
    assert Standing(open_view, entries, 12, ends.append).stopped("risk-score", "bank") is None
    assert Standing(open_view, entries, 20, ends.append).stopped("risk-score", "bank") is not None
    assert ends == [20], "who can still share is asked again when it ends"
