"""The operators' guide, typed in as it stands, on free ports."""

import re

import pytest

from tests.unit.docs.pages import DOCS
from tests.unit.docs.typed import on_free_ports, shapes, steps, type_in

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def page() -> str:
    return on_free_ports(DOCS / "operators-guide.md")


@pytest.fixture(scope="module")
def printed(page: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each command printed, mistakes told on standard error included."""
    return type_in(page, tmp_path_factory.mktemp("g"), with_errors=True)


def outputs(page: str, printed: list[str], part: str) -> list[str]:
    """What the commands with this part printed, in order."""
    return [output for (command, _), output in zip(steps(page), printed, strict=True) if part in command]


def counts(texts: list[str], pattern: str) -> list[int]:
    return [int(found[1].replace(",", "")) for text in texts if (found := re.search(pattern, text))]


def test_every_command_prints_what_the_page_says_numbers_aside(page: str, printed: list[str]) -> None:
    assert len(printed) == len(steps(page))
    for (command, said), output in zip(steps(page), printed, strict=True):
        assert shapes(output.splitlines()) == shapes(said), (
            f"{command}: run python -m tests.unit.docs.typed docs/operators-guide.md"
        )


def test_what_left_before_the_kill_is_counted_and_the_rest_is_withdrawn(
    page: str, printed: list[str]
) -> None:
    shared = counts(outputs(page, printed, "payment_service.py"), r"(\d+) risk-score shared")
    received = outputs(page, printed, "issuer_receiver.py")
    [got, after_the_kill] = counts(received, r"(\d+) shares, ")
    withdrawn = counts(received, r", (\d+) withdrawn")[-1]
    assert (len(shared), after_the_kill) == (2, 0)
    assert got > 0
    assert got + withdrawn == sum(shared)
    assert counts(outputs(page, printed, "ein kill"), r"(\d+) by ssf") == [got]
    assert counts(outputs(page, printed, "audit verify"), r"deliveries/0 +([\d,]+) ") == [got]


def test_the_ramp_takes_cards_from_pending_alone_and_a_card_in_twenty_is_held_out(
    page: str, printed: list[str]
) -> None:
    plans = outputs(page, printed, "ein plan")
    [ramp] = [plan for plan in plans if "1% -> 50%" in plan]
    [(moved, cards, moves)] = re.findall(r"([\d,]+) of ([\d,]+) change arm: (.+)", ramp)
    assert (cards, moves) == ("1,500", f"{moved} pending -> treatment")
    # 49% of 95% of 99%, with eight standard deviations on either side.
    assert 540 < int(moved.replace(",", "")) < 845
    [report] = outputs(page, printed, "ein report")
    held_out = [int(one) for one in re.findall(r"(\d+)/\d+/100\.00% +\+0\.00 pp", report)]
    assert len(held_out) == 4
    # 5% of 99% of 1,500, likewise.
    assert 10 < held_out[0] < 145


def test_what_one_person_may_not_do_is_refused_and_what_is_wrong_is_not_planned(
    page: str, printed: list[str]
) -> None:
    refused = [output for output in printed if output.endswith("exit code 78\n")]
    assert [text.split(":")[1].strip() for text in refused] == ["policy_invalid", "permission_denied"]
    listed = [text.splitlines()[1] for text in outputs(page, printed, "ein programs")]
    states = [line.split()[2] for line in listed]
    assert states == ["active", "killed", "active"]


def test_the_history_tells_all_of_it_in_order(page: str, printed: list[str]) -> None:
    [history] = outputs(page, printed, "ein history")
    told = [" ".join(line.split()[2:]) for line in history.splitlines()]
    assert [one.partition(" alice: ")[0] for one in told] == [
        "policy 1: applied",
        "policy 2: applied",
        "policy 3: applied",
        "epoch 1: risk-score for all killed",
        "epoch 2: risk-score for all revived, approved by bob",
        "policy 4: rolled back to policy 2, in force",
    ]
