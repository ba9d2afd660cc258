"""`python -m training.train --data X.parquet --out DIR`: a model, its manifest and its card.

Learns from payments before the cut, with the labels that had been reported by then, and is judged by those
after it, with what they turned out to be.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import lightgbm
import numpy as np

from enrichment.scoring.drift import distribution
from enrichment.scoring.features import FEATURES, FEATURES_VERSION
from enrichment.scoring.manifest import Manifest, Probe, write_manifest
from training.card import model_card
from training.data import read_payments
from training.figures import Floats, figures
from training.fit import Fitted, fit
from training.labels import NOT_REPORTED, Longs, known_at, weights
from training.served import Known, rows_of

MODEL_FILE: Final = "model.txt"
MANIFEST_FILE: Final = "manifest.json"
CARD_FILE: Final = "card.md"

CUT_SHARE: Final = 0.75
"""Of the time that the file spans: three quarters to learn from, one to be judged by."""

REASONS_FROM: Final = 50
"""A payment that is fraud once in twenty has reasons: some 5% of payments, which bounds what they cost."""

REVIEW_FROM: Final = 200
"""One in five: about where issuers begin to look at a payment."""

TRUST_BELOW: Final = 5
"""One in two hundred: the fraud that online payments have one with another."""

DRIFT_ROWS: Final = 20_000
"""Rows whose spread the manifest keeps: shares within half a percent."""

PROBES: Final = 8


@dataclass(frozen=True, slots=True)
class Table:
    """Payments in order of time: rows of features, and what became of each."""

    rows: Floats
    at_ms: Longs
    reported_at_ms: Longs
    fraud: Floats
    segments: tuple[str, ...]

    def part(self, chosen: Any) -> "Table":
        return Table(
            self.rows[chosen], self.at_ms[chosen], self.reported_at_ms[chosen], self.fraud[chosen],
            tuple(np.asarray(self.segments)[chosen]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it. `figures`: of the model, and of a constant and the amount alone beside it."""

    fitted: Fitted
    cut_ms: int
    learnt: Table
    judged: Table
    figures: dict[str, Any]


def table_of(payments: Iterable[Known]) -> Table:
    """Features of payments, made by the gateway's own hot path in order of time."""
    found = list(rows_of(sorted(payments, key=_at_ms)))
    return Table(
        np.array([row for _, row in found], dtype=np.float64),
        np.array([one.at_ms for one, _ in found], dtype=np.int64),
        np.array([NOT_REPORTED if one.reported_at_ms is None else one.reported_at_ms for one, _ in found]),
        np.array([one.fraud for one, _ in found], dtype=np.float64),
        tuple(one.segment for one, _ in found),
    )


def _at_ms(one: Known) -> int:
    return one.at_ms


def cut_of(table: Table, share: float = CUT_SHARE) -> int:
    """The time at which so much of the span has passed."""
    first, last = int(table.at_ms[0]), int(table.at_ms[-1])
    return first + int((last - first) * share)


def train(table: Table, cut_ms: int) -> Trained:
    """Fits to what was known at the cut; judges by what came after."""
    before = table.at_ms < cut_ms
    learnt, judged = table.part(before), table.part(~before)
    known = known_at(cut_ms, learnt.reported_at_ms)
    weighed, ripe = weights(cut_ms, learnt.at_ms, learnt.reported_at_ms)
    fitted = fit(learnt.rows, known, weighed, ripe)
    amount = fit(learnt.rows, known, weighed, ripe, columns=[FEATURES.index("amount_dollars")])
    constant = float((weighed * known)[ripe].mean())
    return Trained(
        fitted,
        cut_ms,
        learnt,
        judged,
        {
            "learnt": len(learnt.at_ms),
            "learnt_known_fraud": int(known.sum()),
            "judged": len(judged.at_ms),
            "judged_fraud": int(judged.fraud.sum()),
            "model": figures(fitted.probability(judged.rows), judged.fraud),
            "amount_only": figures(amount.probability(judged.rows), judged.fraud),
            "constant": figures(np.full(len(judged.at_ms), constant), judged.fraud),
        },
    )


def manifest_of(trained: Trained, model_id: str, source: str, note: str = "") -> Manifest:
    """What stands beside the model."""
    text = trained.fitted.text()
    rows, unseen = trained.learnt.rows, trained.fitted.unseen
    each = max(1, len(rows) // DRIFT_ROWS)
    order = np.argsort(unseen, kind="stable")
    places = [int(order[int(at)]) for at in np.linspace(0, len(order) - 1, PROBES)]
    raws = trained.fitted.raw(rows[places])
    return Manifest(
        model_id=model_id,
        file=MODEL_FILE,
        sha256=sha256(text).hexdigest(),
        features_version=FEATURES_VERSION,
        features=FEATURES,
        trained_on={
            "source": source,
            "from": _day(int(trained.learnt.at_ms[0])),
            "cut": _day(trained.cut_ms),
            "payments": trained.figures["learnt"],
            "known_fraud": trained.figures["learnt_known_fraud"],
            "lightgbm": lightgbm.__version__,
            **({"note": note} if note else {}),
        },
        calibration=trained.fitted.calibration,
        reasons_from=REASONS_FROM,
        review_from=REVIEW_FROM,
        trust_below=TRUST_BELOW,
        drift={
            "score": distribution([float(one) for one in unseen[::each]]),
            **{name: distribution(rows[::each, at].tolist()) for at, name in enumerate(FEATURES)},
        },
        probes=tuple(
            Probe(tuple(rows[place].tolist()), float(raw)) for place, raw in zip(places, raws, strict=True)
        ),
        figures=trained.figures,
    )


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")


def write_model(out: Path, trained: Trained, manifest: Manifest) -> None:
    """The manifest last: who watches it finds the model already there."""
    out.mkdir(parents=True, exist_ok=True)
    for name, data in (
        (MODEL_FILE, trained.fitted.text()),
        (CARD_FILE, model_card(trained, manifest).encode()),
        (MANIFEST_FILE, write_manifest(manifest).encode()),
    ):
        temporary = out / f"{name}.new"
        temporary.write_bytes(data)
        temporary.rename(out / name)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="of training.simulate, or as ein replay takes it"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for model.txt, manifest.json and card.md"
    )
    parser.add_argument("--model-id", default="lightgbm-1", help="what answers and recipients are told")
    parser.add_argument("--source", default="", help="what the data is, for the card; never a path")
    parser.add_argument("--note", default="", help="a sentence for the card: what the data is not")
    parser.add_argument("--cut-share", type=float, default=CUT_SHARE, help="of the time, to learn from")
    chosen = parser.parse_args()
    table = table_of(read_payments(chosen.data))
    trained = train(table, cut_of(table, chosen.cut_share))
    manifest = manifest_of(trained, chosen.model_id, chosen.source or chosen.data.stem, chosen.note)
    write_model(chosen.out, trained, manifest)
    for name in ("model", "amount_only", "constant"):
        print(f"{name:<12} {trained.figures[name]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
