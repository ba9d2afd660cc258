"""Shares of the golden vectors under profile A: signed, and not sealed."""

from typing import Any

from gateway.sealing.body import clear_members
from gateway.sealing.keys import SignatureAlgorithm
from tests.vectors.golden_shares import decoded, signed_share

PROGRAM = "merchant-notes"
# Of the merchant alone: it says nothing of a card.
FIELDS: dict[str, Any] = {"mcc": "5411", "merchant_name": "Zoë's Café", "merchant_country": "CH"}


def clear() -> list[dict[str, Any]]:
    """One of every signature."""
    return [_vector(number, alg) for number, alg in enumerate(SignatureAlgorithm, start=1)]


def _vector(stream_seq: int, alg: SignatureAlgorithm) -> dict[str, Any]:
    share_id = f"golden-clear-{stream_seq}"
    token = signed_share(
        alg, clear_members(1, FIELDS), share_id,
        program=PROGRAM, evaluation_id=share_id, stream_seq=stream_seq, clear=True,
    )  # fmt: skip
    header, claims = (decoded(segment) for segment in token.split(b".")[:2])
    return {"name": str(alg), "signed_set": token.decode(), "header": header, "claims": claims}
