"""Merkle hash trees of RFC 6962, section 2.1: SHA-256, a leaf under 0x00, a node under 0x01."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from gateway.records.errors import GatewayError

HASH_BYTES = 32
LEAF = b"\x00"
NODE = b"\x01"

EMPTY_ROOT = sha256(b"").digest()
"""Head of a tree without leaves."""

MAX_PROOF_HASHES = 65
"""Of one proof: a tree of 2^64 leaves is 64 high, and a consistency proof has one more."""


class ProofInvalid(GatewayError):
    """A proof does not lead to the root that it is to prove."""

    code = "ledger_proof_invalid"


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf that holds `data`."""
    return sha256(LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a node over its two subtrees."""
    return sha256(NODE + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """A tree that only grows: the roots of its complete subtrees, largest first, one a bit of `size`."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Adds a leaf by its hash: one more hash on the average."""
        peaks, rest = self.peaks, self.size
        while rest & 1:
            leaf = sha256(NODE + peaks.pop() + leaf).digest()
            rest >>= 1
        peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The tree head as of now."""
        if not self.peaks:
            return EMPTY_ROOT
        found = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            found = node_hash(peak, found)
        return found

    def copy(self) -> "Frontier":
        return Frontier(self.size, list(self.peaks))

    def packed(self) -> bytes:
        """The peaks, to be kept with `size`."""
        return b"".join(self.peaks)

    @staticmethod
    def unpacked(size: int, packed: bytes) -> "Frontier":
        """What `packed` gave. Raises ValueError where it does not fit `size`."""
        if size < 0 or len(packed) != size.bit_count() * HASH_BYTES:
            raise ValueError("the peaks do not fit the size of the tree")
        return Frontier(size, [packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)])


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """The tree head over leaf hashes."""
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


class Tree:
    """A whole tree in memory, to make proofs from: twice its leaves."""

    __slots__ = ("_levels", "size")

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.size = len(leaves)
        self._levels = [list(leaves)]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            above = [node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
            # The last of an odd number goes up as it is: a subtree that is not complete stands alone.
            self._levels.append(above + below[len(above) * 2 :])

    def root(self) -> bytes:
        return self._levels[-1][0] if self.size else EMPTY_ROOT

    def inclusion(self, index: int) -> list[bytes]:
        """PATH(index, D[size]) of section 2.1.1: the siblings from the leaf to the root."""
        if not 0 <= index < self.size:
            raise ValueError("no leaf has this index")
        path = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                path.append(level[sibling])
            index >>= 1
        return path

    def consistency(self, first: int) -> list[bytes]:
        """PROOF(first, D[size]) of section 2.1.2: that the tree begins with its first `first` leaves."""
        if not 0 < first <= self.size:
            raise ValueError("a tree is consistent with 1 to all of its leaves")
        proof: list[bytes] = []
        begin, end, whole = 0, self.size, True
        # From the root down to the subtree that ends where the first tree does: each step leaves a half out.
        while first < end:
            half = begin + (1 << (end - begin - 1).bit_length() - 1)
            if first <= half:
                proof.append(self._over(half, end))
                end = half
            else:
                proof.append(self._over(begin, half))
                begin, whole = half, False
        if not whole:
            proof.append(self._over(begin, end))
        return proof[::-1]

    def _over(self, begin: int, end: int) -> bytes:
        """Root of a subtree: complete, or to the right edge of the tree."""
        level = (end - begin - 1).bit_length()
        return self._levels[level][begin >> level]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raises ProofInvalid unless `path` leads from leaf `index` to the root of `size` leaves."""
    if not 0 <= index < size or len(path) > MAX_PROOF_HASHES:
        raise ProofInvalid("the inclusion proof does not fit the size of the tree")
    found, last = leaf, size - 1
    for sibling in path:
        if last == 0:
            raise ProofInvalid("the inclusion proof is longer than the tree is high")
        if index & 1 or index == last:
            found = node_hash(sibling, found)
            # Where a subtree stands alone at the right edge, it has gone up without a sibling.
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        index, last = index >> 1, last >> 1
    if last or found != root:
        raise ProofInvalid("the inclusion proof does not lead to the root: the entry is not in this tree")


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> None:
    """Raises ProofInvalid unless the tree of `second` leaves begins with that of `first` leaves."""
    if not 0 < first <= second or len(proof) > MAX_PROOF_HASHES:
        raise ProofInvalid("the consistency proof does not fit the sizes of the trees")
    if first == second:
        if proof or first_root != second_root:
            raise ProofInvalid("two trees of one size need one root and no proof")
        return
    path = list(proof)
    if first & (first - 1) == 0:
        # The first tree is a complete subtree of the second: its root is known and left out.
        path.insert(0, first_root)
    if not path:
        raise ProofInvalid("the consistency proof is empty")
    index, last = first - 1, second - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofInvalid("the consistency proof is longer than the tree is high")
        if index & 1 or index == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        index, last = index >> 1, last >> 1
    if last or old != first_root or new != second_root:
        raise ProofInvalid("the consistency proof does not hold: the tree was not only added to")
