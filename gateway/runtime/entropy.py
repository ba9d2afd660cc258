"""Randomness comes in through `Entropy`, so that a seed can replay a run."""

import hashlib
import os
from typing import Protocol


class Entropy(Protocol):
    """Source of random bytes for keys, nonces and ids."""

    def bytes(self, n: int) -> bytes:
        """`n` random bytes."""
        ...


class SystemEntropy:
    """The operating system's generator. The only one fit for keys."""

    __slots__ = ()

    def bytes(self, n: int) -> bytes:
        return os.urandom(n)


class UnsafeSeededEntropy:
    """Repeatable bytes from a seed, for simulations. Unsafe: whoever knows the seed knows the keys."""

    __slots__ = ("_counter", "_seed")

    def __init__(self, seed: int) -> None:
        self._seed = str(seed).encode()
        self._counter = 0

    def bytes(self, n: int) -> bytes:
        self._counter += 1
        return hashlib.shake_256(b"%s:%d" % (self._seed, self._counter)).digest(n)
