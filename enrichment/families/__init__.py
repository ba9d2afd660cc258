"""One small file a family of signals that a request itself has; what others know of it is in `providers`.

Each says which of its fields a payment has (`present`, a mask, and what is not fit to be shared), and how to
read each of them (`VALUES`, by field number): values are made for what is released, and for nothing else.
"""

from collections.abc import Callable
from typing import Any

from enrichment.payment import JsonValue

Values = dict[int, str | Callable[[Any], JsonValue]]
"""Field number to the attribute of the payment that is its value, or to a function that takes `Signals`."""


def bit(number: int) -> int:
    """The field's bit in a mask."""
    return 1 << number
