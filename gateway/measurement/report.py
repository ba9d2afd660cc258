"""The report: for each program and issuer what was compared, what came of it, what was withheld."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.measurement.ports import Lake, ResultRow
from gateway.measurement.ratios import CardSums
from gateway.measurement.tables import Value
from gateway.measurement.uplift import Interval, Uplift, estimate_uplift
from gateway.records.errors import GatewayError
from gateway.records.reasons import Reason

NO_LIMIT_MS = 2**62
"""`as_of_ms` that lets everything in: what is known now."""

_TREATMENT, _HOLDOUT = 1, 2
_RELEASED, _WITHHELD, _SHADOW = 1, 2, 3

Truth = Mapping[tuple[str, str], float]
"""True uplift by (program, issuer), where a simulator knows it."""


class TruthInvalid(GatewayError):
    """The file of true effects cannot be used."""

    code = "truth_invalid"


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm. `unheard`: payments in flight or lost, which no rate counts."""

    cards: int = 0
    payments: int = 0
    unheard: int = 0
    first: CardSums = field(default_factory=CardSums)
    final: CardSums = field(default_factory=CardSums)
    fraud: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """One program at one issuer within one ramp step."""

    program: str
    issuer_id: str
    experiment_id: str
    ramp_ppm: int
    holdout_ppm: int
    treatment: ArmSummary
    holdout: ArmSummary
    first: Uplift
    final: Uplift
    truth: float | None


@dataclass(frozen=True, slots=True)
class ShareUse:
    """Shares of one program at one issuer, and what the recipient's receipts said of them."""

    program: str
    issuer_id: str
    shares: int
    receipted: int
    matched: int
    used: int
    late: int


@dataclass(frozen=True, slots=True)
class Withheld:
    """Decisions of one program at one issuer that released nothing."""

    program: str
    issuer_id: str
    reason: str
    decisions: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything, in order of program and issuer."""

    estimates: tuple[Estimate, ...]
    use: tuple[ShareUse, ...]
    withheld: tuple[Withheld, ...]


def build_report(lake: Lake, truth: Truth | None = None, *, as_of_ms: int = NO_LIMIT_MS) -> Report:
    """Queries the newest snapshot of the lake, as known at `as_of_ms` (wall time, UTC epoch milliseconds)."""
    lake.refresh()
    params = {"as_of_ms": as_of_ms}
    return Report(
        estimates=_estimates(lake.run("card_sums", params), truth or {}),
        use=tuple(_share_use(row) for row in lake.run("share_use", params)),
        withheld=_withheld(lake.run("decision_counts", params)),
    )


def _integer(row: ResultRow, name: str) -> int:
    return int(row[name])


def _text(row: ResultRow, name: str) -> str:
    return str(row[name])


def _sums(row: ResultRow, metric: str) -> CardSums:
    names = ("cards", "n", "y", "nn", "yy", "ny")
    return CardSums(**{name: _integer(row, f"{metric}_{name}") for name in names})


def _arm(row: ResultRow) -> ArmSummary:
    return ArmSummary(
        cards=_integer(row, "cards_assigned"),
        payments=_integer(row, "payments"),
        unheard=_integer(row, "first_unheard"),
        first=_sums(row, "first"),
        final=_sums(row, "final"),
        fraud=_integer(row, "fraud"),
    )


def _estimates(rows: Sequence[ResultRow], truth: Truth) -> tuple[Estimate, ...]:
    arms: dict[tuple[str, str, str, int, int], dict[int, ArmSummary]] = {}
    for row in rows:
        key = (
            _text(row, "program"),
            _text(row, "issuer_id"),
            _text(row, "experiment_id"),
            _integer(row, "ramp_ppm"),
            _integer(row, "holdout_ppm"),
        )
        arms.setdefault(key, {})[_integer(row, "arm")] = _arm(row)
    return tuple(_estimate(key, found, truth) for key, found in sorted(arms.items()))


def _estimate(key: tuple[str, str, str, int, int], arms: Mapping[int, ArmSummary], truth: Truth) -> Estimate:
    program, issuer_id, experiment_id, ramp_ppm, holdout_ppm = key
    treatment = arms.get(_TREATMENT, ArmSummary())
    holdout = arms.get(_HOLDOUT, ArmSummary())
    return Estimate(
        program=program,
        issuer_id=issuer_id,
        experiment_id=experiment_id,
        ramp_ppm=ramp_ppm,
        holdout_ppm=holdout_ppm,
        treatment=treatment,
        holdout=holdout,
        first=estimate_uplift(treatment.first, holdout.first),
        final=estimate_uplift(treatment.final, holdout.final),
        truth=truth.get((program, issuer_id)),
    )


def _share_use(row: ResultRow) -> ShareUse:
    return ShareUse(
        program=_text(row, "program"),
        issuer_id=_text(row, "issuer_id"),
        shares=_integer(row, "shares"),
        receipted=_integer(row, "receipted"),
        matched=_integer(row, "matched"),
        used=_integer(row, "used"),
        late=_integer(row, "late"),
    )


def _reason_name(number: int) -> str:
    try:
        return Reason(number).name.lower()
    except ValueError:
        # A newer version's reason reads as unspecified, and is counted all the same.
        return "unspecified"


def _withheld(rows: Sequence[ResultRow]) -> tuple[Withheld, ...]:
    counts: dict[tuple[str, str, str], int] = {}
    for row in rows:
        outcome = _integer(row, "outcome")
        if outcome == _RELEASED:
            continue
        reason = "shadow" if outcome == _SHADOW else _reason_name(_integer(row, "withhold_reason"))
        key = (_text(row, "program"), _text(row, "issuer_id"), reason)
        counts[key] = counts.get(key, 0) + _integer(row, "decisions")
    return tuple(Withheld(*key, decisions) for key, decisions in sorted(counts.items()))


def parse_truth(document: object) -> dict[tuple[str, str], float]:
    """Truth from the parsed JSON `{"estimates": [{"program", "issuer", "truth"}]}`. Raises TruthInvalid."""
    problem = TruthInvalid(
        'truth: expected {"estimates": [{"program": text, "issuer": text, "truth": number}]}'
    )
    if not isinstance(document, dict) or not isinstance(document.get("estimates"), list):
        raise problem
    truth: dict[tuple[str, str], float] = {}
    for item in document["estimates"]:
        match item:
            case {"program": str(program), "issuer": str(issuer), "truth": int(value) | float(value)}:
                truth[(program, issuer)] = float(value)
            case {"program": str(), "issuer": str(), "truth": None}:
                pass
            case _:
                raise problem
    return truth


def _interval(interval: Interval | None) -> dict[str, float | None]:
    if interval is None:
        return {"lower": None, "upper": None}
    return {"lower": interval.lower, "upper": interval.upper}


def _arm_document(arm: ArmSummary) -> dict[str, object]:
    first, final = arm.first, arm.final
    return {
        "cards": arm.cards,
        "payments": arm.payments,
        "without_outcome": arm.unheard,
        "first_approved": first.y,
        "first_rate": first.rate if first.n else None,
        "final_approved": final.y,
        "final_rate": final.rate if final.n else None,
        "fraud_reported": arm.fraud,
    }


def _estimate_document(estimate: Estimate) -> dict[str, object]:
    first = estimate.first
    return {
        "program": estimate.program,
        "issuer": estimate.issuer_id,
        "experiment": estimate.experiment_id,
        "ramp_ppm": estimate.ramp_ppm,
        "holdout_ppm": estimate.holdout_ppm,
        # Payments that the rates are over: what was not heard of stands in the arms.
        "treatment_n": first.treatment.n,
        "holdout_n": first.holdout.n,
        "uplift": first.difference,
        **_interval(first.absolute),
        "truth": estimate.truth,
        "no_interval_reason": first.no_interval_reason or None,
        "fixed_half_width": first.fixed_half_width,
        "relative": None
        if first.relative is None
        else {"uplift": first.relative.value, **_interval(first.relative)},
        "final": {
            "uplift": estimate.final.difference,
            **_interval(estimate.final.absolute),
            "no_interval_reason": estimate.final.no_interval_reason or None,
        },
        "treatment": _arm_document(estimate.treatment),
        "holdout": _arm_document(estimate.holdout),
    }


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def report_document(report: Report) -> dict[str, object]:
    """The report as one JSON-able object. Without an interval `lower` and `upper` are null."""
    withheld: dict[str, Value] = {}
    for row in report.withheld:
        withheld[row.reason] = int(withheld.get(row.reason, 0)) + row.decisions
    return {
        "estimates": [_estimate_document(estimate) for estimate in report.estimates],
        "use": [
            {
                "program": use.program,
                "issuer": use.issuer_id,
                "shares": use.shares,
                "receipted": use.receipted,
                "matched": use.matched,
                "used": use.used,
                "late": use.late,
                "matched_rate": _rate(use.matched, use.shares),
                "used_rate": _rate(use.used, use.shares),
            }
            for use in report.use
        ],
        "withheld": withheld,
        "withheld_by_program": [
            {
                "program": row.program,
                "issuer": row.issuer_id,
                "reason": row.reason,
                "decisions": row.decisions,
            }
            for row in report.withheld
        ],
    }
