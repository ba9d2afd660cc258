"""Whether the results of authentication go together: what was altered or made up often does not."""

from collections.abc import Mapping, Sequence
from typing import Final

from enrichment.payment import JsonValue
from enrichment.provider import Columns

# v1.Network and v1.TransStatus (EMV 3-D Secure 2.3.1, transStatus), by number.
_VISA, _MASTERCARD, _AMEX, _DISCOVER = 1, 2, 3, 4
_Y, _N, _U, _A, _C, _D, _R, _I = 1, 2, 3, 4, 5, 6, 7, 8
_MIT: Final = 2  # v1.Initiation

# As the networks publish them in their guides to EMV 3-D Secure. Discover and Amex number as Visa does.
_AS_VISA: Final = {
    _Y: ("05",), _A: ("06",), _N: ("07",), _U: ("07",), _C: ("07",), _D: ("07",), _R: ("07",), _I: ("07",),
}  # fmt: skip
# Mastercard: 04 data only, 06 an exemption of the acquirer's, 07 a payment of a series.
_AS_MASTERCARD: Final = {
    _Y: ("02", "07"), _A: ("01",), _N: ("00", "07"), _U: ("00", "04"), _C: ("00",), _D: ("00",),
    _R: ("00",), _I: ("04", "06", "00"),
}  # fmt: skip

ECI_FITS: Final[frozenset[tuple[int, int, str]]] = frozenset(
    (network, status, eci)
    for network, table in (
        (_VISA, _AS_VISA), (_AMEX, _AS_VISA), (_DISCOVER, _AS_VISA), (_MASTERCARD, _AS_MASTERCARD),
    )
    for status, fitting in table.items()
    for eci in fitting
)  # fmt: skip
"""(network, transStatus, ECI) that go together."""

JUDGED: Final = frozenset({_VISA, _MASTERCARD, _AMEX, _DISCOVER})


class Authentication:
    """`authentication_fits`, for the score: false where the ECI is not one that the network gives for this
    transStatus, or a card verification value is said to match in a payment that the merchant started, who
    may not have kept it (PCI DSS 4.0.1, 3.3.1). None where there is nothing to compare."""

    name = "authentication"
    version = "1"
    wants = ("network", "trans_status", "eci", "cvv_result", "initiation")
    gives = ("authentication_fits",)

    __slots__ = ()

    def fetch(self, batch: Columns) -> Mapping[str, Sequence[JsonValue]]:
        """As the port says."""
        fits: list[bool | None] = []
        for network, status, eci, cvv, initiation in zip(
            batch["network"], batch["trans_status"], batch["eci"], batch["cvv_result"], batch["initiation"],
            strict=True,
        ):  # fmt: skip
            known = None
            if eci and status and network in JUDGED:
                known = (network, status, eci) in ECI_FITS
            if initiation == _MIT and cvv in ("M", "m"):
                known = False
            fits.append(known)
        return {"authentication_fits": fits}
