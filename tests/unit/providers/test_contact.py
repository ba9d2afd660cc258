"""Shapes of e-mail addresses and telephone numbers."""

import pytest

from enrichment.calling_codes import COUNTRIES_BY_PREFIX
from enrichment.domains import DOMAINS_CACHED, KINDS, domain_type
from enrichment.formats import COUNTRIES
from enrichment.payment import Address
from enrichment.providers.contact import Contact
from tests.unit.providers.columns import one

US = Address("1 Road", "Town", "CA", "90210", "US")


def told(email: str = "", phone: str = "", billing: Address | None = None) -> dict[str, object]:
    return one(Contact(), email=email, phone_e164=phone, billing=billing)


@pytest.mark.parametrize(
    ("domain", "kind"),
    [
        ("gmail.com", "free"),
        ("Yahoo.co.JP", "free"),
        ("outlook.de", "free"),
        ("mailinator.com", "disposable"),
        ("inbox.mailinator.com", "disposable"),
        ("northgate.bank", "corporate"),
        ("mail.gov.uk", "corporate"),
        ("yahoo", None),
        ("shop.test", None),
        ("example.com", None),
    ],
)
def test_a_domain_is_free_disposable_corporate_or_nobodys(domain: str, kind: str | None) -> None:
    assert told(email=f"jane@{domain}").get("email_domain_type") == kind


def test_a_thousand_strange_domains_fill_no_memory() -> None:
    for number in range(2 * DOMAINS_CACHED):
        assert domain_type(f"shop-{number}.net") == "corporate"
    assert len(KINDS) <= DOMAINS_CACHED


def test_how_much_of_a_local_part_is_digits() -> None:
    assert told(email="jane1984@gmx.net")["email_digits_percent"] == 50
    assert told(email="jane@gmx.net")["email_digits_percent"] == 0
    assert told() == {}


@pytest.mark.parametrize(
    ("phone", "country", "fits"),
    [
        ("+14155550123", "US", True),
        ("+14165550123", "CA", True),
        ("+442071234567", "US", False),
        ("+442071234567", "JE", True),
        ("+3581234567", "FI", True),
        ("+351912345678", "ES", False),
        ("+9991234567", "US", False),
    ],
)
def test_a_calling_code_is_of_the_billing_country_or_not(phone: str, country: str, fits: bool) -> None:
    found = told(phone=phone, billing=US._replace(country=country))
    assert found == {"phone_fits_billing": fits}


def test_without_a_billing_country_nothing_is_said_of_the_telephone() -> None:
    assert told(phone="+14155550123") == {}
    assert told(phone="+14155550123", billing=US._replace(country="")) == {}


def test_calling_codes_name_countries_of_iso_3166_and_nearly_all_of_them() -> None:
    named = {country for countries in COUNTRIES_BY_PREFIX.values() for country in countries}
    assert named - COUNTRIES <= {"AC", "XK"}, "Ascension and Kosovo have codes of other lists"
    assert COUNTRIES - named <= {"AQ", "BV", "GS", "HM", "IO", "PN", "TF", "UM", "EH", "VA"}
