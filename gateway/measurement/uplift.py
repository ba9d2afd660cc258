"""Uplift: treatment less holdout within a ramp step, with an interval that may be looked at at any time."""

from dataclasses import dataclass

from gateway.measurement.confidence import Z_95, sequence_factor
from gateway.measurement.ratios import CardSums, Difference, difference, relative_difference

BURN_IN_CARDS = 500
"""Cards that the smaller arm needs. The sequence is asymptotic: with fewer, arms of 95/5 exceed 5% errors."""

MIN_EVENTS = 10
"""Approvals and declines that each arm needs: with fewer no normal approximation of a rate holds."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the ends of its 95% confidence sequence."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Uplift:
    """What was compared, and what came of it. Without an interval, `no_interval_reason` says why."""

    treatment: CardSums
    holdout: CardSums
    absolute: Interval | None
    relative: Interval | None
    fixed_half_width: float | None
    """Half-width of the fixed 95% interval that one single look would allow; for comparison of widths."""
    no_interval_reason: str

    @property
    def difference(self) -> float | None:
        """Difference of rates, with or without an interval; none where an arm has no payment."""
        if self.treatment.n == 0 or self.holdout.n == 0:
            return None
        return self.treatment.rate - self.holdout.rate


def estimate_uplift(treatment: CardSums, holdout: CardSums) -> Uplift:
    """Compares two arms. Never raises: what cannot be estimated says so."""
    reason = _no_interval_reason(treatment, holdout)
    if reason:
        return Uplift(treatment, holdout, None, None, None, reason)
    factor = sequence_factor(treatment.cards + holdout.cards)
    absolute = difference(treatment, holdout)
    return Uplift(
        treatment=treatment,
        holdout=holdout,
        absolute=_interval(absolute, factor),
        relative=_interval(relative_difference(treatment, holdout), factor),
        fixed_half_width=Z_95 * absolute.standard_error,
        no_interval_reason="",
    )


def _interval(estimate: Difference, factor: float) -> Interval:
    half_width = factor * estimate.standard_error
    return Interval(estimate.value, estimate.value - half_width, estimate.value + half_width)


def _no_interval_reason(treatment: CardSums, holdout: CardSums) -> str:
    smaller = min(treatment.cards, holdout.cards)
    if smaller < BURN_IN_CARDS:
        return f"too few cards ({smaller} of {BURN_IN_CARDS})"
    rarest = min(min(arm.y, arm.n - arm.y) for arm in (treatment, holdout))
    if rarest < MIN_EVENTS:
        return f"too few approvals or declines ({rarest} of {MIN_EVENTS})"
    return ""
