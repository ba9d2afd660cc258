"""What a reader needs of a record, as a named tuple: whoever looks a member up often pays for it once.

By the engine where it is built (bytes/row_reader.rs of native), else by the twin. The tuple's members have
the names of the message's fields, and say by their types what is nested.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.runtime.native import engines

Row = TypeVar("Row", bound=tuple[Any, ...])

_KINDS: Final = {
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_ENUM: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
}
_MANY: Final = {"text": "texts", "int32": "ints32"}


def make_row_of(row: type[Row]) -> Callable[[Any], Row]:
    """A function that gives `row` of a message in memory."""
    nested = {name: make_row_of(kind) for name, kind in _nested(row).items()}
    names: tuple[str, ...] = row._fields  # type: ignore[attr-defined]

    def row_of(message: Any) -> Row:
        return row(*[_value(getattr(message, name), nested.get(name)) for name in names])

    return row_of


def _value(value: Any, nested: Callable[[Any], Any] | None) -> Any:
    if isinstance(value, Message):
        return None if nested is None else nested(value)
    if isinstance(value, str | bytes | int):
        return value
    return tuple(value if nested is None else map(nested, value))


def make_read_row(row: type[Row], message: type[Message], native: Any = engines) -> Callable[[bytes], Row]:
    """A function that reads `row` of a message on the wire. It raises DecodeError where that is none.

    What is wrong within fields that `row` does not have, the library finds and the engine does not look for.
    """
    row_of, parse = make_row_of(row), message.FromString

    def by_twin(data: bytes) -> Row:
        return row_of(parse(data))

    if native is None:
        return by_twin
    read: Callable[[bytes], Row] = _reader(row, message.DESCRIPTOR, native, by_twin).read
    return read


def _reader(row: type[Any], descriptor: Any, native: Any, twin: Any = None) -> Any:
    """`twin` reads what is unusual, also within what is nested."""
    nested, rows = _nested(row), []
    for name in row._fields:
        field = descriptor.fields_by_name[name]
        if name in nested:
            reader = _reader(nested[name], field.message_type, native)
            rows.append((field.number, "rows" if field.is_repeated else "row", reader))
            continue
        kind = _KINDS[field.type]
        rows.append((field.number, _MANY[kind] if field.is_repeated else kind, None))
    return native.RowReader(row, rows, twin)


def _nested(row: type[Any]) -> Mapping[str, type[Any]]:
    """Members that are rows, or tuples of rows."""
    found = {}
    for name, hint in get_type_hints(row).items():
        kind = get_args(hint)[0] if get_origin(hint) is tuple else hint
        if hasattr(kind, "_fields"):
            found[name] = kind
    return found
