"""Card numbers are a type whose text is masked: no log, error or f-string can show one by accident."""

from typing import Any, Final

from msgspec import Struct

MASK: Final = "<masked>"


class MaskedStruct(Struct, eq=False, gc=False):
    """A record of a payment on its way, made in a third of a dataclass's time. Its text shows no field.

    Untracked by the collector: what is made of it must hold no cycle.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({MASK})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Pan:
    """Digits of a PAN or of a network token. `digits()` is the one way to them.

    >>> Pan("9010010100000007")
    Pan(<masked>)
    >>> f"{Pan('9010010100000007')}"
    Traceback (most recent call last):
    TypeError: a card number is never formatted; call digits() where it must leave
    """

    __slots__ = ("_digits",)

    def __init__(self, digits: str) -> None:
        self._digits = digits

    def digits(self) -> str:
        """The clear digits. Hand them to a MAC or a sealed body and nothing else."""
        return self._digits

    def __repr__(self) -> str:
        return f"Pan({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        raise TypeError("a card number is never formatted; call digits() where it must leave")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pan) and other._digits == self._digits

    def __hash__(self) -> int:
        return hash(self._digits)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        raise TypeError("a card number is never pickled or copied")
