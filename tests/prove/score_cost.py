"""Microseconds of CPU a payment for rows, scores and reasons; run as a module, what loading takes."""

import json
import os
import sys
import time
from collections.abc import Callable
from ctypes import c_double
from pathlib import Path
from statistics import median
from typing import Any

from enrichment.payment import Facts, Payment
from enrichment.reader import read_by_twin
from enrichment.scoring import features, points
from gateway.backends.lightgbm.library import find_library, load_library
from gateway.backends.lightgbm.model import Model, open_model, read_model
from gateway.backends.lightgbm.scorer import ModelScorer
from gateway.server.gateway.models import MANIFEST, SHIPPED
from tests.kit.payments import payment

BATCH = 32
NOW_MS = 1_790_000_000_000
COUNTS = (1, 2, 3, 4, 1, 1, 2, 2)
FOUND = {
    "mcc_risk": 1, "email_domain_type": "free", "email_digits_percent": 20, "phone_fits_billing": True,
    "device_on_card_age_days": 40, "amount_to_card_mean": 110, "amount_to_merchant_mean": 90,
    "authentication_fits": True, "card_testing": "none",
}  # fmt: skip


def _microseconds(step: Callable[[], object], rounds: int, payments: int) -> float:
    """Of one payment: the median of `rounds` rounds, of this thread's own time: others share the cores."""
    took = []
    for _ in range(rounds):
        started = time.thread_time()
        for _ in range(20):
            step()
        took.append((time.thread_time() - started) / 20 * 1e6 / payments)
    return round(median(took), 2)


def _payments(count: int) -> list[Payment]:
    read = [
        read_by_twin(payment(number, now_ms=NOW_MS).SerializeToString(), NOW_MS) for number in range(count)
    ]
    return [one for one in read if isinstance(one, Payment)]


def costs(rounds: int) -> dict[str, Any]:
    """Figures of this machine at this moment."""
    asked = [(one, Facts((COUNTS,) * 5, (), FOUND), True) for one in _payments(BATCH)]
    model = open_model(read_model(SHIPPED / "simulated" / MANIFEST))
    scorer = ModelScorer(lambda stage, fault: None)
    scorer.serving = model
    rows = [features.row(*one) for one in asked]
    width = len(features.FEATURES)
    buffer = (c_double * (width * BATCH))(*[value for row in rows for value in row])
    return {
        "features_us": _microseconds(lambda: [features.row(*one) for one in asked], rounds, BATCH),
        "points_us": _microseconds(
            lambda: [points.score(one, facts, ship_bill_match=match) for one, facts, match in asked],
            rounds,
            BATCH,
        ),
        "predict_32_us": _microseconds(lambda: model.raw(buffer, BATCH), rounds, BATCH),
        "predict_1_us": _microseconds(lambda: model.raw(buffer, 1, few=True), rounds, 1),
        "assess_32_us": _microseconds(lambda: scorer.assess(asked), rounds, BATCH),
        "assess_1_us": _microseconds(lambda: scorer.assess(asked[:1]), rounds, 1),
        "contributions_us": _microseconds(lambda: model.contributions(rows[0]), rounds, 1),
    }


def loading() -> dict[str, Any]:
    """Milliseconds and resident megabytes that library and model add to a process without them."""

    def resident_mb() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    before, started = resident_mb(), time.perf_counter()
    load_library(find_library(), keeps_lock=True)
    loaded = time.perf_counter()
    model: Model = open_model(read_model(SHIPPED / "simulated" / MANIFEST))
    opened = time.perf_counter()
    assert model.model_id
    return {
        "library_ms": round((loaded - started) * 1e3, 1),
        "model_ms": round((opened - loaded) * 1e3, 1),
        "added_mb": round(resident_mb() - before, 1),
        "imported": sorted({"lightgbm", "numpy", "scipy"} & set(sys.modules)),
    }


if __name__ == "__main__":
    print(json.dumps(loading()))
