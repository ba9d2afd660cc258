"""E-mail addresses and telephone numbers in the one form that they are hashed in. Both sides need the same.

Two people must never come to one form, so that nothing is done that only some mail services or countries do;
docs/reference/feed.md says what, and tests/vectors/golden/contact.json has vectors for other languages.
"""

import re
import unicodedata
from typing import Final

import idna

# E.164 6: a country code, which begins with no 0, and at most 15 digits in all; 7 as requests are checked.
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
# RFC 3966 5.1.1: visual separators, which mean nothing. Spaces beside them.
_SEPARATORS: Final = frozenset("-.()")
_TRUNK_ZERO: Final = "(0)"
# Of ASCII alone: other letters that show as nothing are part of what was given.
_SPACE: Final = " \t\r\n"


class BadContact(ValueError):
    """What has no form to be hashed in. The text never shows it."""


def normal_email(text: str) -> str:
    """An address in its form: trimmed, NFC, in lower case, its domain in A-labels. Raises BadContact.

    A domain that IDNA 2008 does not know stays as it is, in NFC and lower case. Dots and tags of the local
    part stay: only some mail services pass over them, and elsewhere they tell two people apart.

    >>> normal_email(" Jane.Doe+Shop@Bücher.Example ")
    'jane.doe+shop@xn--bcher-kva.example'
    """
    text = text.strip(_SPACE)
    # Once more behind the change of case, which may leave another form (Unicode Standard Annex 15).
    found = text.lower() if text.isascii() else _nfc(_nfc(text).lower())
    local, at, domain = found.rpartition("@")
    if not (local and at and domain):
        raise BadContact("an e-mail address has a local part and a domain")
    return found if domain.isascii() else f"{local}@{_a_labels(domain)}"


def normal_phone(text: str) -> str:
    """A number as E.164 writes it: a plus and digits alone. Raises BadContact where it is no such number.

    Spaces and the separators of RFC 3966 are left out. What needs a country to be read is refused: a number
    without a plus, and one with a trunk zero in brackets.

    >>> normal_phone("+1 (415) 555-0123")
    '+14155550123'
    """
    if _TRUNK_ZERO in text:
        raise BadContact("a telephone number is given without the zero that is dialled at home alone")
    found = "".join(one for one in text if one not in _SEPARATORS and one not in _SPACE)
    if not _E164.fullmatch(found):
        raise BadContact("a telephone number has a plus, the country code, and 7 to 15 digits in all")
    return found


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _a_labels(domain: str) -> str:
    """RFC 5891 4, after the mapping of UTS 46 that is not transitional."""
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError:  # idna.IDNAError is one
        return domain
