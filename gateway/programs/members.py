"""What documents say, member by member as text, so that two of them can be compared whatever they hold.

A member that a later version adds is compared too: nothing here lists what there is. Salts are not here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from enrichment.fields import FIELDS, names_of
from gateway.programs.model import PPM, Channel, IinRange

_ALL_FIELDS: Final = {field.number: field.name for field in FIELDS}

_RENAMED: Final = {
    "field_mask": "fields",
    "basic_mask": "tiers.basic",
    "enhanced_mask": "tiers.enhanced",
    "ahead": "kind",
    "enabled": "status",
    "clear_elements_allowed": "protection",
    "conditions": "when",
    "channels": "channel",
    "mccs": "mcc",
    "merchant_countries": "merchant_country",
}
"""Members whose document has another word for it than the value that is made of it."""

_BOOLS: Final = {
    "ahead": ("after", "ahead"),
    "enabled": ("disabled", "enabled"),
    "clear_elements_allowed": ("sealed", "network"),
}


@dataclass(frozen=True, slots=True)
class MemberChange:
    """One member of a document: what it no longer says, and what it says now. Lists name what differs."""

    member: str
    removed: tuple[str, ...]
    added: tuple[str, ...]
    whole: bool = False
    """Nothing of it stays: one thing in place of another, rather than a list that gains and loses."""


def percent(parts: int) -> str:
    return f"{parts * 100 / PPM:g}%"


def day(at_ms: int) -> str:
    """The UTC day, as documents write it."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).date().isoformat()


def compare(before: Any, after: Any) -> tuple[MemberChange, ...]:
    """Two values of one dataclass of the policy, member by member."""
    was, now = dict(_members(before)), dict(_members(after))
    changes = []
    for member in {**was, **now}:
        old, new = was.get(member, ()), now.get(member, ())
        if old != new:
            gone = tuple(one for one in old if one not in new)
            come = tuple(one for one in new if one not in old)
            if not gone and not come:
                gone, come = old, new  # the same in another order, which may mean something
            changes.append(MemberChange(member, gone, come, whole=gone == old and come == new))
    return tuple(changes)


def _members(value: Any, prefix: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    for one in fields(value):
        held = getattr(value, one.name)
        name = prefix + _named(one.name)
        if is_dataclass(held):
            yield from _members(held, f"{name}.")
        else:
            yield name, _texts(one.name, held)


def _named(name: str) -> str:
    if name in _RENAMED:
        return _RENAMED[name]
    for suffix, instead in (("_ppm", "_percent"), ("_ms", "")):
        if name.endswith(suffix):
            return name.removesuffix(suffix) + instead
    return name


def _texts(name: str, held: Any) -> tuple[str, ...]:
    if held is None:
        return ()
    if name.endswith("_mask"):
        return names_of(held)
    if name.endswith("_ppm"):
        return (percent(held),)
    if name.endswith("_ms"):
        return (day(held),)
    if name in _BOOLS:
        return (_BOOLS[name][bool(held)],)
    if name == "channels":
        return tuple(Channel(number).name.lower() for number in sorted(held))
    if name == "message_elements":
        return tuple(f"{target}: {_ALL_FIELDS.get(number, number)}" for target, number in held)
    if isinstance(held, frozenset | set):
        return tuple(sorted(map(_text, held)))
    if isinstance(held, tuple | list):
        return tuple(map(_text, held))
    return (_text(held),)


def _text(held: Any) -> str:
    if isinstance(held, Enum):
        return held.name.lower()
    if isinstance(held, IinRange):
        return held.first if held.first == held.last else f"{held.first}-{held.last}"
    return str(held)
