"""The example of RFC 6962, section 2.1.3, and the tree heads that its reference implementation publishes."""

import pytest

from gateway.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofInvalid,
    Tree,
    leaf_hash,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

# Leaves and tree heads of sizes 1 to 8 as the reference implementation of Certificate Transparency has them.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
HASHES = [leaf_hash(data) for data in LEAVES]


def test_the_tree_heads_are_those_that_the_reference_implementation_publishes() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for size, root in enumerate(ROOTS, start=1):
        assert tree_root(HASHES[:size]).hex() == root
        assert Tree(HASHES[:size]).root().hex() == root


def names() -> dict[str, bytes]:
    """The nodes of the tree of seven leaves, by the letters of section 2.1.3."""
    a, b, c, d, e, f, j = HASHES[:7]
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    return {"a": a, "b": b, "c": c, "d": d, "e": e, "f": f, "j": j, "g": g, "h": h, "i": i,
            "k": node_hash(g, h), "l": node_hash(i, j)}  # fmt: skip


def test_audit_paths_are_those_of_the_example_of_the_rfc() -> None:
    node, tree = names(), Tree(HASHES[:7])
    assert tree.root() == node_hash(node["k"], node["l"])
    for index, path in ((0, "bhl"), (3, "cgl"), (4, "fjk"), (6, "ik")):
        assert tree.inclusion(index) == [node[letter] for letter in path]


def test_consistency_proofs_are_those_of_the_example_of_the_rfc() -> None:
    node, tree = names(), Tree(HASHES[:7])
    for first, proof in ((3, "cdgl"), (4, "l"), (6, "ijk"), (7, "")):
        assert tree.consistency(first) == [node[letter] for letter in proof]


@pytest.mark.parametrize("place", range(3))
def test_a_path_of_which_any_hash_is_changed_proves_nothing(place: int) -> None:
    tree = Tree(HASHES[:7])
    path = tree.inclusion(0)
    verify_inclusion(HASHES[0], 0, 7, path, tree.root())
    path[place] = leaf_hash(b"another")
    with pytest.raises(ProofInvalid):
        verify_inclusion(HASHES[0], 0, 7, path, tree.root())


def test_a_proof_for_another_index_size_or_length_is_refused() -> None:
    tree = Tree(HASHES[:7])
    path, root = tree.inclusion(2), tree.root()
    for index, size, given in (
        (3, 7, path),
        (2, 2, path),
        (7, 7, path),
        (2, 7, path[:-1]),
        (2, 7, [*path, root]),
    ):
        with pytest.raises(ProofInvalid):
            verify_inclusion(HASHES[2], index, size, given, root)


def test_a_tree_that_was_rewritten_is_not_consistent_with_what_it_was() -> None:
    before = tree_root(HASHES[:3])
    rewritten = Tree([*HASHES[:2], leaf_hash(b"another"), *HASHES[3:7]])
    with pytest.raises(ProofInvalid):
        verify_consistency(3, 7, before, rewritten.root(), rewritten.consistency(3))
    for proof in ([], Tree(HASHES[:7]).consistency(4), [before] * 66):
        with pytest.raises(ProofInvalid):
            verify_consistency(3, 7, before, Tree(HASHES[:7]).root(), proof)


def test_a_frontier_that_was_kept_goes_on_where_it_was() -> None:
    tree = Frontier()
    for leaf in HASHES[:5]:
        tree.append(leaf)
    again = Frontier.unpacked(5, tree.packed())
    for leaf in HASHES[5:]:
        again.append(leaf)
    assert again.root().hex() == ROOTS[7]
    with pytest.raises(ValueError, match="do not fit"):
        Frontier.unpacked(6, tree.packed() + b"x")
