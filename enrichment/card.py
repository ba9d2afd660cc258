"""Reads the card of a request: exactly one identifier, or its PAR alone, and what may be said of it."""

from typing import Any, Final

from enrichment import formats
from enrichment.formats import (
    INCONSISTENT,
    MALFORMED,
    MISSING,
    StringField,
    StringGroup,
    known_enum,
    text,
)
from enrichment.masked import Pan
from enrichment.payment import Issue

MAX_FUNDING: Final = 3  # highest number of v1.Funding

CARD = StringGroup(
    "card.",
    StringField("pan", formats.digits(13, 19)),
    StringField("network_token", formats.digits(13, 19)),
    StringField("card_ref", formats.ID),
    StringField("iin", formats.IIN),
    StringField("last4", formats.digits(4)),
    StringField("last4_source", text(16)),
    StringField("par", formats.PAR),
)

# ISO/IEC 7812-1 annex B: from the right, every second digit counts double, its digits summed.
_DOUBLED: Final = bytes(
    (2 * (byte - 48) - (9 if byte > 52 else 0)) if 48 <= byte <= 57 else 0 for byte in range(256)
)


def luhn_valid(number: str) -> bool:
    """Whether the last of the ASCII digits is the check digit of the others.

    >>> luhn_valid("4111111111111111"), luhn_valid("4111111111111112")
    (True, False)
    """
    data = number.encode()
    plain = data[-1::-2]
    return (sum(plain) - 48 * len(plain) + sum(data[-2::-2].translate(_DOUBLED))) % 10 == 0


def truncated_iin(number: str) -> str:
    """The leading digits that may stand beside the last four: 8 of 16 or more, else 6 (PCI SSC FAQ 1091).

    >>> truncated_iin("9010010100000007"), truncated_iin("371449635398431")
    ('90100101', '371449')
    """
    return number[:8] if len(number) >= 16 else number[:6]


def read_card(message: Any, issues: list[Issue], refusals: list[Issue]) -> tuple[Any, ...] | None:
    """Card fields in the order of Payment; None with a refusal when no card can be made of them."""
    found: list[Issue] = []
    pan, token, card_ref, iin, last4, last4_source, par = CARD.read(message, found, refusals)
    named = bool(pan or token or card_ref)
    if found:
        # What identifies the card is required; the rest is optional unless nothing else gives IIN and last4.
        for issue in found:
            required = (
                issue[0] in _IDENTIFIERS
                or (not pan and issue[0] in _TRUNCATED)
                or (not named and issue[0] == _PAR)
            )
            (refusals if required else issues).append(issue)
    if pan:
        if not luhn_valid(pan):
            refusals.append(("card.pan", MALFORMED, "send 13 to 19 digits with a valid check digit"))
            return None
        if (iin and pan[: len(iin)] != iin) or (last4 and pan[-4:] != last4):
            issues.append(("card.iin", INCONSISTENT, "leave out iin and last4 where pan is given"))
        iin, last4 = pan[:8], pan[-4:]
    elif not named and (not par or any(issue[0] in _IDENTIFIERS for issue in found)):
        if not any(issue[0] in _IDENTIFIERS or issue[0] == _PAR for issue in found):
            refusals.append(
                ("card", MISSING, "send exactly one of pan, network_token, card_ref; or par alone")
            )
        return None
    elif not (iin and last4):
        refused = {issue[0] for issue in refusals}
        for path, value, mend in (("card.iin", iin, "6 or 8 leading"), ("card.last4", last4, "last 4")):
            if not value and path not in refused:
                refusals.append((path, MISSING, f"send the {mend} digits where there is no pan"))
        return None
    funding = message.funding
    if not 0 <= funding <= MAX_FUNDING:
        funding = known_enum("card.funding", funding, MAX_FUNDING, issues)
    return (
        Pan(pan) if pan else None,
        Pan(token) if token else None,
        card_ref,
        iin,
        truncated_iin(pan) if pan else iin,
        last4,
        last4_source,
        par,
        funding,
        message.commercial,
    )


_IDENTIFIERS: Final = frozenset({"card.pan", "card.network_token", "card.card_ref"})
_PAR: Final = "card.par"
_TRUNCATED: Final = frozenset({"card.iin", "card.last4"})
