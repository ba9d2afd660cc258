"""What goes wrong on the hot path stays with its item, and holds up no payment."""

from typing import Any

import pytest

from enrichment.payment import Payment
from gateway.records.journal import JournalUnavailable, JournalUndetermined
from gateway.runtime.native import FAULTS
from gateway.sharing import admit as admit_module
from gateway.sharing import gateway as gateway_module
from gateway.sharing.admit import Admitter
from gateway.sharing.gateway import Gateway
from gateway.sharing.items import Tally
from gateway.sharing.remembered import Remembered
from gateway.sharing.steps import Steps
from gateway.sharing.work import Work
from issuernetwork.v1 import common_pb2
from tests.kit.payments import MERIDIAN
from tests.unit.sharing.kit import (
    SHARED,
    UNDETERMINED,
    WITHHELD,
    Kit,
    parsed,
    requests,
    shared_one,
)


def fail_at(stage: str, bad: set[str], raised: type[BaseException], patch: pytest.MonkeyPatch) -> None:
    """Makes what a stage calls fail with the payments of these request ids."""
    if stage in ("seal", "write"):
        # What the engine cannot do is done by these stages: here, everything.
        patch.setattr(Steps, "conclude", lambda self, batch: batch.works)
    if stage in ("admit", "plan"):
        patch.setattr(Admitter, "_by_engine", lambda self, batch, items, at: (at, False))
    owner, name = {
        "admit": (Remembered, "look"),
        "plan": (admit_module, "names_of"),
        "decide": (gateway_module, "signals"),
        "seal": (Payment, "drop_pan"),
        "write": (gateway_module, "record_of"),
    }[stage]
    run = getattr(owner, name)

    def failing(*args: Any) -> Any:
        ids = {arg for arg in args if isinstance(arg, str)} | {
            getattr(arg, "payment", arg).request_id for arg in args if isinstance(arg, Payment | Work)
        }
        if ids & bad:
            raise raised(f"bad pan {args}")
        return run.fget(*args) if isinstance(run, property) else run(*args)

    patch.setattr(owner, name, property(failing) if isinstance(run, property) else failing)


@pytest.mark.parametrize("raised", FAULTS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("bad", [{1}, {0, 1}, {3}, {0, 2}, {0, 1, 2, 3}], ids=str)
@pytest.mark.parametrize("stage", ["admit", "plan", "decide", "seal", "write"])
def test_faults_in_items_degrade_their_answers_alone(
    stage: str, bad: set[int], raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_at(stage, {f"p-r-{n}" for n in bad}, raised, monkeypatch)
    kit = Kit()
    tally = Tally()
    results = kit.results(*requests(4), tally=tally)
    for n, result in enumerate(results):
        answer = parsed(result)
        assert answer.request_id == f"p-r-{n}"
        assert (answer.degraded_reason, len(answer.decisions) == 0) == (
            ("internal", True) if n in bad else ("", False)
        )
    assert b"bad pan" not in b"".join(r for r in results if isinstance(r, bytes))
    assert len(kit.journal.payloads) == 4 - len(bad)
    assert tally.faults == len(bad)


def test_a_stage_that_fails_without_an_item_in_hand_ends_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    kit = Kit()
    monkeypatch.setattr(Steps, "decide", lambda self, batch, objecting: batch.works)
    monkeypatch.setattr(Gateway, "_decide", lambda self, batch, works: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        kit.results(*requests(2))


def test_without_the_velocity_store_the_payments_go_on_and_say_what_is_missing() -> None:
    kit = Kit()
    kit.velocity.fault = OSError("down")
    answers = kit.answers(*requests(20, iin=MERIDIAN))
    assert {(o.provider, o.reason) for a in answers for o in a.omissions} == {("velocity", "unavailable")}
    assert any(d.status == SHARED for a in answers for d in a.decisions)


def test_with_the_journal_unavailable_everything_is_withheld_and_payments_are_answered() -> None:
    kit = Kit()
    request = shared_one(kit, iin=MERIDIAN)
    kit.journal.fault = JournalUnavailable("disk full")
    (answer,) = kit.answers(request)
    released = {d.program: d for d in answer.decisions}["risk-score"]
    assert released.status == WITHHELD
    assert released.public_reason == common_pb2.PUBLIC_REASON_JOURNAL_UNAVAILABLE
    assert not released.elements
    kit.journal.fault = None
    assert kit.answers(request) == [answer]


@pytest.mark.parametrize("fault", [JournalUndetermined("sync"), RuntimeError("odd")])
def test_with_the_fate_of_the_record_unknown_the_answer_says_so_and_holds_nothing(fault: Exception) -> None:
    kit = Kit()
    request = shared_one(kit, iin=MERIDIAN)
    kit.journal.fault = fault
    (answer,) = kit.answers(request)
    released = {d.program: d for d in answer.decisions}["risk-score"]
    assert released.status == UNDETERMINED
    assert released.share_id
    assert not released.elements
