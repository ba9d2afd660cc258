"""Merchant category codes by name, for `when.mcc_group`: our own groups over the codes of ISO 18245.

Kinds of business that differ in their fraud. A code may be in several groups.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

MCC_GROUPS: Final[Mapping[str, tuple[tuple[int, int], ...]]] = {
    "airlines": ((3000, 3299), (4511, 4511)),
    "car_rental": ((3300, 3499), (7512, 7519)),
    "digital_goods": ((5815, 5818),),
    "food_stores": ((5411, 5499),),
    "fuel_and_vehicles": ((5500, 5599),),
    "gambling": ((7800, 7802), (7995, 7995), (9406, 9406), (9754, 9754)),
    "government": ((9000, 9999),),
    "lodging": ((3500, 3999), (7011, 7012)),
    "professional_services": ((8000, 8999),),
    "quasi_cash": ((4829, 4829), (6010, 6012), (6050, 6051), (6540, 6540)),
    "restaurants": ((5811, 5814),),
    "transport": ((4000, 4799),),
    "travel_agencies": ((4722, 4723),),
    "utilities_and_telecom": ((4800, 4999),),
}
"""Name to first and last code of its ranges, both included."""


def mccs_of(mccs: frozenset[str], groups: frozenset[str]) -> frozenset[str] | None:
    """The codes that single ones and groups leave: both have to hold. None where neither is asked for."""
    if not groups:
        return mccs or None
    grouped = frozenset().union(*map(_codes, groups))
    return grouped & mccs if mccs else grouped


@lru_cache(maxsize=len(MCC_GROUPS))
def _codes(group: str) -> frozenset[str]:
    return frozenset(f"{code:04d}" for first, last in MCC_GROUPS[group] for code in range(first, last + 1))
