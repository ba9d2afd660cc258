"""Receipts as a token signed by the issuer: its word, which it cannot deny later.

    signed = signed_receipts(receipts, key=sign_key(private_jwk), recipient_id="northgate-bank", iss=iss)
    await stub.ReportReceipts(feed_pb2.ReportReceiptsRequest(signed=signed), metadata=..., timeout=10)

`key` is one of the signing keys of the enrolment, `iss` the network's name. A token is good once and for five
minutes: sign anew for each try. What was recorded before is known by its `receipt_id`.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from issuernetwork.tokens import SignKey
from issuernetwork.v1 import feed_pb2 as v1

RECEIPTS_TYPE: Final = "ein-receipts+jwt"
RECEIPTS_MAX: Final = 1000
"""Of one report (feed.proto)."""


def signed_receipts(
    receipts: Sequence[v1.Receipt],
    *,
    key: SignKey,
    recipient_id: str,
    iss: str,
    now_s: Callable[[], float] = time.time,
) -> str:
    """The token for `ReportReceiptsRequest.signed`. Raises ValueError for none, or for too many."""
    if not 1 <= len(receipts) <= RECEIPTS_MAX:
        raise ValueError(f"receipts: 1 to {RECEIPTS_MAX} in one report")
    claims = {
        "iss": recipient_id, "aud": iss, "iat": int(now_s()), "jti": secrets.token_hex(16),
        "receipts": [_claims(one) for one in receipts],
    }  # fmt: skip
    return key.sign(RECEIPTS_TYPE, claims)


def _claims(receipt: v1.Receipt) -> dict[str, Any]:
    """By the names of the contract, enumerations by their words; what is not set is left out."""
    found: dict[str, Any] = {"receipt_id": receipt.receipt_id, "share_id": receipt.share_id}
    if receipt.use:
        found["use"] = v1.ReceiptUse.Name(receipt.use).removeprefix("RECEIPT_USE_")
    if receipt.match:
        found["match"] = v1.MatchResult.Name(receipt.match).removeprefix("MATCH_RESULT_")
    for name in ("received_at_ms", "decided_at_ms"):
        if value := getattr(receipt, name):
            found[name] = value
    if receipt.HasField("approved"):
        found["approved"] = receipt.approved
    return found
