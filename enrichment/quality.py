"""Verdicts on values that are well formed and still not fit to be shared, decided from the value and what it
stands beside in its group.

The engine (native/src/request/doubts.rs) casts the same doubts, by tables of `enrichment/reader.py`.
"""

# ruff: noqa: SIM905 - one string of words reads and diffs better than a list of quoted ones

import ipaddress
from collections.abc import Mapping
from typing import Final

from enrichment import formats
from enrichment.disposable import is_disposable
from enrichment.phones import is_possible
from enrichment.postal import is_of_its_country
from enrichment.repeated import is_repeated

Poor = tuple[int, str]
"""(field number, reason)."""

NOT_PUBLIC: Final = "not_public"
TEST_DOMAIN: Final = "test_domain"
DISPOSABLE_DOMAIN: Final = "disposable_domain"
ROLE_BASED: Final = "role_based"
IMPOSSIBLE_NUMBER: Final = "impossible_number"
PLACEHOLDER: Final = "placeholder"
CONSTANT: Final = "constant"
NOT_A_NAME: Final = "not_a_name"
NOT_A_BROWSER: Final = "not_a_browser"
INCOMPLETE: Final = "incomplete"
BAD_POSTAL_CODE: Final = "bad_postal_code"
UNKNOWN_CODE: Final = formats.UNKNOWN_CODE
INCONSISTENT: Final = formats.INCONSISTENT

MEND: Final[Mapping[str, str]] = {
    NOT_PUBLIC: "send the customer's own address, not one of your network or of a proxy in front of you",
    TEST_DOMAIN: "send the customer's own address; leave it out where there is none",
    DISPOSABLE_DOMAIN: "ask the customer for an address that is kept: this domain's are thrown away",
    ROLE_BASED: "send a person's address: this one belongs to a function",
    IMPOSSIBLE_NUMBER: "send a number with all its digits behind the calling code of its country",
    PLACEHOLDER: "send what it is; leave the field out where there is nothing",
    CONSTANT: "send an id that each device has for itself; this one is the same on many",
    NOT_A_NAME: "send the name as it stands on the card",
    NOT_A_BROWSER: "send the User-Agent of the customer's browser, not the one of your own software",
    INCOMPLETE: "send the country, and the postal code or the street",
    BAD_POSTAL_CODE: "send the postal code as its country has it, for example 5 or 9 digits in the US",
    UNKNOWN_CODE: "send the two digits that the network gave, 00 to 09",
    INCONSISTENT: "send an age within the account's own, and no more payments than in the whole year",
}
"""How a sender mends it, by reason."""

WITHIN: Final[Mapping[str, str]] = {BAD_POSTAL_CODE: ".postal_code"}
"""Where in the field the fault is, of reasons that are about a part of it."""

RULES: Final[Mapping[str, tuple[str, ...]]] = {
    "public_address": (NOT_PUBLIC,),
    "real_mailbox": (TEST_DOMAIN, DISPOSABLE_DOMAIN, ROLE_BASED),
    "possible_number": (PLACEHOLDER, IMPOSSIBLE_NUMBER),
    "real_name": (PLACEHOLDER, NOT_A_NAME),
    "whole_address": (INCOMPLETE, BAD_POSTAL_CODE),
    "stable_id": (PLACEHOLDER, CONSTANT),
    "browser": (NOT_A_BROWSER,),
    "real_place": (PLACEHOLDER,),
    "real_category": (PLACEHOLDER,),
    "not_zeros": (PLACEHOLDER,),
    "not_placeholder": (PLACEHOLDER,),
    "known_eci": (UNKNOWN_CODE,),
    "consistent_history": (INCONSISTENT,),
}
"""Rules that the table of fields names, and the reasons that each may give."""

# RFC 2606 and RFC 6761: names that no real mailbox has.
TEST_TOP_LEVELS: Final = frozenset({"test", "invalid", "localhost", "local", "example"})
TEST_DOMAINS: Final = frozenset({"example.com", "example.net", "example.org"})

# RFC 2142, and what shops and their suppliers call the mailboxes of a function.
ROLES: Final = frozenset(
    """abuse accounting accounts admin administrator billing bounce compliance contact customerservice
    do-not-reply donotreply enquiries feedback ftp help helpdesk hostmaster hr info inquiries invoices jobs
    legal mailer-daemon marketing news no-reply no.reply no_reply noc noreply notifications office orders
    postmaster press privacy purchasing reception returns root sales security service shop spam ssladmin
    staff subscribe support sysadmin team unsubscribe usenet uucp webmaster www""".split()
)

# What software fills in when it has no value.
PLACEHOLDERS: Final = frozenset(
    {"unknown", "null", "none", "undefined", "n/a", "na", "test", "default", "device", "nan", "0", "-"}
)
# The same where a name is asked for.
NAME_PLACEHOLDERS: Final = PLACEHOLDERS | {
    "cardholder", "card holder", "cardholder name", "name on card", "customer", "guest", "guest user",
    "first last", "firstname lastname", "test test", "test user", "valued customer", "no name",
}  # fmt: skip
# Ids that are the same on many devices: the Android emulator's, a hidden MAC address, sequences of examples.
# The advertising id of zeros is a placeholder by itself.
CONSTANT_IDS: Final = frozenset(
    {"9774d56d682e549c", "02:00:00:00:00:00", "00:00:00:00:00:00", "dead00beef", "deadbeef", "1234567890",
     "123456789", "0123456789", "12345678-1234-1234-1234-123456789012", "device_id", "deviceid", "device-id",
     "123e4567-e89b-12d3-a456-426614174000", "fingerprint", "emulator", "android", "iphone", "browser", "web",
     "desktop", "mobile"}
)  # fmt: skip
MOST_DIGITS_OF_A_NAME: Final = 3
"""More are a number that went into the wrong field: a card's, say."""

NOT_BROWSERS: Final = (
    "curl/", "python-requests/", "python-urllib/", "python/", "wget/", "okhttp/", "java/",
    "go-http-client/", "libwww-perl/", "axios/", "node-fetch", "node", "undici", "got (", "guzzlehttp/",
    "php/", "ruby", "faraday", "apache-httpclient/", "postmanruntime/", "insomnia/", "httpie/", "aiohttp/",
    "httpx/", "scrapy/", "phantomjs",
)  # fmt: skip
"""How the names begin of what is no browser."""

ROBOTS: Final = ("headlesschrome", "phantomjs", "googlebot", "bingbot", "selenium", "puppeteer")
"""What stands within the names of browsers that nobody sits at."""

# Electronic commerce indicators are the networks' own (EMV 3-D Secure, eci): 00, 01, 02, 04, 06 and 07 are
# Mastercard's, 05 to 07 nearly everybody else's, and processors know the rest for mail, telephone and what is
# not protected. N0 and N2 are of what is no payment.
ECIS: Final = frozenset(f"0{digit}" for digit in range(10))

YEAR_COUNTED_MAX: Final = 998
"""By EMV 3-D Secure (acctInfo, txnActivityYear) a count of a year has three digits: 999 may be more."""

NOT_ABOVE: Final = (
    ("account_change_age_days", "account_age_days", None),
    ("password_change_age_days", "account_age_days", None),
    ("card_on_file_age_days", "account_age_days", None),
    ("transactions_24h", "transactions_1y", YEAR_COUNTED_MAX),
    ("purchases_6m", "transactions_1y", YEAR_COUNTED_MAX),
)
"""(part, whole, the largest whole that is told from) of `payment.History`: nothing of an account is older
than it, and a day and half a year lie within the year that ends now."""

_LONGEST_NOT_BROWSER: Final = max(map(len, NOT_BROWSERS))


def ip_is_public(ip: str) -> bool:
    """Whether an address of the open internet, of a real customer.

    IPv4 by hand: `ipaddress` takes 5 µs. `ipaddress.is_global` accepts NAT64, 6to4 and multicast; here only
    2000::/3 without 6to4, Teredo and documentation counts as IPv6.

    >>> ip_is_public("81.2.69.142"), ip_is_public("10.1.2.3"), ip_is_public("100.64.0.1")
    (True, False, False)
    >>> ip_is_public("2a02:ff40::1"), ip_is_public("2001:db8::1"), ip_is_public("fe80::1")
    (True, False, False)
    """
    if ":" in ip:
        return _ipv6_is_public(ip)
    first, second, third, _ = map(int, ip.split("."))
    if first in _RESERVED_FIRST or first >= 224:
        return False
    # RFC 6890 and successors: shared, link-local, private, IETF, documentation, benchmarking.
    return not (
        (first == 100 and 64 <= second <= 127)
        or (first == 169 and second == 254)
        or (first == 172 and 16 <= second <= 31)
        or (
            first == 192
            and (second == 168 or (second == 0 and third in (0, 2)) or (second, third) == (88, 99))
        )
        or (first == 198 and (second in (18, 19) or (second, third) == (51, 100)))
        or (first == 203 and (second, third) == (0, 113))
    )


_RESERVED_FIRST: Final = frozenset({0, 10, 127})


def _ipv6_is_public(ip: str) -> bool:
    address = int(ipaddress.IPv6Address(ip))
    if address >> 125 != 0b001:  # 2000::/3, global unicast (RFC 4291)
        return False
    top = address >> 96
    return not (
        top >> 16 == 0x2002  # 6to4, RFC 3056
        or top == 0x20010000  # Teredo, RFC 4380
        or top == 0x20010DB8  # documentation, RFC 3849
        or top >> 4 == 0x3FFF00  # documentation, RFC 9637: 3fff::/20
    )


def poor_email(email: str) -> str:
    """Why no person's mailbox can be behind it, or "". Takes an address in lower case.

    >>> poor_email("jane@example.com"), poor_email("jane@shop.test"), poor_email("jane@gmx.net")
    ('test_domain', 'test_domain', '')
    >>> poor_email("jane@mailinator.com"), poor_email("no-reply+7@gmx.net")
    ('disposable_domain', 'role_based')
    """
    local, _, domain = email.rpartition("@")
    if domain in TEST_DOMAINS or domain.rpartition(".")[2] in TEST_TOP_LEVELS:
        return TEST_DOMAIN
    if is_disposable(domain):
        return DISPOSABLE_DOMAIN
    return ROLE_BASED if local.partition("+")[0] in ROLES else ""


def poor_phone(phone: str) -> str:
    """Why nobody can be called there, or "". Takes E.164 with its plus.

    >>> poor_phone("+15555555555"), poor_phone("+1415555"), poor_phone("+14155550123")
    ('placeholder', 'impossible_number', '')
    """
    if phone[-1] == phone[-2] and len(set(phone[-7:])) == 1:
        return PLACEHOLDER
    return "" if is_possible(phone) else IMPOSSIBLE_NUMBER


def poor_name(name: str) -> str:
    """Why it is no cardholder's name, or "".

    >>> poor_name("Card Holder"), poor_name("4111 1111"), poor_name("José María 3rd")
    ('placeholder', 'not_a_name', '')
    """
    if name.lower() in NAME_PLACEHOLDERS or is_repeated(name):
        return PLACEHOLDER
    letters = digits = 0
    for char in name:
        letters += char.isalpha()
        digits += char.isdigit()
    return "" if letters and digits <= MOST_DIGITS_OF_A_NAME else NOT_A_NAME


def poor_device_id(device_id: str) -> str:
    """Why it does not name one device, or "".

    >>> poor_device_id("unknown"), poor_device_id("9774d56d682e549c"), poor_device_id("device-17")
    ('placeholder', 'constant', '')
    """
    if is_placeholder(device_id):
        return PLACEHOLDER
    return CONSTANT if device_id.lower() in CONSTANT_IDS else ""


def poor_address(country: str, postal_code: str, line1: str) -> str:
    """Why nothing can be sent there, or "".

    >>> poor_address("", "62701", "1 Main St"), poor_address("US", "6270", "")
    ('incomplete', 'bad_postal_code')
    >>> poor_address("US", "62701", "")
    ''
    """
    if not (country and (postal_code or line1)):
        return INCOMPLETE
    return "" if is_of_its_country(country, postal_code) else BAD_POSTAL_CODE


def is_placeholder(value: str) -> bool:
    """Whether software filled it in: a word for "nothing", or one character over and over.

    >>> is_placeholder("00000000-0000-0000-0000-000000000000"), is_placeholder("unknown")
    (True, True)
    >>> is_placeholder("device-17")
    False
    """
    return value.lower() in PLACEHOLDERS or is_repeated(value)


def is_not_a_browser(user_agent: str) -> bool:
    """Whether a library sent it, or a browser that nobody sits at.

    >>> is_not_a_browser("curl/8.1"), is_not_a_browser("Mozilla/5.0 (X11) HeadlessChrome/120.0")
    (True, True)
    >>> is_not_a_browser("Mozilla/5.0 (X11; Linux)")
    False
    """
    if user_agent[:_LONGEST_NOT_BROWSER].lower().startswith(NOT_BROWSERS):
        return True
    name = user_agent.lower()
    return any(robot in name for robot in ROBOTS)


def is_eci(eci: str) -> bool:
    """Whether a network gives it as electronic commerce indicator of a payment.

    >>> is_eci("05"), is_eci("5Z"), is_eci("N2")
    (True, False, False)
    """
    return eci in ECIS


def is_above(part: int | None, whole: int | None, most: int | None = None) -> bool:
    """Whether a part is more than its whole; not where one of them is not known, or the whole beyond `most`.

    >>> is_above(40, 39), is_above(39, 39), is_above(40, None), is_above(None, 0)
    (True, False, False, False)
    >>> is_above(1_500, 998, 998), is_above(1_500, 999, 998)
    (True, False)
    """
    if part is None or whole is None or part <= whole:
        return False
    return most is None or whole <= most
