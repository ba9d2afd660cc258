"""Forms of postal codes, by country (Universal Postal Union, addressing systems): 9 a digit, A a letter.

Countries that are not here may have any code, or none.
"""

import re
from collections.abc import Callable
from typing import Final

_FORMS: Final = """
US 99999 999999999
CA A9A9A9
GB A99AA A999AA AA99AA AA999AA A9A9AA AA9A9AA
DE 99999
FR 99999
IT 99999
ES 99999
NL 9999AA
BE 9999
CH 9999
AT 9999
DK 9999
NO 9999
SE 99999
FI 99999
PL 99999
PT 9999 9999999
AU 9999
NZ 9999
JP 9999999
KR 99999
CN 999999
IN 999999
SG 999999
BR 99999999
MX 99999
ZA 9999
"""

FORMS: Final = {
    country: frozenset(forms) for country, *forms in (line.split() for line in _FORMS.split("\n") if line)
}
"""Without spaces and hyphens."""

_CLASSES: Final = {"9": "[0-9]", "A": "[A-Za-z]"}
_APART: Final = "[ -]*+"


def _matcher(forms: frozenset[str]) -> Callable[[str], object]:
    spelled = (_APART.join(["", *(_CLASSES[kind] for kind in form), ""]) for form in sorted(forms))
    return re.compile("|".join(spelled)).fullmatch


_MATCHERS: Final = {country: _matcher(forms) for country, forms in FORMS.items()}


def is_of_its_country(country: str, postal_code: str) -> bool:
    """Whether the code has a form that its country gives.

    >>> is_of_its_country("US", "62701-1234"), is_of_its_country("US", "6270"), is_of_its_country("US", "")
    (True, False, False)
    >>> is_of_its_country("GB", "sw1a 1aa"), is_of_its_country("AE", "")
    (True, True)
    """
    matches = _MATCHERS.get(country)
    return matches is None or matches(postal_code) is not None
