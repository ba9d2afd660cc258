"""base64url without padding (RFC 7515 2), fast, and strict on the way in."""

from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Callable

from gateway.runtime.native import engines

_FROM_URL = bytes.maketrans(b"-_", b"+/")


def encode(data: bytes) -> bytes:
    """Unpadded base64url of `data`."""
    text = b2a_base64(data, newline=False)
    return text.replace(b"+", b"-").replace(b"/", b"_").rstrip(b"=")


def joined_by_twin(head: bytes, data: bytes) -> bytes:
    """`head`, a dot, and `data` in base64url: a segment more of a compact JOSE object."""
    return b"%b.%b" % (head, encode(data))


joined: Callable[[bytes, bytes], bytes] = getattr(engines, "joined", joined_by_twin)
"""By the engine where it is built (native/src/sealing/signature.rs)."""


def decode(text: bytes) -> bytes:
    """Bytes behind unpadded base64url. Raises ValueError for padding, foreign letters and loose bits."""
    try:
        data = a2b_base64(text.translate(_FROM_URL) + b"=" * (-len(text) % 4), strict_mode=True)
    except Error as fault:
        raise ValueError("not base64url") from fault
    # One text for each value: bits left over after the last byte have to be zero, and "+/" are no letters.
    if encode(data) != text:
        raise ValueError("not base64url")
    return data
