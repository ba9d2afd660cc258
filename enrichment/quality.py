"""Verdicts on values that are well formed and still not fit to be shared, decided from the value alone."""

import ipaddress
from typing import Final

Poor = tuple[int, str]
"""(field number, reason)."""

NOT_PUBLIC: Final = "not_public"
TEST_DOMAIN: Final = "test_domain"
PLACEHOLDER: Final = "placeholder"
NOT_A_BROWSER: Final = "not_a_browser"
INCOMPLETE: Final = "incomplete"

# RFC 2606 and RFC 6761: names that no real mailbox has.
TEST_TOP_LEVELS: Final = frozenset({"test", "invalid", "localhost", "local", "example"})
TEST_DOMAINS: Final = frozenset({"example.com", "example.net", "example.org"})

# What software fills in when it has no value.
PLACEHOLDERS: Final = frozenset(
    {"unknown", "null", "none", "undefined", "n/a", "na", "test", "default", "device", "nan", "0", "-"}
)
_LONGEST_PLACEHOLDER: Final = max(map(len, PLACEHOLDERS))
NOT_BROWSERS: Final = (
    "curl/",
    "python-requests/",
    "wget/",
    "okhttp/",
    "java/",
    "go-http-client/",
    "libwww-perl/",
)

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


def email_is_test(email: str) -> bool:
    """Whether no real mailbox can be behind it. Takes a normalised address.

    >>> email_is_test("jane@example.com"), email_is_test("jane@shop.test"), email_is_test("jane@gmx.net")
    (True, True, False)
    """
    domain = email.rpartition("@")[2]
    return domain in TEST_DOMAINS or domain.rpartition(".")[2] in TEST_TOP_LEVELS


def is_placeholder(value: str) -> bool:
    """Whether software filled it in: a word for "nothing", or one character over and over.

    >>> is_placeholder("00000000-0000-0000-0000-000000000000"), is_placeholder("unknown")
    (True, True)
    >>> is_placeholder("device-17")
    False
    """
    if len(value) <= _LONGEST_PLACEHOLDER and value.lower() in PLACEHOLDERS:
        return True
    first, last = value[:1], value[-1:]
    if first != last and first != "-" and last != "-":
        return False  # two characters at least: nearly all values end here
    return len(set(value) - {"-"}) <= 1


def is_not_a_browser(user_agent: str) -> bool:
    """Whether a library sent it."""
    return user_agent[:_LONGEST_NOT_BROWSER].lower().startswith(NOT_BROWSERS)
