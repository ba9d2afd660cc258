"""The engine decides and concludes as the stages in Python do, whatever the payments and the policy are."""

import gc
import re
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichment.payment import Assessment
from gateway.programs.documents import load_policy
from gateway.programs.table import ReleaseTable, compile_table
from gateway.records.reasons import Reason
from gateway.runtime.native import engines
from gateway.sharing.commit import told
from gateway.sharing.items import Tally
from gateway.sharing.score_port import Asked
from gateway.sharing.steps import Steps
from issuernetwork.storage.v1 import journal_pb2
from tests.kit.payments import HARBOR, LAKESIDE, MERIDIAN, NORTHGATE, payment
from tests.property.test_reader_twins import spoil
from tests.unit.sharing.kit import NOW_MS, Kit, sample_files, sample_table
from tests.unit.sharing.opened import released
from tests.unit.velocity.stores import count_by_engine

if not hasattr(engines, "Concluder"):
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

ISSUERS = (HARBOR, LAKESIDE, MERIDIAN, NORTHGATE, "90109999")
ASSESSMENTS = st.none() | st.builds(
    Assessment, st.just("ours"), st.just("model"), st.sampled_from(["m-1", "", "ä" * 65, 'm"1']),
    st.floats(0, 1), st.just(0.0), st.just(1.0), st.booleans(), st.integers(0, 999),
    st.lists(st.sampled_from(["ip_repeat", "cvv_mismatch", "a" * 40]), max_size=4).map(tuple),
    st.none() | st.floats(0, 100), st.sampled_from(["", "review"]),
)  # fmt: skip


class Drawn:
    """Implements `Scorer`: one after the other of some assessments."""

    def __init__(self, assessments: list[Assessment | None]) -> None:
        self._assessments = assessments

    def assess(self, asked: list[Asked]) -> list[Assessment | None]:
        return [self._assessments[at % len(self._assessments)] for at in range(len(asked))]


@cache
def table_of(state: str, holdout: int, of_all: int, ramp: int, hashed: bool, elements: str) -> ReleaseTable:
    found = {}
    for name, text in sample_files().items():
        if name.endswith("northgate-bank-enhanced-data.yaml"):
            text = text.replace("state: shadow", f"state: {state}")
        if hashed and ("northgate" in name or name.startswith("programs")):
            text = re.sub(r"( +)- email\n", r"\1- email\n\1- email_hash\n", text)
        if name.endswith("meridian-cards-risk-score.yaml"):
            text = text.replace("  DE48.SE72: model_id\n", elements)
        text = text.replace("holdout_percent: 50", f"holdout_percent: {holdout}")
        if "fraud-reports" not in name:
            text = text.replace("ramp_percent: 100", f"ramp_percent: {ramp}")
        found[name] = text.replace("global_holdout_percent: 2", f"global_holdout_percent: {of_all}")
    return compile_table(load_policy(found, version=7))


ELEMENTS = [
    "  DE48.SE72: model_id\n",
    "".join(
        f"  DE48.{at}: {name}\n"
        for at, name in enumerate(["reason_codes", "score_scale", "card_attempts_10m", "model_id"])
    ),
]
"""A text alone; a list, an object and a count besides, which is not always there."""

TABLES = st.builds(
    table_of, st.sampled_from(["shadow", "active", "paused"]), st.sampled_from([0, 50]),
    st.sampled_from([0, 2, 40]), st.sampled_from([100, 30]), st.booleans(), st.sampled_from(ELEMENTS),
)  # fmt: skip


COUNTED = [("device", "device_id"), ("device", "ip"), ("customer", "email")]
"""What keys of velocity are made of, where a payment has it."""


@st.composite
def batches(draw: Any) -> list[Any]:
    asked = []
    for number in range(1, draw(st.integers(2, 7))):
        request = payment(
            number,
            iin=draw(st.sampled_from(ISSUERS)),
            card=draw(st.integers(0, 30)),
            merchant_id=f"m-{draw(st.integers(0, 39)):04d}",
            now_ms=NOW_MS,
        )
        request.validate_only = draw(st.integers(0, 9)) == 0
        for part, name in draw(st.sets(st.sampled_from(COUNTED), max_size=2)):
            getattr(request, part).ClearField(name)
        if draw(st.integers(0, 3)) == 0:
            spoil(request, draw(st.data()))
        asked.append(request)
    return asked


def records(kit: Kit) -> list[journal_pb2.Evaluation]:
    """Without what differs by the nonce, which goes by the order of sealing."""
    found = kit.journal.records()
    for record in found:
        for decision in record.decisions:
            decision.ClearField("sealed")
            decision.ClearField("payload_sha256")
    return found


def by_twin(kit: Kit) -> Kit:
    kit.gateway._steps = Steps(kit.gateway._share_sealer, kit.gateway._encoder, print, native=None)
    kit.gateway._admitter._engine = None
    kit.gateway._committer._told = told
    return kit


@given(
    table=TABLES, asked=batches(), assessments=st.lists(ASSESSMENTS, min_size=1, max_size=3),
    without_key=st.sampled_from(["", "", "northgate-bank"]), stopped=st.booleans(), objecting=st.booleans(),
    warm=st.booleans(), withhold=st.sampled_from([None, None, None, Reason.OVER_DEADLINE]),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_both_answer_record_and_seal_the_same(
    table: ReleaseTable, asked: list[Any], assessments: list[Assessment | None], without_key: str,
    stopped: bool, objecting: bool, warm: bool, withhold: Reason | None,
) -> None:  # fmt: skip
    kits = [Kit(table=table, without_key=without_key, scorer=Drawn(assessments)) for _ in range(2)]
    by_twin(kits[1])
    if warm:
        count_by_engine(kits[0])
    tallies, results = (Tally(), Tally()), []
    for kit, tally in zip(kits, tallies, strict=True):
        if objecting:
            kit.results(*asked[:1])
            kit.subjects._cases = {one.unit_key: (1,) for one in kit.journal.records()}
        if not warm:
            kit.velocity.fault = OSError("down")
        if stopped:
            kit.board.stop("risk-score")
            kit.renew()
        results.append(kit.results(*asked, withhold=withhold, tally=tally))
        assert not [one for one in kit.faults if one[0] != "fetch"]
    assert results[0] == results[1]
    ours, theirs = (records(kit) for kit in kits)
    assert ours == theirs
    assert [body for _, _, body in released(kits[0])] == [body for _, _, body in released(kits[1])]
    assert replace(tallies[0], provided_ns={}) == replace(tallies[1], provided_ns={})


@pytest.mark.parametrize("counts", [True, False])
def test_what_was_not_counted_is_shared_by_neither(counts: bool) -> None:
    one = Assessment("ours", "model", "m-1", 0.5, 0.0, 1.0, True, 500, ("ip_repeat",), 50.0, "")
    kits = [
        Kit(table=table_of("active", 0, 0, 100, False, elements=""), scorer=Drawn([one])) for _ in range(2)
    ]
    by_twin(kits[1])
    if counts:
        count_by_engine(kits[0])
    asked = [payment(number, iin=NORTHGATE, now_ms=NOW_MS) for number in range(1, 9)]
    for at, request in enumerate(asked):
        for part, name in COUNTED[at % 4 :]:
            getattr(request, part).ClearField(name)
    results = [kit.results(*asked) for kit in kits]
    assert results[0] == results[1]
    assert [kit.faults for kit in kits] == [[], []]
    assert records(kits[0]) == records(kits[1])
    assert len(list(released(kits[0]))) > len(asked)


def test_the_engine_leaves_no_ordinary_payment() -> None:
    """What is left is slower, and no test of answers would tell."""
    one = Assessment("ours", "model", "m-1", 0.5, 0.0, 1.0, True, 500, ("ip_repeat",), 50.0, "")
    kit = Kit(scorer=Drawn([one]))
    count_by_engine(kit)
    left: list[int] = []
    steps = kit.gateway._steps

    class Counted:
        def decide(self, batch: Any, objecting: Any) -> Any:
            found = steps.decide(batch, objecting)
            left.append(len(found))
            return found

        def conclude(self, batch: Any) -> Any:
            found = steps.conclude(batch)
            left.append(len(found))
            return found

    kit.gateway._steps = Counted()  # type: ignore[assignment]
    banks = NORTHGATE, MERIDIAN  # one of them with elements in its message
    kit.results(*[payment(number, iin=banks[number % 2], now_ms=NOW_MS) for number in range(1, 81)])
    assert left == [0, 0]
    released = [one for record in kit.journal.records() for one in record.decisions if one.sealed]
    assert {one.recipient_id for one in released} == {"northgate-bank", "meridian-cards"}


def forget(kit: Kit) -> None:
    """What Python keeps of entries would hold them for the engine too."""
    encoder, sealer = kit.gateway._encoder, kit.gateway._share_sealer
    for kept in (encoder._withheld, encoder._standing, sealer._addressed, sealer._standing):
        kept.clear()


def test_what_is_kept_from_batch_to_batch_is_said_of_no_other_entry() -> None:
    """Tables come and go, and new entries may lie where others lay."""
    one = Assessment("ours", "model", "m-1", 0.5, 0.0, 1.0, True, 500, ("ip_repeat",), 50.0, "")
    kits = [Kit(scorer=Drawn([one])) for _ in range(2)]
    by_twin(kits[1])
    for batch in range(24):
        state = ("active", "shadow", "paused")[batch % 3]
        of_batch = table_of.__wrapped__(state, batch % 2 * 50, 0, 100, False, ELEMENTS[batch % 2])
        for table in (of_batch, sample_table()):
            numbers = range(batch * 40, batch * 40 + 20) if table is of_batch else [batch * 40 + 20]
            asked = [payment(one, iin=ISSUERS[one % len(ISSUERS)], now_ms=NOW_MS) for one in numbers]
            for kit in kits:
                kit.gateway.table = table
                forget(kit)
            assert kits[0].results(*asked) == kits[1].results(*asked)
        del table, of_batch
        gc.collect()
    assert records(kits[0]) == records(kits[1])
    assert not [kit.faults for kit in kits if kit.faults]


def test_where_the_engine_panics_the_stages_do_what_it_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Assessment("ours", "model", "m-1", 0.5, 0.0, 1.0, True, 500, ("ip_repeat",), 50.0, "")
    asked = [payment(number, iin=NORTHGATE, now_ms=NOW_MS) for number in range(10)]
    kit, other = Kit(scorer=Drawn([one])), Kit(scorer=Drawn([one]))

    class Panics:
        def decide(self, *given: Any) -> Any:
            raise engines.PanicException("decide")

        def conclude(self, *given: Any) -> Any:
            raise engines.PanicException("conclude")

    kit.gateway._steps._decider = kit.gateway._steps._concluder = Panics()
    assert kit.results(*asked) == other.results(*asked)
    assert {stage for stage, _ in kit.faults} == {"decide", "seal"}


def test_what_was_sealed_and_could_not_be_recorded_is_not_sealed_without_its_card(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Assessment("ours", "model", "m-1", 0.5, 0.0, 1.0, True, 500, ("ip_repeat",), 50.0, "")
    asked = [payment(number, iin=NORTHGATE, now_ms=NOW_MS) for number in range(3)]

    def fails(*given: Any) -> bytes:
        raise ValueError("issues")

    monkeypatch.setattr("gateway.sharing.encode.Encoder.issues", fails)
    kit = Kit(scorer=Drawn([one]))
    kit.velocity.fault = OSError("down")  # so that each answer has something left out
    answers = kit.answers(*asked)
    assert {answer.degraded_reason for answer in answers} == {"internal"}
    assert not kit.journal.payloads
