"""Trees and proofs equal the recursive definitions of RFC 6962, section 2.1, as they stand there."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.merkle import (
    Frontier,
    ProofInvalid,
    Tree,
    leaf_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

SIZES = st.integers(min_value=1, max_value=70)


def split(n: int) -> int:
    """The largest power of two smaller than `n`."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(data: list[bytes]) -> bytes:
    if not data:
        return sha256(b"").digest()
    if len(data) == 1:
        return sha256(b"\x00" + data[0]).digest()
    k = split(len(data))
    return sha256(b"\x01" + mth(data[:k]) + mth(data[k:])).digest()


def path(m: int, data: list[bytes]) -> list[bytes]:
    if len(data) == 1:
        return []
    k = split(len(data))
    if m < k:
        return [*path(m, data[:k]), mth(data[k:])]
    return [*path(m - k, data[k:]), mth(data[:k])]


def subproof(m: int, data: list[bytes], whole: bool) -> list[bytes]:
    if m == len(data):
        return [] if whole else [mth(data)]
    k = split(len(data))
    if m <= k:
        return [*subproof(m, data[:k], whole), mth(data[k:])]
    return [*subproof(m - k, data[k:], False), mth(data[:k])]


def leaves(size: int) -> list[bytes]:
    return [b"%d" % number for number in range(size)]


@given(size=st.integers(min_value=0, max_value=70))
def test_heads_equal_the_recursive_definition(size: int) -> None:
    data = leaves(size)
    hashes = [leaf_hash(one) for one in data]
    assert tree_root(hashes) == Tree(hashes).root() == mth(data)
    kept = Frontier.unpacked(0, b"")
    for one in hashes:
        kept = Frontier.unpacked(kept.size, kept.packed())
        kept.append(one)
    assert kept.root() == mth(data)


@given(size=SIZES, draw=st.data())
def test_inclusion_proofs_equal_the_recursive_definition_and_hold_for_one_leaf_alone(
    size: int, draw: st.DataObject
) -> None:
    index = draw.draw(st.integers(min_value=0, max_value=size - 1))
    other = draw.draw(st.integers(min_value=0, max_value=size - 1))
    data = leaves(size)
    tree = Tree([leaf_hash(one) for one in data])
    proof = tree.inclusion(index)
    assert proof == path(index, data)
    verify_inclusion(leaf_hash(data[index]), index, size, proof, mth(data))
    if other != index:
        for leaf, claimed in ((data[other], index), (data[index], other)):
            try:
                verify_inclusion(leaf_hash(leaf), claimed, size, proof, mth(data))
            except ProofInvalid:
                continue
            raise AssertionError("a proof holds for another leaf or place")


@given(size=SIZES, draw=st.data())
def test_consistency_proofs_equal_the_recursive_definition_and_hold_for_two_heads_alone(
    size: int, draw: st.DataObject
) -> None:
    first = draw.draw(st.integers(min_value=1, max_value=size))
    data = leaves(size)
    proof = Tree([leaf_hash(one) for one in data]).consistency(first)
    assert proof == subproof(first, data, True)
    verify_consistency(first, size, mth(data[:first]), mth(data), proof)
    for old, new in ((mth([*data[: first - 1], b"x"]), mth(data)), (mth(data[:first]), mth([*data, b"x"]))):
        try:
            verify_consistency(first, size, old, new, proof)
        except ProofInvalid:
            continue
        raise AssertionError("a proof holds for another head")
