"""Signals of a payment: its fields, its velocity, its score, and which of them are fit to be shared."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from enrichment import quality
from enrichment.contact import HASHED_MASK
from enrichment.families import Values, authentication, bit, card, identity, merchant, network, velocity
from enrichment.fields import AUTHORIZATION, FIELD_BY_NAME, FIELDS, mask_of
from enrichment.masked import MASK, MaskedStruct
from enrichment.payment import PRESENCE_UNKNOWN, Assessment, Facts, Issue, JsonValue, Payment
from enrichment.quality import Poor
from enrichment.scoring import points

__all__ = ["Facts", "Signals", "assessed_signals", "ship_bill_match", "signals"]

MASKS_CACHED: Final = 4096
"""Lists of fields kept by mask: programs times what payments have and lack."""

_SCORE: Final[Values] = {
    FIELD_BY_NAME["score_raw"].number: lambda known: known.assessment.value,
    FIELD_BY_NAME["score_scale"].number: lambda known: {
        "min": known.assessment.scale_min,
        "max": known.assessment.scale_max,
        "high_is_risky": known.assessment.high_is_risky,
    },
    FIELD_BY_NAME["score_norm"].number: lambda known: known.assessment.normalised,
    FIELD_BY_NAME["reason_codes"].number: lambda known: list(known.assessment.reason_codes),
    FIELD_BY_NAME["model_id"].number: lambda known: known.assessment.model_id,
    FIELD_BY_NAME["score_percentile"].number: lambda known: known.assessment.percentile,
    FIELD_BY_NAME["recommendation"].number: lambda known: known.assessment.recommendation,
}
SCORE_MASK: Final = sum(map(bit, _SCORE))
"""Fields that the assessment alone decides: the same assessment, the same values."""

LEARNT_MASK: Final = mask_of(["score_percentile", "recommendation"])
POINTS_MASK: Final = SCORE_MASK & ~LEARNT_MASK
_CALLERS: Final = FIELD_BY_NAME["caller_assessments"].number
CALLERS_MASK: Final = bit(_CALLERS)


def _callers(known: Any) -> list[dict[str, JsonValue]]:
    return [
        {
            "assessor": one.assessor,
            "type": one.type,
            "model_id": one.model_id,
            "value": one.value,
            "min": one.scale_min,
            "max": one.scale_max,
            "high_is_risky": one.high_is_risky,
            "normalised": one.normalised,
            "reason_codes": list(one.reason_codes),
        }
        for one in known.payment.caller_assessments
    ]


_OF_OURS: Final[Values] = (
    card.VALUES
    | merchant.VALUES
    | identity.VALUES
    | network.VALUES
    | authentication.VALUES
    | velocity.VALUES
    | _SCORE
    | {_CALLERS: _callers}
)


def _found(name: str) -> Callable[[Any], JsonValue]:
    return lambda known: known.facts.found[name]


PROVIDED: Final[dict[str, int]] = {
    one.name: bit(one.number)
    for one in FIELDS
    if one.purpose == AUTHORIZATION and one.number not in _OF_OURS and not HASHED_MASK >> one.number & 1
}
"""Fields that no request, count or score fills: a provider may, and `Facts.found` has them. Name to bit."""

SOURCES: Final[Values] = _OF_OURS | {FIELD_BY_NAME[name].number: _found(name) for name in PROVIDED}

_ALL: Final[dict[int, Callable[[Any], JsonValue]]] = {
    number: attrgetter(f"payment.{source}") if isinstance(source, str) else source
    for number, source in SOURCES.items()
}


def value_of(number: int) -> Callable[[Any], JsonValue]:
    """How a field's value is read from signals that have it."""
    return _ALL[number]


_Getters = tuple[
    dict[str, JsonValue],
    tuple[str, ...],
    Callable[[Payment], tuple[JsonValue, ...]],
    tuple[tuple[str, Callable[[Any], JsonValue]], ...],
]
"""All names in order; those that are attributes of a payment, and how to read them at once; the others."""

_getters_by_mask: dict[int, _Getters] = {}


def _getters(mask: int) -> _Getters:
    """How to read the fields of a mask."""
    fields = [one for one in FIELDS if mask >> one.number & 1]
    sources = [(one.name, SOURCES[one.number]) for one in fields]
    plain = [(name, source) for name, source in sources if isinstance(source, str)]
    # Two more than there are names, which `zip` leaves: of a single path `attrgetter` would give no tuple.
    read = attrgetter(*[source for _, source in plain], "attempt_no", "attempt_no")
    others = tuple([(name, source) for name, source in sources if not isinstance(source, str)])
    found = dict.fromkeys([one.name for one in fields]), tuple([name for name, _ in plain]), read, others
    if len(_getters_by_mask) >= MASKS_CACHED:
        _getters_by_mask.clear()
    _getters_by_mask[mask] = found
    return found


class Signals(MaskedStruct):
    """What is known of one payment. `repr` is masked: values are personal data.

    Bit n of `mask` says that field n has a value; `below_quality` is the part of it that is not fit to be
    shared, and `quality` says why: (field number, reason). Values are made when they are asked for, so ask
    before `Payment.drop_pan()`. Fields of `contact.HASHED_MASK` have none here: ask for no such field.
    """

    payment: Payment
    facts: Facts
    mask: int
    below_quality: int
    quality: tuple[Poor, ...]
    assessment: Assessment
    ship_bill_match: bool | None

    @property
    def omissions(self) -> tuple[tuple[str, str], ...]:
        """Providers without an answer, and why."""
        return self.facts.omissions

    @property
    def issues(self) -> list[Issue]:
        """What the sender may mend, by path in the request: what was dropped, and what is not fit to be
        shared."""
        found = self.payment.field_issues.copy()
        for number, reason in self.quality:
            path = FIELDS[number].source
            if path:  # a hash has none: it is told by what it is made of
                found.append((path + quality.WITHIN.get(reason, ""), reason, quality.MEND[reason]))
        return found

    @property
    def values(self) -> dict[int, JsonValue]:
        """Every value, by field number."""
        mask = self.mask & ~HASHED_MASK
        return {one.number: _ALL[one.number](self) for one in FIELDS if mask >> one.number & 1}

    def value(self, number: int) -> JsonValue:
        """The value of a field that is in `mask`."""
        return _ALL[number](self)

    def named(self, mask: int) -> dict[str, JsonValue]:
        """The values of the fields of a part of `mask`, by name."""
        names, plain, read_plain, others = _getters_by_mask.get(mask) or _getters(mask)
        values = names.copy()
        values.update(zip(plain, read_plain(self.payment), strict=False))
        for name, read in others:
            values[name] = read(self)
        return values

    def __repr__(self) -> str:
        return f"Signals(mask={self.mask:#x}, {MASK})"


def presence(payment: Payment, poor: list[Poor]) -> int:
    """Mask of the fields that a payment has; those that are not fit to be shared are added to `poor`."""
    return (
        card.present(payment, poor)
        | merchant.present(payment, poor)
        | identity.present(payment, poor)
        | network.present(payment, poor)
        | authentication.present(payment, poor)
    )


def ship_bill_match(payment: Payment) -> bool | None:
    """Whether goods go where the bill goes; None where one of the addresses is not known."""
    billing, shipping = payment.billing, payment.shipping
    if billing is None or shipping is None:
        return None
    return identity.addresses_match(billing, shipping)


def signals(payment: Payment, facts: Facts) -> Signals:
    """Everything known of the payment, assessed by the points. As `assessed_signals` says."""
    match = ship_bill_match(payment)
    return assessed_signals(payment, facts, points.score(payment, facts, ship_bill_match=match), match)


def assessed_signals(payment: Payment, facts: Facts, assessment: Assessment, match: bool | None) -> Signals:
    """Everything known of a payment that was assessed. Take it before `drop_pan()`: field `pan` needs it.

    A provider without an answer is in `omissions`, its fields are absent and its rules have no say.
    """
    mask = velocity.present(facts) | facts.mask
    mask |= POINTS_MASK if assessment.percentile is None else SCORE_MASK
    if payment.caller_assessments:
        mask |= CALLERS_MASK
    if payment.presence != PRESENCE_UNKNOWN:
        return Signals(payment, facts, mask | payment.presence, 0, (), assessment, match)
    poor: list[Poor] = []
    mask |= presence(payment, poor)
    below_quality = 0
    for number, _ in poor:
        below_quality |= 1 << number
    return Signals(payment, facts, mask, below_quality, tuple(poor), assessment, match)
