"""Payments through the gateway with a model: who assesses, for which reasons, what a broken one costs."""

from collections.abc import Sequence
from struct import unpack
from typing import Any

import pytest

from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import NO_FACTS, Assessment, Payment
from enrichment.reader import read_by_twin
from enrichment.scoring import points
from enrichment.scoring.features import FEATURES
from enrichment.scoring.manifest import ModelRefused
from enrichment.scoring.reasons import WORDS
from enrichment.signals import assessed_signals, signals
from gateway.backends.lightgbm.model import Model, open_model, read_model
from gateway.backends.lightgbm.scorer import EXPLAINED_A_BATCH, LONE_ROWS, ROWS_A_CALL, ModelScorer
from gateway.sharing.items import Tally
from tests.unit.score.kit import SIMULATED, needs_library
from tests.unit.sharing.kit import NOW_MS, Kit, requests

pytestmark = needs_library


def make_scorer() -> tuple[ModelScorer, list[str]]:
    faults: list[str] = []
    scorer = ModelScorer(lambda stage, fault: faults.append(stage))
    scorer.serving = open_model(read_model(SIMULATED / "manifest.json"))
    return scorer, faults


def scored_kit(scorer: Any) -> Kit:
    kit = Kit()
    kit.gateway._scorer = scorer
    return kit


def bad_requests(count: int, first: int = 0) -> list[Any]:
    """What the simulator's fraud looks like: a new account, goods that go elsewhere, a high amount."""
    found = requests(first + count)[first:]
    for request in found:
        request.customer.shipping.line1 = "77 Depot Way"
        request.customer.shipping.postal_code = "07001"
        request.customer.history.account_age_days = 0
        request.customer.history.card_on_file_age_days = 0
        request.authentication.cvv_result = "N"
        request.authentication.avs_result = "N"
        request.amount_minor = 90_000
    return found


@pytest.mark.parametrize("count", [1, LONE_ROWS, LONE_ROWS + 1, 32, ROWS_A_CALL + 5])
def test_every_payment_of_a_batch_is_assessed_by_the_model(count: int) -> None:
    scorer, faults = make_scorer()
    answers = scored_kit(scorer).answers(*requests(count))
    assert [one.assessments[0].model_id for one in answers] == ["simulated-1"] * count
    assert not any(one.omissions for one in answers)
    assert (scorer.by_model, scorer.by_points, faults) == (count, 0, [])


def test_a_payment_scores_the_same_alone_and_among_others() -> None:
    scorer, _ = make_scorer()
    payments = [*requests(20), *bad_requests(5, first=20)]
    together = scored_kit(scorer).answers(*payments)
    kit = scored_kit(scorer)
    alone = [kit.answers(one)[0] for one in payments]
    assert [one.assessments[0].normalised for one in together] == [
        one.assessments[0].normalised for one in alone
    ]


def test_what_looks_like_fraud_scores_high_with_reasons_that_have_words() -> None:
    scorer, _ = make_scorer()
    kit = scored_kit(scorer)
    [good] = kit.answers(*requests(1))
    [bad] = kit.answers(*bad_requests(1, first=1))
    assert good.assessments[0].normalised < 50 < 500 < bad.assessments[0].normalised
    codes = list(bad.assessments[0].reason_codes)
    assert 1 <= len(codes) <= 4
    assert set(codes) <= set(WORDS)
    assert "ship_bill_mismatch" in codes
    assert not good.assessments[0].reason_codes


def test_a_flood_of_bad_payments_has_reasons_from_the_points_beyond_the_first() -> None:
    scorer, _ = make_scorer()
    explained = 0
    model = scorer.serving
    assert model is not None
    real = model.contributions

    def counting(row: Sequence[float]) -> Any:
        nonlocal explained
        explained += 1
        return real(row)

    model.contributions = counting
    answers = scored_kit(scorer).answers(*bad_requests(40))
    assert explained == EXPLAINED_A_BATCH
    assert all(one.assessments[0].reason_codes for one in answers)
    assert {one.assessments[0].model_id for one in answers} == {"simulated-1"}


def test_the_record_has_the_score_of_the_model() -> None:
    scorer, _ = make_scorer()
    kit = scored_kit(scorer)
    [answer] = kit.answers(*bad_requests(1))
    [record] = kit.journal.records()
    assert record.score == answer.assessments[0].normalised


def test_without_a_model_the_points_assess_and_say_so() -> None:
    scorer = ModelScorer(lambda stage, fault: None)
    kit = scored_kit(scorer)
    plain = Kit()
    for request in requests(3):
        [answer] = kit.answers(request)
        [expected] = plain.answers(request)
        assert answer.assessments[0] == expected.assessments[0]
        assert answer.assessments[0].model_id == points.MODEL_ID
        assert [(one.provider, one.reason) for one in answer.omissions] == [("score", "model_unavailable")]
        assert answer.decisions == expected.decisions
    assert scorer.by_points == 3


class FailingModel:
    """A model whose library fails: for every row, or for those of one amount."""

    def __init__(self, model: Model, fails: Any) -> None:
        self._model, self._fails = model, fails

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def raw(self, rows: Any, count: int, *, few: bool = False) -> Any:
        at = FEATURES.index("amount_dollars")
        if any(self._fails(rows[row * len(FEATURES) + at]) for row in range(count)):
            raise ModelRefused("model_fault", "planted")
        return self._model.raw(rows, count, few=few)

    def raw_of(self, row: bytes) -> float:
        if self._fails(unpack(f"={len(FEATURES)}d", row)[FEATURES.index("amount_dollars")]):
            raise ModelRefused("model_fault", "planted")
        return self._model.raw_of(row)


def test_a_model_that_fails_leaves_every_payment_to_the_points() -> None:
    scorer, faults = make_scorer()
    assert scorer.serving is not None
    scorer.serving = FailingModel(scorer.serving, lambda amount: True)  # type: ignore[assignment]
    tally = Tally()
    answers = scored_kit(scorer).answers(*requests(5), tally=tally)
    assert {one.assessments[0].model_id for one in answers} == {points.MODEL_ID}
    assert {one.omissions[0].reason for one in answers} == {"model_unavailable"}
    assert tally.evaluated == 5
    assert faults == ["score"], "once a batch, and not for each payment"


def test_one_payment_that_a_model_fails_on_leaves_the_others_to_it() -> None:
    scorer, _ = make_scorer()
    assert scorer.serving is not None
    payments = requests(6)
    payments[3].amount_minor = 77_700
    scorer.serving = FailingModel(scorer.serving, lambda amount: amount == 777.0)  # type: ignore[assignment]
    answers = scored_kit(scorer).answers(*payments)
    by = [one.assessments[0].model_id for one in answers]
    assert by == ["simulated-1"] * 3 + [points.MODEL_ID] + ["simulated-1"] * 2


class RaisingScorer:
    def assess(self, asked: Sequence[Any]) -> list[Assessment | None]:
        raise RuntimeError("planted")


def test_a_scorer_that_raises_costs_no_payment_its_answer() -> None:
    kit = scored_kit(RaisingScorer())
    tally = Tally()
    answers = kit.answers(*requests(4), tally=tally)
    assert {one.assessments[0].model_id for one in answers} == {points.MODEL_ID}
    assert (tally.evaluated, tally.faults) == (4, 1)
    assert [stage for stage, _ in kit.faults] == ["score"]


def test_a_swap_between_two_batches_is_seen_by_the_next_and_not_before() -> None:
    scorer, _ = make_scorer()
    kit = scored_kit(scorer)
    before, scorer.serving = scorer.serving, None
    assert kit.answers(*requests(1))[0].assessments[0].model_id == points.MODEL_ID
    scorer.serving = before
    [answer] = kit.answers(requests(2)[1])
    assert answer.assessments[0].model_id == "simulated-1"


def test_the_callers_own_scores_pass_to_recipients_beside_ours_and_never_into_the_answer() -> None:
    scorer, _ = make_scorer()
    request = requests(1)[0]
    request.caller_assessments.add(
        assessor="shop", type="model", model_id="shop-7", value=12, scale_min=0, scale_max=99,
        high_is_risky=False, normalised=910, reason_codes=["R1"],
    )  # fmt: skip
    [answer] = scored_kit(scorer).answers(request)
    assert [one.assessor for one in answer.assessments] == ["ein"]
    read = read_by_twin(request.SerializeToString(), NOW_MS)
    assert isinstance(read, Payment)
    seen = signals(read, NO_FACTS)
    theirs = FIELD_BY_NAME["caller_assessments"].number
    assert seen.mask >> theirs & 1
    assert seen.value(theirs) == [
        {
            "assessor": "shop", "type": "model", "model_id": "shop-7", "value": 12.0, "min": 0.0, "max": 99.0,
            "high_is_risky": False, "normalised": 910, "reason_codes": ["R1"],
        }
    ]  # fmt: skip
    without = read_by_twin(requests(1)[0].SerializeToString(), NOW_MS)
    assert isinstance(without, Payment)
    assert not signals(without, NO_FACTS).mask >> theirs & 1


def test_a_model_says_where_a_score_stands_and_what_it_comes_to_and_the_points_say_neither() -> None:
    scorer, _ = make_scorer()
    model = scorer.serving
    assert model is not None
    below = [one.percentile for one in model.plain]
    assert below == sorted(below)  # type: ignore[type-var]
    assert {one.recommendation for one in model.plain} == {"trust", "neutral", "distrust"}
    assert model.plain[0].recommendation == "trust"
    assert model.plain[-1].recommendation == "distrust"
    read = read_by_twin(requests(1)[0].SerializeToString(), NOW_MS)
    assert isinstance(read, Payment)
    mask = 1 << FIELD_BY_NAME["score_percentile"].number | 1 << FIELD_BY_NAME["recommendation"].number
    by_model = assessed_signals(read, NO_FACTS, model.plain[-1], None)
    assert by_model.mask & mask == mask
    assert by_model.named(mask) == {"score_percentile": below[-1], "recommendation": "distrust"}
    assert signals(read, NO_FACTS).mask & mask == 0
