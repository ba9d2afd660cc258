"""base64url without padding (RFC 7515 2), fast, and strict on the way in."""

from binascii import Error, a2b_base64, b2a_base64

_FROM_URL = bytes.maketrans(b"-_", b"+/")


def encode(data: bytes) -> bytes:
    """Unpadded base64url of `data`."""
    text = b2a_base64(data, newline=False)
    return text.replace(b"+", b"-").replace(b"/", b"_").rstrip(b"=")


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
