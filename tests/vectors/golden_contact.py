"""Contact data of the golden vectors: what is given, the form that is hashed, and the hash."""

from typing import Any

from gateway.sealing.pseudonyms_macs import ContactHashes
from issuernetwork.contact import normal_email, normal_phone
from tests.vectors.golden_token_keys import EPOCH, unsafe_token_key

# Given, why it is here, and whether a request may hold it: receivers bring their own data into form too.
EMAILS: tuple[tuple[str, str, bool], ...] = (
    ("jane.doe@mail.example", "plain", True),
    ("Jane.Doe@Mail.EXAMPLE", "both parts in lower case", True),
    ("jane.doe+shop@mail.example", "a tag stays", True),
    ("janedoe@mail.example", "dots of the local part stay: this is another address", True),
    ("jane@bücher.example", "the domain in A-labels", True),
    ("jane@xn--bcher-kva.example", "the same domain, given in A-labels", True),
    ("jane@bu\u0308cher.example", "the same domain, decomposed: NFC", True),
    ("jane@BÜCHER.example", "the same domain in capitals", True),
    ("jane@straße.example", "sharp s is a letter of its own in IDNA 2008", True),
    ("ZOË@mail.example", "a local part beyond ASCII in lower case", True),
    ("zoe\u0308@mail.example", "the same, decomposed: NFC", True),
    ("jane@\u2603\ufe0f.example", "a domain that IDNA 2008 does not know stays, in NFC and lower case", True),
    (" jane.doe@mail.example\t", "blanks around it go", False),
    ("\u2003jane@mail.example", "other blanks are part of it", True),
)
PHONES: tuple[tuple[str, str, bool], ...] = (
    ("+14155550123", "E.164", True),
    ("+1 (415) 555-0123", "separators of RFC 3966 and blanks go", False),
    ("+1.415.555.0123", "the same number", False),
    ("+442079460958", "another country", True),
)
REFUSED_EMAILS = ("", "jane", "@mail.example", "jane@")
REFUSED_PHONES = (
    "",
    "4155550123",
    "+44 (0)20 7946 0958",
    "0014155550123",
    "+0123456789",
    "+1415555012345678",
    "+1x4155550123",
)


def contact() -> dict[str, Any]:
    """The document, always the same."""
    hashes = ContactHashes(unsafe_token_key(EPOCH).secret)
    return {
        "kid": f"golden-bank.{EPOCH}",
        "emails": [
            {
                "name": why, "given": given, "request": request, "normal": normal_email(given),
                "email_hash": hashes.contact_hash("email_hash", normal_email(given)),
            }
            for given, why, request in EMAILS
        ],
        "phones": [
            {
                "name": why, "given": given, "request": request, "normal": normal_phone(given),
                "phone_hash": hashes.contact_hash("phone_hash", normal_phone(given)),
            }
            for given, why, request in PHONES
        ],
        "refused_emails": list(REFUSED_EMAILS),
        "refused_phones": list(REFUSED_PHONES),
    }  # fmt: skip
