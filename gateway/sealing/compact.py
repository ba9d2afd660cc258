"""A compact JWS (RFC 7515 7.1) of a header and the parts of a payload, in one call where the signer can."""

from collections.abc import Callable
from functools import partial
from json import JSONEncoder
from typing import Protocol

from gateway.runtime.native import engines
from gateway.sealing import base64url
from gateway.sealing.keys import Signer

encode_json = JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, check_circular=False, allow_nan=False
).encode

Parts = tuple[bytes | str | int, ...]
"""Of a payload: bytes as they are, all else as JSON."""


Compact = Callable[[bytes, Parts], bytes]
"""Of the first segment of a token and the parts of its payload, the token."""


class WholeSigner(Signer, Protocol):
    """A signer that makes a whole token quicker than `written`, `sign` and `joined` do. No signer has to."""

    compact: Compact
    """What `compact_by_twin` makes of the same; the signature is another each time. Raises as `sign`."""


def written_by_twin(head: bytes, parts: Parts) -> bytes:
    """`head`, a dot, and in base64url what the parts come to."""
    payload = [part if isinstance(part, bytes) else encode_json(part).encode() for part in parts]
    return base64url.joined_by_twin(head, b"".join(payload))


written: Callable[[bytes, Parts], bytes] = getattr(engines, "written", written_by_twin)
"""By the engine where it is built (native/src/sealing/signature.rs)."""


def compact_by_twin(signer: Signer, head: bytes, parts: Parts) -> bytes:
    """The compact JWS: `head` is its first segment. By any signer, of any algorithm."""
    signing_input = written(head, parts)
    return base64url.joined(signing_input, signer.sign(signing_input))


def compact(signer: Signer | WholeSigner, head: bytes, parts: Parts) -> bytes:
    """As above, by the signer itself where it can."""
    whole: Compact | None = getattr(signer, "compact", None)
    return compact_by_twin(signer, head, parts) if whole is None else whole(head, parts)


def compact_of(signer: Signer | WholeSigner) -> Compact:
    """How this signer's tokens are made, for who keeps it with the signer."""
    whole: Compact | None = getattr(signer, "compact", None)
    return partial(compact_by_twin, signer) if whole is None else whole
