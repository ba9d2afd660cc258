"""What is compared, what counts, and what does not: the SQL through the real engine."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from gateway.measurement.report import (
    Estimate,
    Report,
    TruthInvalid,
    build_report,
    parse_truth,
    report_document,
)
from gateway.records import journal
from gateway.server.measure.report_table import print_report
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import common_pb2, feed_pb2, outcomes_pb2
from tests.unit.measurement.lake_records import (
    HOLDOUT,
    TREATMENT,
    Lab,
    decision,
    evaluation,
    fraud_label,
    outcome,
    receipt,
)


def _only_estimate(lab: Lab, **options: Any) -> Estimate:
    lab.catch_up()
    (estimate,) = build_report(lab.lake, **options).estimates
    return estimate


def test_an_empty_lake_gives_an_empty_report(lab: Lab) -> None:
    report = build_report(lab.lake)
    assert report.estimates == ()
    assert report_document(report)["withheld"] == {}


def test_rates_are_over_first_attempts_and_over_payments_after_all_attempts(lab: Lab) -> None:
    lab.journals.add(
        journal.EVALUATIONS,
        evaluation("p1", decision(), card="a"),
        evaluation("p1", decision(), card="a", attempt_no=2),
        evaluation("p2", decision(), card="a"),
        evaluation("p3", decision(arm=HOLDOUT), card="b"),
    )
    lab.journals.add(
        journal.OUTCOMES,
        outcome("p1", approved=False),
        outcome("p1", approved=True, attempt_no=2),
        outcome("p2", approved=True),
        outcome("p3", approved=False),
    )
    found = _only_estimate(lab)
    first, final = found.treatment.first, found.treatment.final
    assert (first.cards, first.n, first.y, first.nn, first.yy, first.ny) == (1, 2, 1, 4, 1, 2)
    assert (final.cards, final.n, final.y, final.nn, final.yy, final.ny) == (1, 2, 2, 4, 4, 4)
    assert (found.holdout.first.n, found.holdout.first.y) == (1, 0)


def test_what_was_not_heard_of_is_in_no_rate_and_is_counted(lab: Lab) -> None:
    lab.journals.add(journal.EVALUATIONS, *(evaluation(f"p{i}", decision(), card=f"c{i}") for i in range(3)))
    lab.journals.add(journal.OUTCOMES, outcome("p0", approved=True))
    found = _only_estimate(lab)
    assert (found.treatment.payments, found.treatment.unheard, found.treatment.first.n) == (3, 2, 1)
    assert (found.treatment.cards, found.treatment.first.cards) == (3, 1)


def test_a_payment_that_was_not_delivered_stays_in_its_arm(lab: Lab) -> None:
    late = decision(outcome=storage.DECISION_OUTCOME_WITHHELD, reason=storage.WITHHOLD_REASON_OVER_DEADLINE)
    lab.journals.add(journal.EVALUATIONS, evaluation("p1", late))
    lab.journals.add(journal.OUTCOMES, outcome("p1", approved=True))
    assert _only_estimate(lab).treatment.first.n == 1


@pytest.mark.parametrize(
    "left_out",
    [
        decision(eligible=False),
        decision(arm=common_pb2.ARM_GLOBAL_HOLDOUT, outcome=storage.DECISION_OUTCOME_WITHHELD),
        decision(arm=common_pb2.ARM_PENDING, outcome=storage.DECISION_OUTCOME_WITHHELD),
        decision(outcome=storage.DECISION_OUTCOME_SHADOW),
    ],
    ids=["not eligible", "global holdout", "not ramped yet", "shadow"],
)
def test_who_takes_no_part_is_compared_with_nobody(lab: Lab, left_out: storage.Decision) -> None:
    lab.journals.add(journal.EVALUATIONS, evaluation("p1", left_out))
    lab.journals.add(journal.OUTCOMES, outcome("p1", approved=True))
    lab.catch_up()
    assert build_report(lab.lake).estimates == ()


def test_a_retry_does_not_stand_for_a_first_attempt_that_took_no_part(lab: Lab) -> None:
    lab.journals.add(
        journal.EVALUATIONS,
        evaluation("p1", decision(eligible=False)),
        evaluation("p1", decision(), attempt_no=2),
    )
    lab.journals.add(
        journal.OUTCOMES, outcome("p1", approved=False), outcome("p1", approved=True, attempt_no=2)
    )
    lab.catch_up()
    assert build_report(lab.lake).estimates == ()


def printed(report: Report) -> str:
    file = io.StringIO()
    print_report(report, Console(file=file, width=40))
    return file.getvalue()


def test_ramp_steps_are_compared_apart(lab: Lab) -> None:
    lab.journals.add(
        journal.EVALUATIONS,
        evaluation("p1", decision(ramp_ppm=100_000)),
        evaluation("p2", decision(ramp_ppm=500_000)),
    )
    lab.catch_up()
    report = build_report(lab.lake)
    assert [estimate.ramp_ppm for estimate in report.estimates] == [100_000, 500_000]
    text = printed(report)
    assert text.index("at ramp 10%") < text.index("at ramp 50%")


def test_the_only_ramp_step_needs_no_name(lab: Lab) -> None:
    lab.journals.add(journal.EVALUATIONS, evaluation("p1", decision(ramp_ppm=100_000)))
    lab.catch_up()
    assert "at ramp" not in printed(build_report(lab.lake))


def test_a_record_that_comes_twice_counts_once(lab: Lab) -> None:
    twice = [
        evaluation("p1", decision(share_id="s1")),
        evaluation("p1", decision(share_id="s1"), request="again", decided_at_ms=1_500),
    ]
    lab.journals.add(journal.EVALUATIONS, *twice, *twice)
    lab.journals.add(journal.OUTCOMES, *[outcome("p1", approved=True)] * 3)
    lab.journals.add(journal.RECEIPTS, *[receipt("s1", feed_pb2.RECEIPT_USE_USED)] * 2)
    lab.catch_up()
    report = build_report(lab.lake)
    assert (report.estimates[0].treatment.first.n, report.estimates[0].treatment.payments) == (1, 1)
    assert (report.use[0].shares, report.use[0].receipted, report.use[0].used) == (1, 1, 1)


@pytest.mark.parametrize(
    ("records", "approved"),
    [
        (
            [
                outcome("p", approved=False, outcome_id="o1"),
                outcome("p", approved=True, outcome_id="o2", recorded_at_ms=2_001),
            ],
            1,
        ),
        (
            [
                outcome("p", approved=True, outcome_id="o2", supersedes="o1"),
                outcome("p", approved=False, outcome_id="o1", recorded_at_ms=9_000),
            ],
            1,
        ),
        (
            # The repeat of the older outcome, recorded last, does not win over the newer one.
            [
                outcome("p", approved=False, outcome_id="o1"),
                outcome("p", approved=True, outcome_id="o2", recorded_at_ms=2_001),
                outcome("p", approved=False, outcome_id="o1", recorded_at_ms=9_000),
            ],
            1,
        ),
        (
            [
                outcome("p", approved=True),
                outcome(
                    "p",
                    approved=False,
                    outcome_id="rev",
                    recorded_at_ms=9_000,
                    kind=outcomes_pb2.OUTCOME_KIND_REVERSAL,
                ),
            ],
            1,
        ),
        (
            [
                outcome("p", approved=False),
                outcome("p", approved=True, sender_id="other", recorded_at_ms=9_000),
            ],
            0,
        ),
    ],
    ids=["newest holds", "superseded is gone", "repeat is no news", "reversal is no answer", "other sender"],
)
def test_of_several_outcomes_of_an_attempt_one_holds(
    lab: Lab, records: list[storage.OutcomeRecord], approved: int
) -> None:
    lab.journals.add(journal.EVALUATIONS, evaluation("p", decision()))
    lab.journals.add(journal.OUTCOMES, *records)
    first = _only_estimate(lab).treatment.first
    assert (first.n, first.y) == (1, approved)


def test_an_outcome_recorded_after_the_asked_time_is_not_known_yet(lab: Lab) -> None:
    lab.journals.add(journal.EVALUATIONS, evaluation("p", decision()))
    lab.journals.add(
        journal.OUTCOMES,
        outcome("p", approved=False, outcome_id="o1"),
        outcome("p", approved=True, outcome_id="o2", recorded_at_ms=5_000, supersedes="o1"),
    )
    assert _only_estimate(lab, as_of_ms=4_999).treatment.first.y == 0
    assert _only_estimate(lab, as_of_ms=5_000).treatment.first.y == 1


def test_a_share_counts_by_the_best_that_was_said_of_it(lab: Lab) -> None:
    shares = ["used", "seen", "late", "unmatched", "unheard"]
    lab.journals.add(
        journal.EVALUATIONS, *(evaluation(f"p-{name}", decision(share_id=name)) for name in shares)
    )
    lab.journals.add(
        journal.RECEIPTS,
        receipt("used", feed_pb2.RECEIPT_USE_LATE),
        receipt("used", feed_pb2.RECEIPT_USE_USED),
        receipt("seen", feed_pb2.RECEIPT_USE_SEEN),
        receipt("late", feed_pb2.RECEIPT_USE_LATE),
        receipt("unmatched", feed_pb2.RECEIPT_USE_NOT_MATCHED, match=feed_pb2.MATCH_RESULT_NOT_MATCHED),
    )
    lab.catch_up()
    (use,) = build_report(lab.lake).use
    assert (use.shares, use.receipted, use.matched, use.used, use.late) == (5, 4, 3, 1, 1)


def test_withheld_decisions_are_counted_by_their_true_reason(lab: Lab) -> None:
    opted_out = decision(eligible=False, reason=storage.WITHHOLD_REASON_MERCHANT_OPTED_OUT)
    lab.journals.add(
        journal.EVALUATIONS,
        evaluation("p1", decision(arm=HOLDOUT)),
        evaluation("p2", opted_out),
        evaluation(
            "p3", opted_out, decision(program="enhanced-data", outcome=storage.DECISION_OUTCOME_SHADOW)
        ),
        evaluation("p4"),
        evaluation(
            "p5",
            decision(program="", eligible=False, reason=storage.WITHHOLD_REASON_UNKNOWN_ISSUER),
            issuer_id="",
        ),
    )
    lab.catch_up()
    document = report_document(build_report(lab.lake))
    assert document["withheld"] == {"holdout": 1, "merchant_opted_out": 2, "shadow": 1, "unknown_issuer": 1}


def test_what_is_shared_of_labels_is_counted_and_compared_with_nothing(lab: Lab) -> None:
    shared = decision(program="fraud-reports", share_id="f1")
    lab.journals.add(journal.LABELS, fraud_label("p1", label_id="l1", decisions=[shared]))
    lab.catch_up()
    report = build_report(lab.lake)
    assert [(use.program, use.shares) for use in report.use] == [("fraud-reports", 1)]
    assert report.estimates == ()


def test_a_fraud_report_that_was_taken_back_or_cleared_does_not_count(lab: Lab) -> None:
    lab.journals.add(
        journal.EVALUATIONS, *(evaluation(f"p{index}", decision(), card=f"c{index}") for index in range(3))
    )
    lab.journals.add(
        journal.LABELS,
        fraud_label("p0", label_id="a"),
        # The newest word of the source counts, whatever came to us first.
        fraud_label("p1", label_id="c", verb=feed_pb2.LABEL_VERB_DELETED, reported_at_ms=5_000),
        fraud_label("p1", label_id="b", reported_at_ms=4_500),
        fraud_label("p2", label_id="d"),
        fraud_label("p2", label_id="e", state=feed_pb2.LABEL_STATE_NOT_FRAUD, reported_at_ms=5_000),
    )
    assert _only_estimate(lab).treatment.fraud == 1


def test_a_planted_effect_is_found_and_the_document_is_json(lab: Lab) -> None:
    evaluations, outcomes = [], []
    for index in range(2_400):
        arm = TREATMENT if index % 2 else HOLDOUT
        evaluations.append(evaluation(f"p{index}", decision(arm=arm), card=f"card{index}"))
        # 90% approved when treated, 80% when held out.
        declined = index // 2 % (10 if arm == TREATMENT else 5) == 0
        outcomes.append(outcome(f"p{index}", approved=not declined))
    lab.journals.add(journal.EVALUATIONS, *evaluations)
    lab.journals.add(journal.OUTCOMES, *outcomes)
    lab.catch_up()
    report = build_report(lab.lake, {("risk-score", "bank"): 0.1})
    (found,) = json.loads(json.dumps(report_document(report)))["estimates"]
    assert (found["program"], found["issuer"], found["truth"]) == ("risk-score", "bank", 0.1)
    assert (found["treatment_n"], found["holdout_n"]) == (1_200, 1_200)
    assert found["uplift"] == pytest.approx(0.1)
    assert 0 < found["lower"] < 0.1 < found["upper"]
    assert (found["upper"] - found["lower"]) / 2 <= 1.75 * found["fixed_half_width"]


def test_too_few_cards_leave_the_bounds_null(lab: Lab) -> None:
    lab.journals.add(
        journal.EVALUATIONS,
        evaluation("p1", decision(), card="a"),
        evaluation("p2", decision(arm=HOLDOUT), card="b"),
    )
    lab.journals.add(journal.OUTCOMES, outcome("p1", approved=True), outcome("p2", approved=False))
    lab.catch_up()
    document: Any = report_document(build_report(lab.lake))
    found = document["estimates"][0]
    assert (found["uplift"], found["lower"], found["upper"]) == (1.0, None, None)
    assert found["no_interval_reason"] == "too few cards (1 of 500)"


def test_truth_is_read_by_program_and_issuer() -> None:
    rows = [
        {"program": "risk-score", "issuer": "bank", "truth": 0.05},
        {"program": "risk-score", "issuer": "other", "truth": None},
    ]
    assert parse_truth({"estimates": rows}) == {("risk-score", "bank"): 0.05}


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"estimates": [{}]}, {"estimates": [{"program": "a", "issuer": "b", "truth": "c"}]}],
)
def test_a_truth_that_is_no_truth_is_refused(document: object) -> None:
    with pytest.raises(TruthInvalid):
        parse_truth(document)


def test_the_tables_say_too_few_cards_and_count_what_was_not_heard_of(lab: Lab) -> None:
    lab.journals.add(
        journal.EVALUATIONS,
        evaluation("p1", decision(), card="a"),
        evaluation("p2", decision(arm=HOLDOUT), card="b"),
    )
    lab.journals.add(journal.OUTCOMES, outcome("p1", approved=True))
    lab.catch_up()
    text = printed(build_report(lab.lake, {("risk-score", "bank"): 0.05}))
    assert "too few cards (0 of 500)" in text
    assert "+5.00 pp" in text
    assert "holdout 1" in text
    assert "1 compared first attempts have no outcome yet" in text
