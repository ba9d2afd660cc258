"""A JSON object as a compact JWS (RFC 7515): heads of the ledger, operators' tokens, certificates, keys.

`typ` says which of them it is, so that none passes for another (RFC 8725 section 3.11).
"""

from collections.abc import Mapping
from json import JSONEncoder

from gateway.sealing import base64url
from gateway.sealing.keys import Signer

encode_json = JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=True, allow_nan=False).encode


def signed_json(signer: Signer, typ: str, claims: Mapping[str, object]) -> bytes:
    """The compact JWS over `claims`, names sorted."""
    header = {"alg": str(signer.alg), "kid": signer.kid, "typ": typ}
    signing_input = b".".join(base64url.encode(encode_json(one).encode()) for one in (header, claims))
    return signing_input + b"." + base64url.encode(signer.sign(signing_input))
