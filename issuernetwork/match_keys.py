"""Canonical match keys: how both sides of an authorization find it again.

Key kinds name one authorization; the composite only narrows down to few, so it is tried last and two
candidates give no match. Pure: sealed bodies carry these keys, and an issuer makes its own to compare.
"""

from dataclasses import dataclass
from typing import Protocol

COMPOSITE_PREFIX = "cmp:"
"""Keys that start so are not unique by construction."""

_STAN_DIGITS = 6
_IIN_DIGITS = 6
# Both sides may know 8 digits of a 16-digit card and never more than 6 of a shorter one (PCI SSC FAQ 1091).


class ReferencesLike(Protocol):
    """What keys are made of: `v1.MatchReferences` and `References` both fit. Empty and 0 mean absent."""

    @property
    def network_match_key(self) -> str: ...
    @property
    def acquiring_institution_id(self) -> str: ...
    @property
    def stan(self) -> str: ...
    @property
    def transmission_date_time(self) -> str: ...
    @property
    def retrieval_reference_number(self) -> str: ...
    @property
    def amount_minor(self) -> int: ...
    @property
    def currency(self) -> str: ...
    @property
    def iin(self) -> str: ...
    @property
    def last4(self) -> str: ...
    @property
    def card_acceptor_id(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Plain values for `match_keys`, where no protobuf message is at hand."""

    network_match_key: str = ""
    acquiring_institution_id: str = ""
    stan: str = ""
    transmission_date_time: str = ""
    retrieval_reference_number: str = ""
    amount_minor: int = 0
    currency: str = ""
    iin: str = ""
    last4: str = ""
    card_acceptor_id: str = ""


def match_keys(references: ReferencesLike) -> tuple[str, ...]:
    """Canonical keys, the strongest first, the composite last. Padding of fixed-width elements is dropped.

    Kinds: `net:<key>`, `rrn:<DE37>:<DE32>`, `stan:<DE11>:<DE7>:<DE32>`,
    `cmp:<DE4>:<DE49>:<iin, first 6>:<last4>:<DE42>`. A kind with a missing part is left out.
    """
    keys: list[str] = []
    network_match_key = references.network_match_key.strip()
    if network_match_key:
        keys.append(f"net:{network_match_key}")
    acquirer = references.acquiring_institution_id.strip()
    if acquirer:
        retrieval_reference = references.retrieval_reference_number.strip()
        if retrieval_reference:
            keys.append(f"rrn:{retrieval_reference}:{acquirer}")
        stan, transmitted = references.stan.strip(), references.transmission_date_time.strip()
        if stan and transmitted:
            keys.append(f"stan:{stan.zfill(_STAN_DIGITS)}:{transmitted}:{acquirer}")
    composite = _composite(references)
    if composite:
        keys.append(composite)
    return tuple(keys)


def _composite(references: ReferencesLike) -> str:
    currency, iin, last4 = references.currency.strip(), references.iin.strip(), references.last4.strip()
    acceptor = references.card_acceptor_id.strip()
    if not (references.amount_minor and currency and iin and last4 and acceptor):
        return ""
    return f"{COMPOSITE_PREFIX}{references.amount_minor}:{currency}:{iin[:_IIN_DIGITS]}:{last4}:{acceptor}"


def is_composite(key: str) -> bool:
    """True where the key only narrows down."""
    return key.startswith(COMPOSITE_PREFIX)
