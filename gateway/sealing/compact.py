"""A compact JWS (RFC 7515 7.1) of a header and a payload, in one call where the signer can.

What is the same in many tokens is kept in a template: writing one takes the values that change, and no more.
"""

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

Values = tuple[bytes | str | int, ...]
"""Of a token, in the order of the gaps: bytes as they are, all else as JSON."""


class Template(Protocol):
    """The first segment of a token, and of its payload what stands around the values."""

    def written(self, values: Values) -> bytes:
        """What is signed: the first segment, a dot, and the payload in base64url. A value for each gap, or it
        raises ValueError."""
        ...


class TwinTemplate:
    """Implements `Template`."""

    __slots__ = ("_chunks", "_head")

    def __init__(self, head: bytes, chunks: tuple[bytes, ...]) -> None:
        """`chunks`, at least one: a value stands between each two."""
        if not chunks:
            raise ValueError("a payload has at least one chunk")
        self._head, self._chunks = head, chunks

    def __repr__(self) -> str:
        return f"Template(gaps={len(self._chunks) - 1})"

    def written(self, values: Values) -> bytes:
        first, *others = self._chunks
        if len(values) != len(others):
            raise ValueError("a value for each gap")
        payload = [first]
        for value, chunk in zip(values, others, strict=True):
            payload += (value if isinstance(value, bytes) else encode_json(value).encode(), chunk)
        return base64url.joined_by_twin(self._head, b"".join(payload))


make_template: Callable[[bytes, tuple[bytes, ...]], Template] = getattr(engines, "Template", TwinTemplate)
"""By the engine where it is built (native/src/sealing/template.rs)."""

Compact = Callable[[Template, Values], bytes]
"""The token of a template, which `make_template` made, and its values."""


class WholeSigner(Signer, Protocol):
    """A signer that makes a whole token quicker than `written`, `sign` and `joined` do. No signer has to."""

    compact: Compact
    """What `compact_by_twin` makes of the same; the signature is another each time. Raises as `sign`."""


def compact_by_twin(signer: Signer, template: Template, values: Values) -> bytes:
    """The compact JWS, by any signer, of any algorithm."""
    signing_input = template.written(values)
    return base64url.joined(signing_input, signer.sign(signing_input))


def compact(signer: Signer | WholeSigner, template: Template, values: Values) -> bytes:
    """As above, by the signer itself where it can."""
    whole: Compact | None = getattr(signer, "compact", None)
    return compact_by_twin(signer, template, values) if whole is None else whole(template, values)


def compact_of(signer: Signer | WholeSigner) -> Compact:
    """How this signer's tokens are made, for who keeps it with the signer."""
    whole: Compact | None = getattr(signer, "compact", None)
    return partial(compact_by_twin, signer) if whole is None else whole
