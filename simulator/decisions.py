"""How the simulated issuers decide, and the truth that follows from it.

Both worlds of a payment, with the shared data and without, share the same draw of nature, so that the
effect of the data on one payment is known: `approves(.., True) - approves(.., False)`. An issuer process
takes the world "with" only when it holds data that it could verify and open before its decision.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from simulator.draws import draw


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Probability to approve, by what the payment really is and whether the shared data was there."""

    issuer_id: str
    program: str
    """Program that it decides by, where it does."""
    good_without: float
    good_with: float
    fraud_without: float
    fraud_with: float
    unmatched_share: float = 0.0
    """Share of its authorizations whose references its systems mangle: it finds no data for them."""
    late_share: float = 0.0
    """Share of its authorizations that it decides without waiting for the data."""

    @property
    def uses_data(self) -> bool:
        return (self.good_with, self.fraud_with) != (self.good_without, self.fraud_without)


# The gain is planted large (about +5.5, +2, 0, -3 percentage points over all payments), so that 20,000
# payments show it: a real program's effect is smaller and takes more of them.
BEHAVIOURS: dict[str, Behaviour] = {
    behaviour.issuer_id: behaviour
    for behaviour in (
        Behaviour(
            issuer_id="northgate-bank",
            program="risk-score",
            good_without=0.840,
            good_with=0.910,
            fraud_without=0.66,
            fraud_with=0.34,
        ),
        Behaviour(
            issuer_id="harbor-federal",
            program="enhanced-data",
            good_without=0.860,
            good_with=0.885,
            fraud_without=0.66,
            fraud_with=0.56,
            unmatched_share=0.01,
        ),
        Behaviour(
            issuer_id="meridian-cards",
            program="risk-score",
            good_without=0.870,
            good_with=0.870,
            fraud_without=0.60,
            fraud_with=0.60,
        ),
        Behaviour(
            issuer_id="summit-credit-union",
            program="risk-score",
            good_without=0.880,
            good_with=0.850,
            fraud_without=0.64,
            fraud_with=0.58,
            late_share=0.01,
        ),
    )
}

UNENROLLED = Behaviour(
    issuer_id="unenrolled",
    program="",
    good_without=0.86,
    good_with=0.86,
    fraud_without=0.62,
    fraud_with=0.62,
)

RETRY_FACTOR = 0.55
"""An attempt after a soft decline is approved less often than a first one."""

# DE39 of the ISO 8583:1987 edition. Soft declines may be tried again, hard ones may not.
APPROVED_CODE = "00"
SOFT_CODES = ("51", "91", "65")
HARD_CODES = ("05", "59", "14")
SOFT_SHARE = 0.55


@dataclass(frozen=True, slots=True)
class Nature:
    """What is drawn for one attempt, before and apart from anything that is shared."""

    approval: float
    code: float
    fraud: bool
    attempt_no: int
    unmatched: bool
    late: bool


def draw_nature(seed: int, payment_id: str, attempt_no: int, *, fraud: bool, behaviour: Behaviour) -> Nature:
    """Nature's draw for an attempt; the same wherever it is asked for."""
    return Nature(
        approval=draw(seed, "approval", payment_id, attempt_no),
        code=draw(seed, "code", payment_id, attempt_no),
        fraud=fraud,
        attempt_no=attempt_no,
        unmatched=draw(seed, "unmatched", payment_id, attempt_no) < behaviour.unmatched_share,
        late=draw(seed, "late", payment_id, attempt_no) < behaviour.late_share,
    )


def approves(behaviour: Behaviour, nature: Nature, *, with_data: bool) -> bool:
    """The issuer's decision on the attempt, in the world with its data or without."""
    informed = with_data and not nature.unmatched and not nature.late
    if nature.fraud:
        probability = behaviour.fraud_with if informed else behaviour.fraud_without
    else:
        probability = behaviour.good_with if informed else behaviour.good_without
    if nature.attempt_no > 1:
        probability *= RETRY_FACTOR
    return nature.approval < probability


def response_code(nature: Nature, *, approved: bool) -> str:
    """DE39 of the answer."""
    if approved:
        return APPROVED_CODE
    soft = nature.code < SOFT_SHARE
    codes = SOFT_CODES if soft else HARD_CODES
    place = nature.code / SOFT_SHARE if soft else (nature.code - SOFT_SHARE) / (1 - SOFT_SHARE)
    return codes[int(place * len(codes))]


def is_soft(code: str) -> bool:
    """Whether the payment may be tried again after this answer."""
    return code in SOFT_CODES


@dataclass(slots=True)
class _Sum:
    payments: int = 0
    difference: int = 0


class Truth:
    """Mean difference that the data makes over the eligible first attempts, by program and issuer."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], _Sum] = {}

    def add(self, behaviour: Behaviour, nature: Nature, eligible_programs: Iterable[str]) -> None:
        """Counts one first attempt under each program that it was eligible for, whatever its arm."""
        for program in eligible_programs:
            known = self._sums.setdefault((program, behaviour.issuer_id), _Sum())
            known.payments += 1
            if program == behaviour.program:
                known.difference += approves(behaviour, nature, with_data=True)
                known.difference -= approves(behaviour, nature, with_data=False)

    def rows(self) -> list[dict[str, str | int | float]]:
        """One row a program and issuer."""
        return [
            {
                "program": program,
                "issuer": issuer,
                "payments": known.payments,
                "truth": known.difference / known.payments,
            }
            for (program, issuer), known in sorted(self._sums.items())
        ]
