"""Signed heads: an RFC 6962 root over where all chains end, as a JWS that anyone with our JWK Set can check.

A head names the hash of the head before it, so that heads are a chain of their own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from gateway.ledger.entry import Tail, encode_json
from gateway.ledger.merkle import HASH_BYTES, leaf_hash, tree_root
from gateway.records.errors import GatewayError
from gateway.sealing.keys import Signer
from gateway.sealing.signed_json import signed_json

HEAD_TYPE: Final = "ein-ledger-head+jwt"
"""Header `typ` (RFC 8725 3.11): no other token of ours passes for a head, and no head for another token."""

FIRST_PREVIOUS: Final = sha256(b"ein-ledger-heads-v1\n").digest()
"""Stands for the head before the first."""


class HeadInvalid(GatewayError):
    """A line is no head that we signed."""

    code = "ledger_head_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainHead:
    """Where a chain ends: its size, the hash of its last entry, the root of the tree over its entries."""

    chain: str
    size: int
    last_hash: bytes
    root: bytes

    def leaf(self) -> bytes:
        """Its leaf in the tree of the head."""
        return leaf_hash(encode_json(self.as_json()).encode())

    def as_json(self) -> dict[str, object]:
        return {
            "chain": self.chain,
            "last": self.last_hash.hex(),
            "root": self.root.hex(),
            "size": self.size,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a head says. `number` rises by one from 1; `size` counts the entries of all chains."""

    number: int
    at_ms: int
    previous: bytes
    chains: tuple[ChainHead, ...]

    @property
    def size(self) -> int:
        return sum(chain.size for chain in self.chains)

    @property
    def root(self) -> bytes:
        """RFC 6962 root over the chain heads, in the order of their names."""
        return tree_root([chain.leaf() for chain in self.chains])

    def as_json(self, iss: str) -> dict[str, object]:
        return {
            "at_ms": self.at_ms,
            "chains": [chain.as_json() for chain in self.chains],
            "iss": iss,
            "number": self.number,
            "previous": self.previous.hex(),
            "root": self.root.hex(),
            "size": self.size,
        }


def chain_heads(tails: Mapping[str, Tail]) -> tuple[ChainHead, ...]:
    """Where chains end now, those that are empty left out."""
    return tuple(
        ChainHead(chain=name, size=tail.size, last_hash=tail.last_hash, root=tail.tree.root())
        for name, tail in sorted(tails.items())
        if tail.size
    )


def signed_line(head: Head, signer: Signer, *, iss: str) -> bytes:
    """The head as a line of the file: its claims to be read, and the compact JWS over the very same."""
    claims = head.as_json(iss)
    jws = signed_json(signer, HEAD_TYPE, claims)
    return encode_json({**claims, "jws": jws.decode("ascii")}).encode()


def line_hash(line: bytes) -> bytes:
    """What the next head names as `previous`."""
    return sha256(line).digest()


def next_head(tails: Mapping[str, Tail], *, last_number: int, last_line: bytes | None, at_ms: int) -> Head:
    """The head after the last one."""
    return Head(
        number=last_number + 1,
        at_ms=at_ms,
        previous=FIRST_PREVIOUS if last_line is None else line_hash(last_line),
        chains=chain_heads(tails),
    )


def _hash(text: object) -> bytes:
    found = bytes.fromhex(text) if isinstance(text, str) else b""
    if len(found) != HASH_BYTES:
        raise ValueError("not a hash")
    return found


def parse_claims(document: Mapping[str, Any]) -> Head:
    """A head from its claims. Raises HeadInvalid."""
    try:
        chains = [
            ChainHead(
                chain=str(one["chain"]),
                size=int(one["size"]),
                last_hash=_hash(one["last"]),
                root=_hash(one["root"]),
            )
            for one in document["chains"]
        ]
        head = Head(
            number=int(document["number"]),
            at_ms=int(document["at_ms"]),
            previous=_hash(document["previous"]),
            chains=tuple(chains),
        )
        root = _hash(document["root"])
    except (ValueError, KeyError, TypeError):
        raise HeadInvalid("a head lacks a member, or has one of another form") from None
    if head.root != root or head.size != document.get("size"):
        raise HeadInvalid("root or size of a head is not that of its chains")
    return head


def parse_line(line: bytes) -> tuple[dict[str, Any], bytes]:
    """Claims as they can be read on the line, and the compact JWS. Raises HeadInvalid."""
    try:
        claims = json.loads(line)
        jws = claims.pop("jws").encode("ascii")
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        raise HeadInvalid("a line of the heads is not the JSON that we write") from None
    return claims, jws


def number_of(line: bytes) -> int:
    """Number of the head on a line of ours. Raises HeadInvalid."""
    return parse_claims(parse_line(line)[0]).number
