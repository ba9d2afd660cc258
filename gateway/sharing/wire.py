"""Protobuf written by parts: what is the same for many messages is serialized once and joined.

Parsing joined parts gives the message merged from them (protobuf encoding guide, "Last one wins").
"""

LENGTHS = tuple(map(chr, range(128)))
"""Length prefix of a text under 128 bytes, as a character, for texts that are joined before encoding."""

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


def occurrences(field_tag: bytes, message: bytes) -> list[bytes] | None:
    """Contents of a repeated field of one-byte tag, where the message has no other field; else None."""
    contents: list[bytes] = []
    (wanted,) = field_tag
    at, end = 0, len(message)
    while at < end:
        if message[at] != wanted:
            return None
        at += 1
        size = shift = 0
        while at < end and shift < 28:  # no message is longer than its 4 MiB limit
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


def delimited(field_tag: bytes, content: bytes) -> bytes:
    """One length-delimited field."""
    return b"%b%b%b" % (field_tag, varint(len(content)), content)
