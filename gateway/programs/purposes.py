"""Which fields may go under which purpose: what is personal only to authorize, reports only to report."""

from typing import Final

from enrichment.fields import FIELDS, PERSONAL_MASK, REPORTING
from gateway.programs.model import Purpose

_ALL: Final = sum(1 << one.number for one in FIELDS)
_REPORTING: Final = sum(1 << one.number for one in FIELDS if one.purpose == REPORTING)


def purpose_mask(purpose: Purpose) -> int:
    """Bits of the fields that may be used for it."""
    if purpose is Purpose.FRAUD_AUTHORIZATION:
        return _ALL & ~_REPORTING
    return _ALL & ~PERSONAL_MASK
