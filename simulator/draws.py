"""Seeded draws by name: the same seed and name give the same number, in any order and any process."""

from hashlib import blake2b

_SCALE = 1 / 2**53
"""A double holds 53 bits of mantissa: the draw is uniform on [0, 1) and never rounds up to 1."""


def draw(seed: int, *names: object) -> float:
    """A uniform number in [0, 1) that belongs to these names."""
    text = "\x1f".join(str(name) for name in (seed, *names))
    return (int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 11) * _SCALE


def pick(seed: int, below: int, *names: object) -> int:
    """A uniform whole number in 0 .. below - 1 that belongs to these names."""
    return int(draw(seed, *names) * below)
