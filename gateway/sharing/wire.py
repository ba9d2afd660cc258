"""Protobuf written by parts: what is the same for many messages is serialized once and joined.

Parsing joined parts gives the message merged from them (protobuf encoding guide, "Last one wins"). Messages
of many fields are written by a table, by the engine where it is built and by its twin where not: setting the
fields of a protobuf message one by one takes ten times as long.
"""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Protocol

from gateway.runtime.native import engines

_SMALL = tuple(bytes([n]) for n in range(128))


def varint(number: int) -> bytes:
    """Base-128 varint of a number that is not negative."""
    if number < 128:
        return _SMALL[number]
    if number < 16_384:
        return bytes((number & 127 | 128, number >> 7))
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def tag(field_number: int) -> bytes:
    """Tag of a length-delimited field."""
    return varint(field_number << 3 | 2)


def occurrences_by_twin(number: int, message: bytes) -> list[bytes] | None:
    """Contents of a repeated field, where the message has no other field; else None."""
    contents: list[bytes] = []
    (wanted,) = tag(number)  # one byte: a number under 16
    at, end = 0, len(message)
    while at < end:
        if message[at] != wanted:
            return None
        at += 1
        size = shift = 0
        while at < end and shift < _SIZE_BITS:
            byte = message[at]
            at += 1
            size |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
        else:
            return None
        if size > end - at:
            return None
        contents.append(message[at : at + size])
        at += size
    return contents


_SIZE_BITS = 28  # no message is longer than its limit of 4 MiB


def nested_by_twin(outer: int, inner: int, contents: list[bytes]) -> bytes:
    """Each content as field `inner` of a message that is a field `outer`, one after the other."""
    outer_tag, inner_tag = tag(outer), tag(inner)
    return b"".join([delimited(outer_tag, delimited(inner_tag, content)) for content in contents])


occurrences: Callable[[int, bytes], list[bytes] | None] = (
    occurrences_by_twin if engines is None else engines.occurrences
)
nested: Callable[[int, int, list[bytes]], bytes] = nested_by_twin if engines is None else engines.nested


def delimited(field_tag: bytes, content: bytes) -> bytes:
    """One length-delimited field."""
    return b"%b%b%b" % (field_tag, varint(len(content)), content)


Fields = Sequence[tuple[int, str]]
"""(field number, kind): `text`, `bytes`, `varint`, `double`; repeated: `texts`, `chunks`; serialized: `raw`.
"""


class Writer(Protocol):
    """Writes one kind of message."""

    def write(self, values: tuple[Any, ...]) -> bytes:
        """The message with these values, one a field. What is 0 or empty is left out."""
        ...


class TwinWriter:
    """`Writer` in Python."""

    __slots__ = ("_fields", "_within")

    def __init__(self, fields: Fields, within: int | None = None) -> None:
        self._within = None if within is None else tag(within)
        self._fields = tuple(
            (varint(number << 3 | _WIRE_TYPES.get(kind, 2)), kind) for number, kind in fields
        )

    def write(self, values: tuple[Any, ...]) -> bytes:
        parts: list[bytes] = []
        outside: list[bytes] = []
        given = iter(values)
        for field_tag, kind in self._fields:
            if kind == "begin":
                outside, parts = [*parts, field_tag], []
                continue
            if kind == "end":
                message = b"".join(parts)
                parts = [*outside, varint(len(message)), message]
                continue
            value = next(given)
            if kind == "raw":
                parts.append(value)
            elif kind == "texts":
                parts += [delimited(field_tag, text.encode()) for text in value]
            elif kind == "chunks":
                parts += [delimited(field_tag, content or b"") for content in value]
            elif kind == "double":
                # Only what has no bit set is left out: -0.0 stays.
                number = _DOUBLE.pack(value)
                parts += (field_tag, number) if any(number) else ()
            elif not value:
                continue
            elif kind == "varint":
                parts += (field_tag, varint(value & _UNSIGNED))
            else:
                parts.append(delimited(field_tag, value.encode() if kind == "text" else value))
        message = b"".join(parts)
        return message if self._within is None else delimited(self._within, message)


_WIRE_TYPES = {"varint": 0, "double": 1}  # of the others 2 (protobuf encoding guide)
_DOUBLE = Struct("<d")
_UNSIGNED = (1 << 64) - 1  # negative numbers stand in two's complement


def make_writer(fields: Fields, within: int | None = None) -> Writer:
    """The engine's writer, or its twin. `within`: written as that field of the message that it stands in."""
    writer: Writer = TwinWriter(fields, within) if engines is None else engines.Writer(list(fields), within)
    return writer
