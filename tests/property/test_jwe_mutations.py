"""Mutated tokens: none is taken, each is refused by the one typed error."""

import base64
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sealing.keys import SignatureAlgorithm
from issuernetwork.receiver import RefusedToken, Share
from tests.unit.receiver.network import WRAPS, Network, signing_key

MUTANTS = int(os.environ.get("EIN_MUTANTS", "4000"))
SEED = int(os.environ.get("EIN_SEED", "1"))
_LETTERS = b'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \x00\xff{}"'


def _flip(token: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(token))
    token[at] = draw.choice(_LETTERS)


def _cut(token: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(token))
    del token[at : at + draw.choice((1, 2, 4, 43, 500))]


def _double(token: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(token))
    token[at:at] = token[at : at + draw.choice((1, 4, 40))]


def _insert(token: bytearray, draw: random.Random) -> None:
    token.insert(draw.randrange(len(token)), draw.choice(_LETTERS))


def _swap_parts(token: bytearray, draw: random.Random) -> None:
    parts = bytes(token).split(b".")
    draw.shuffle(parts)
    token[:] = b".".join(parts)


def _flip_a_bit_inside(token: bytearray, draw: random.Random) -> None:
    """A bit of the decoded part, so that the text stays good base64url."""
    parts = bytes(token).split(b".")
    at = draw.randrange(len(parts))
    try:
        data = bytearray(base64.urlsafe_b64decode(parts[at] + b"=" * (-len(parts[at]) % 4)))
    except ValueError:
        return
    if data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        parts[at] = base64.urlsafe_b64encode(data).rstrip(b"=")
        token[:] = b".".join(parts)


_MUTATIONS = (_flip, _cut, _double, _insert, _swap_parts, _flip_a_bit_inside)


def mutant(token: bytes, draw: random.Random) -> bytes:
    """`token` with one to three changes; never `token` itself."""
    while True:
        changed = bytearray(token)
        for _ in range(draw.choice((1, 1, 2, 3))):
            if changed:
                draw.choice(_MUTATIONS)(changed, draw)
        if bytes(changed) != token:
            return bytes(changed)


def _taken(network: Network, token: bytes) -> bool:
    try:
        network.receiver.open(token)
    except RefusedToken:
        return False
    return True


@pytest.mark.parametrize("alg", list(SignatureAlgorithm))
def test_no_mutated_token_is_taken(alg: SignatureAlgorithm) -> None:
    network = Network(signing=signing_key(alg))
    original = network.share()
    assert _taken(network, original)
    draw = random.Random(SEED)
    taken = [seed for seed in range(MUTANTS) if _taken(network, mutant(original, draw))]
    assert not taken, f"mutants of seed {SEED}: {taken[:5]}"


@pytest.mark.parametrize("wrap", WRAPS, ids=" ".join)
def test_no_mutated_ciphertext_is_taken_although_the_set_around_it_is_signed_by_us(
    wrap: tuple[str, str],
) -> None:
    network = Network(alg=wrap[0], curve=wrap[1])
    sealed = network.sealed()
    assert isinstance(network.receiver.open(network.share(sealed=sealed)), Share)
    draw = random.Random(SEED + 1)
    for number in range(MUTANTS // 4):
        changed = mutant(sealed, draw).replace(b"\xff", b"\x7f")
        if changed != sealed:
            assert not _taken(network, network.share(sealed=changed)), f"mutant {number} of seed {SEED + 1}"


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_bytes_of_any_kind_are_refused_by_the_typed_error(token: bytes | str) -> None:
    assert not _taken(_NETWORK, token)  # type: ignore[arg-type]


_NETWORK = Network()
