"""Results of authentication that go together, and that do not."""

import pytest

from enrichment.providers.authentication import Authentication
from tests.unit.providers.columns import one

VISA, MASTERCARD, AMEX, OTHER = 1, 2, 3, 5
Y, N, U, A, I = 1, 2, 3, 4, 8  # noqa: E741 - letters of the specification
CIT, MIT = 1, 2


def fits(network: int, status: int, eci: str, cvv: str = "", initiation: int = CIT) -> object:
    found = one(
        Authentication(), network=network, trans_status=status, eci=eci, cvv_result=cvv, initiation=initiation
    )
    return found.get("authentication_fits")


@pytest.mark.parametrize(
    ("network", "status", "eci", "expected"),
    [
        (VISA, Y, "05", True),
        (VISA, A, "06", True),
        (VISA, N, "05", False),
        (VISA, Y, "02", False),
        (AMEX, Y, "05", True),
        (MASTERCARD, Y, "02", True),
        (MASTERCARD, A, "01", True),
        (MASTERCARD, I, "06", True),
        (MASTERCARD, U, "02", False),
        (MASTERCARD, Y, "05", False),
        (OTHER, Y, "99", None),
        (VISA, 0, "05", None),
        (VISA, Y, "", None),
    ],
)
def test_an_eci_fits_the_network_and_the_status_or_is_not_judged(
    network: int, status: int, eci: str, expected: bool | None
) -> None:
    assert fits(network, status, eci) is expected


def test_a_merchant_that_starts_a_payment_has_no_card_verification_value_to_match() -> None:
    assert fits(VISA, Y, "05", "M", MIT) is False
    assert fits(VISA, 0, "", "m", MIT) is False
    assert fits(VISA, Y, "05", "M", CIT) is True
    assert fits(VISA, Y, "05", "N", MIT) is True
