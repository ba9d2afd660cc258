"""Elements of the authorization message: what of a share stands clear in the answer, and where it belongs.

The engine writes them to the same bytes where it makes the shares (native/src/sealing/share_elements.rs).
"""

from typing import Final

from enrichment.signals import Signals
from gateway.sharing.wire import make_writer

Elements = tuple[tuple[str, int], ...]
"""(target, field number) of what may stand in the message for an entry."""

ELEMENT_VALUE_CHARACTERS: Final = 64
"""Longest value of an element: private fields of authorization messages hold little."""

_ELEMENT: Final = make_writer([(1, "text"), (2, "text")], 5)
"""v1.MessageElement, in its decision."""


def elements_of(elements: Elements, known: Signals, mask: int) -> bytes:
    """The elements of the fields of a mask, as fields of their decision."""
    return b"".join(
        [
            _ELEMENT.write((target, element_value(known, number)))
            for target, number in elements
            if mask >> number & 1
        ]
    )


def element_value(known: Signals, number: int) -> str:
    """Text of a field's value in an element of the authorization message."""
    value = known.value(number)
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text[:ELEMENT_VALUE_CHARACTERS]
