"""What a model is worth on payments that it has not seen, and what asking it costs.

Trained on what had been reported before the cut, judged by what came after, beside a constant and the amount
alone. Figures are about that data, and no threshold is tuned to it.
"""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from enrichment.scoring.manifest import ModelRefused
from gateway.backends.lightgbm.library import find_library
from tests.prove.score_cost import costs

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "payments_90d.parquet"
REDUCED_PAYMENTS = 30_000
SHUFFLED_PAYMENTS = 15_000
"""Made anew with another future: a model of their own, so that the whole way from the file is shuffled."""

SEED = 7


def run(full: bool) -> dict[str, Any]:
    """Figures of the replay, of the shuffled future, and of the cost."""
    try:
        find_library()
    except ModelRefused as refused:
        print(f"   skipped: {refused.public}", flush=True)
        return {"skipped": refused.code}
    measured: dict[str, Any] = {"cost": costs(rounds=60 if full else 20), "library": library()}
    try:
        import lightgbm  # noqa: F401
    except ImportError:
        print("   skipped: training needs lightgbm, which is not installed", flush=True)
        return {**measured, "skipped": "lightgbm is not installed"}
    if not DATA.exists():
        print("   skipped: ../shared/data/payments_90d.parquet is absent", flush=True)
        return {**measured, "skipped": "no data"}
    return {**measured, **replay(full)}


def library() -> dict[str, Any]:
    """Milliseconds and megabytes of library and model, in a process that has neither."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.prove.score_cost"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def replay(full: bool) -> dict[str, Any]:
    """Trains on the data and looks at what came after; then once more with another future."""
    from training.data import read_payments
    from training.train import cut_of, table_of, train

    payments = list(islice(read_payments(DATA), None if full else REDUCED_PAYMENTS))
    table = table_of(payments)
    trained = train(table, cut_of(table))
    part = payments[:SHUFFLED_PAYMENTS]
    cut_ms = part[len(part) * 3 // 4].at_ms
    before = train(table_of(part), cut_ms).fitted
    after = train(table_of(other_future(part, cut_ms)), cut_ms).fitted
    assert (before.text(), before.calibration) == (after.text(), after.calibration), (
        "the future was learnt from"
    )
    figures = trained.figures
    shortfalls = []
    if full and figures["model"]["auc"] <= figures["amount_only"]["auc"]:
        shortfalls.append("the model ranks no better than the amount alone")
    if full and figures["model"]["ece"] >= figures["constant"]["ece"]:
        shortfalls.append("the model is calibrated no better than a constant")
    return {
        "data": "payments_90d.parquet", "payments": len(payments), **figures,
        "shuffled_future": {"payments": len(part), "model_changed": False},
        **({"shortfalls": shortfalls} if shortfalls else {}),
    }  # fmt: skip


def other_future(payments: list[Any], cut_ms: int) -> list[Any]:
    """The same until the cut: what comes after is dealt out anew, and what is reported after it otherwise."""
    from training.served import Known

    random = Random(SEED)
    later = [one for one in payments if one.at_ms >= cut_ms]
    dealt = later[:]
    random.shuffle(dealt)
    made = []
    for one in payments:
        if one.at_ms >= cut_ms:
            continue
        reported = one.reported_at_ms
        known = reported is not None and reported < cut_ms
        fraud = one.fraud if known else random.random() < 0.5
        made.append(
            Known(
                one.payment_id, one.at_ms, one.request, fraud,
                reported if known else cut_ms + random.randrange(10**9) if fraud else None, one.segment,
            )
        )  # fmt: skip
    for place, taken in zip(later, dealt, strict=True):
        made.append(
            Known(
                place.payment_id, place.at_ms, taken.request, random.random() < 0.5,
                cut_ms + random.randrange(10**9), taken.segment,
            )
        )  # fmt: skip
    return made
