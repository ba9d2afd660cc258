"""Signals of a payment: its fields, its velocity, its score, and which of them are fit to be shared."""

from typing import Final

from enrichment.fields import FIELD_BY_NAME, FIELDS
from enrichment.payment import Facts, JsonValue, Payment, Signals
from enrichment.providers import authentication, card, identity, merchant, network, velocity
from enrichment.quality import Poor
from enrichment.scoring import points

__all__ = ["Facts", "Signals", "signals"]

_BIT: Final = tuple(1 << field.number for field in FIELDS)
_SCORE_RAW = FIELD_BY_NAME["score_raw"].number
_SCORE_SCALE = FIELD_BY_NAME["score_scale"].number
_SCORE_NORM = FIELD_BY_NAME["score_norm"].number
_REASON_CODES = FIELD_BY_NAME["reason_codes"].number
_MODEL_ID = FIELD_BY_NAME["model_id"].number


def signals(payment: Payment, facts: Facts) -> Signals:
    """Everything known of the payment, by field number. Take it before `drop_pan()`: field `pan` needs it.

    A provider without an answer is in `omissions`, its fields are absent and its rules have no say.
    """
    values: dict[int, JsonValue] = {}
    poor: list[Poor] = []
    card.provide(payment, values, poor)
    merchant.provide(payment, values, poor)
    identity.provide(payment, values, poor)
    network.provide(payment, values, poor)
    authentication.provide(payment, values, poor)
    velocity.provide(facts, values)

    assessment = points.score(payment, facts, ship_bill_match=values.get(identity.SHIP_BILL_MATCH))
    values[_SCORE_RAW] = assessment.value
    values[_SCORE_SCALE] = {
        "min": assessment.scale_min,
        "max": assessment.scale_max,
        "high_is_risky": assessment.high_is_risky,
    }
    values[_SCORE_NORM] = assessment.normalised
    values[_REASON_CODES] = list(assessment.reason_codes)
    values[_MODEL_ID] = assessment.model_id

    below_quality = 0
    for number, _ in poor:
        below_quality |= _BIT[number]
    return Signals(
        values,
        sum(map(_BIT.__getitem__, values)),
        below_quality,
        tuple(poor),
        assessment,
        facts.omissions,
    )
