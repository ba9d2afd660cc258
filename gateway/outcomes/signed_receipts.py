"""Receipts that came as a signed token: what the token has to be, and the receipts in it. Pure.

The token is the recipient's word under its own key: who has it can show it to anybody later.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.sealing.inbound import Kind, TokenRefused
from issuernetwork.v1 import feed_pb2 as v1

RECEIPTS_TYPE: Final = "ein-receipts+jwt"

RECEIPTS_BYTES_MAX: Final = 384 * 1024
"""A thousand receipts, the most that one call reports, with the longest ids have 350 kB as base64url."""

SIGNED_RECEIPTS: Final = Kind(
    name="receipts", types=frozenset((RECEIPTS_TYPE,)), bytes_max=RECEIPTS_BYTES_MAX
)

_TEXTS: Final = ("receipt_id", "share_id")
_TIMES_MS: Final = ("received_at_ms", "decided_at_ms")
_UNKNOWN: Final = 0x7FFF_FFFF
"""No value of an enumeration of ours: what is checked next says so of the receipt."""


def receipts_of(claims: Mapping[str, Any]) -> list[v1.Receipt]:
    """The receipts of a token whose signature holds, not checked further. Raises TokenRefused.

    Members of a later contract are passed over, as they are where nothing is signed.
    """
    given = claims.get("receipts")
    if not isinstance(given, list):
        raise TokenRefused("claims")
    return [_receipt(one) for one in given]


def _receipt(given: object) -> v1.Receipt:
    if not isinstance(given, Mapping):
        raise TokenRefused("claims")
    found = v1.Receipt(
        use=_number(v1.ReceiptUse, "RECEIPT_USE_", given.get("use")),
        match=_number(v1.MatchResult, "MATCH_RESULT_", given.get("match")),
    )
    for name in _TEXTS:
        value = given.get(name, "")
        if not isinstance(value, str) or not value.isascii():
            raise TokenRefused("claims")
        setattr(found, name, value)
    for name in _TIMES_MS:
        value = given.get(name, 0)
        if type(value) is not int or not 0 <= value < 1 << 63:
            raise TokenRefused("claims")
        setattr(found, name, value)
    approved = given.get("approved")
    if approved is not None:
        if not isinstance(approved, bool):
            raise TokenRefused("claims")
        found.approved = approved
    return found


def _number(words: Any, prefix: str, given: object) -> Any:
    """The number behind a word as the contract has it, without its prefix; 0 where there is none."""
    if given is None:
        return 0
    if not isinstance(given, str):
        raise TokenRefused("claims")
    return dict(words.items()).get(prefix + given, _UNKNOWN)
