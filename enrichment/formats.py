"""Formats of the strings in a request, and groups of them that are checked in one step.

A group joins its values with NUL and matches them against one pattern made from the table of its formats: one
call for all fields of a message. NUL is in no format, so a value cannot reach into its neighbour. Only when
that fails does the group look at its fields one by one, to name those at fault.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from enrichment.codes import COUNTRIES, CURRENCIES
from enrichment.payment import Issue

# C0, DEL and C1 (Unicode category Cc) stand in no field: they break logs, files and terminals downstream.
_TEXT = r"[^\x00-\x1f\x7f-\x9f]"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

TOO_LONG: Final = "too_long"
CONTROL_CHARACTER: Final = "control_character"
MALFORMED: Final = "malformed"
UNKNOWN_CODE: Final = "unknown_code"
MISSING: Final = "missing"
OUT_OF_RANGE: Final = "out_of_range"
TOO_MANY: Final = "too_many"
INCONSISTENT: Final = "inconsistent"


@dataclass(frozen=True, slots=True)
class Format:
    """What a string must look like. `pattern` never matches NUL."""

    pattern: str
    max_chars: int
    mend: str
    table: frozenset[str] | None = None
    shape: tuple[Any, ...] = ()
    """The same for the engine: a name that it knows, and numbers."""


def text(max_chars: int) -> Format:
    """Any text up to `max_chars` characters without control characters."""
    return Format(
        f"{_TEXT}{{1,{max_chars}}}+", max_chars, f"send at most {max_chars} characters, none of them control",
        shape=("text", max_chars),
    )  # fmt: skip


def digits(least: int, most: int | None = None) -> Format:
    """n{least} or n{least}-{most}: ASCII digits."""
    top = least if most is None else most
    count = f"{least}" if most is None else f"{least} to {most}"
    return Format(f"[0-9]{{{least},{top}}}+", top, f"send {count} digits", shape=("digits", least, top))


def alphanumeric(chars: int) -> Format:
    """an{chars}: ASCII letters and digits."""
    return Format(
        f"[0-9A-Za-z]{{{chars}}}+",
        chars,
        f"send exactly {chars} letters and digits",
        shape=("alphanumeric", chars),
    )


def printable(max_chars: int) -> Format:
    """ans..{max_chars}: printable ASCII; trailing padding may be left out."""
    return Format(
        f"[\\x20-\\x7e]{{1,{max_chars}}}+", max_chars, f"send 1 to {max_chars} printable ASCII characters",
        shape=("printable", max_chars),
    )  # fmt: skip


_DAY_OF_MONTH = (
    r"(?:(?:0[13578]|1[02])(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)(?:0[1-9]|[12][0-9]|30)"
    r"|02(?:0[1-9]|[12][0-9]))"  # DE7 has no year: 29 February is a real date in some
)
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a1-\U0010ffff]"
_LABEL = r"[A-Za-z0-9\u00a1-\U0010ffff](?:[A-Za-z0-9\-\u00a1-\U0010ffff]{0,61}[A-Za-z0-9\u00a1-\U0010ffff])?"

ID: Final = text(64)
COUNTRY: Final = Format(
    "[A-Z]{2}", 2, "send an ISO 3166-1 alpha-2 code in capitals", COUNTRIES, ("table", COUNTRIES)
)
CURRENCY: Final = Format(
    "[A-Z]{3}", 3, "send an ISO 4217 alphabetic code in capitals", CURRENCIES, ("table", CURRENCIES)
)
TRANSMISSION_DATE_TIME: Final = Format(
    _DAY_OF_MONTH + r"(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]",
    10,
    "send DE7 as MMDDhhmmss in UTC",
    shape=("date_time",),
)
# RFC 5321 4.5.3.1: 64 octets of local part, 254 of the whole path without its brackets.
EMAIL: Final = Format(
    rf"(?=[^@\x00]{{1,64}}@)(?=[^\x00]{{3,254}}(?:\x00|\Z)){_ATEXT}++(?:\.{_ATEXT}++)*+"
    rf"@(?:{_LABEL}\.)+[A-Za-z]{{2,63}}",
    254,
    "send an address as RFC 5321 has it, at most 254 characters",
    shape=("email",),
)
PHONE: Final = Format(
    r"\+[1-9][0-9]{6,14}",
    16,
    "send E.164: a plus, the country code, 7 to 15 digits in all",
    shape=("phone",),
)
PAR: Final = Format(
    "[0-9A-Za-z]{29}",
    29,
    "send the 29 letters and digits of the Payment Account Reference",
    shape=("alphanumeric", 29),
)
UUID: Final = Format(
    "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", 36, "send a UUID with hyphens", shape=("uuid",)
)
LANGUAGE: Final = Format(
    r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*+", 35, "send a BCP 47 language tag", shape=("language", 35)
)
IIN: Final = Format("[0-9]{6}(?:[0-9]{2})?", 8, "send the 6 or 8 leading digits", shape=("iin",))
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
# IPv6 is only narrowed down here; `check` parses it.
IP: Final = Format(
    rf"(?:(?:{_OCTET}\.){{3}}{_OCTET}|(?=[^\x00]*:)[0-9A-Fa-f:.]{{2,45}}+)",
    45,
    "send an IPv4 or IPv6 address",
    shape=("ip",),
)
EXEMPTION: Final = text(32)
# Mastercard's Banknet reference with its date has 13 characters, Visa's transaction identifier 15, and
# Mastercard's transaction link identifier 22.
NETWORK_TRANSACTION_ID: Final = Format(
    "[A-Za-z0-9_-]{13,22}+",
    22,
    "send 13 to 22 letters, digits, hyphens and underscores, as the network returned them",
    shape=("reference", 13, 22),
)


@dataclass(frozen=True, slots=True)
class StringField:
    """One string of a message: its name there, its format, and whether the request stands without it."""

    name: str
    format: Format
    required: bool = False


def _why(value: str, form: Format) -> tuple[str, str]:
    """(code, mend) of a value that does not fit its format."""
    if len(value) > form.max_chars:
        return TOO_LONG, form.mend
    if _CONTROL.search(value):
        return CONTROL_CHARACTER, form.mend
    if form.table is not None and re.fullmatch(form.pattern, value):
        return UNKNOWN_CODE, form.mend
    return MALFORMED, form.mend


class StringGroup:
    """The strings of one message."""

    __slots__ = ("_fast", "_fields", "_forms", "_get", "_prefix", "_tables")

    def __init__(self, prefix: str, *fields: StringField) -> None:
        self._prefix = prefix
        self._fields = fields
        first = fields[0].name
        # Of a single name `attrgetter` would give no tuple.
        self._get: Callable[[Any], tuple[str, ...]] = (
            attrgetter(*(field.name for field in fields))
            if len(fields) > 1
            else lambda message: (getattr(message, first),)
        )
        self._forms = tuple(re.compile(field.format.pattern).fullmatch for field in fields)
        parts = (f"(?:{f.format.pattern})" if f.required else f"(?:{f.format.pattern})?" for f in fields)
        self._fast = re.compile("\0".join(parts)).fullmatch
        self._tables = tuple(
            (at, field.format.table) for at, field in enumerate(fields) if field.format.table is not None
        )

    def by_path(self) -> tuple[tuple[str, StringField], ...]:
        """Its fields by their path in the request."""
        return tuple((self._prefix + field.name, field) for field in self._fields)

    def read(self, message: Any, issues: list[Issue], refusals: list[Issue]) -> Sequence[str]:
        """The values in the order of the fields; a bad one is "" and named among issues or refusals."""
        values = self._get(message)
        if self._fast("\0".join(values)):
            for at, table in self._tables:
                if values[at] not in table and values[at]:
                    break
            else:
                return values
        return self._one_by_one(values, issues, refusals)

    def _one_by_one(self, values: Sequence[str], issues: list[Issue], refusals: list[Issue]) -> Sequence[str]:
        kept = []
        for field, matches, value in zip(self._fields, self._forms, values, strict=True):
            path = self._prefix + field.name
            table = field.format.table
            well = bool(value) and matches(value) is not None and (table is None or value in table)
            kept.append(value if well else "")
            if not value and field.required:
                refusals.append((path, MISSING, field.format.mend))
            elif value and not well:
                (refusals if field.required else issues).append((path, *_why(value, field.format)))
        return kept


def matcher(form: Format) -> Callable[[str], object]:
    """A function that is truthy on a string of the format."""
    return re.compile(form.pattern).fullmatch


def has_control(value: str) -> bool:
    """Whether a control character (Unicode category Cc) stands in it."""
    return _CONTROL.search(value) is not None


def known_enum(path: str, number: int, highest: int, issues: list[Issue]) -> int:
    """The number, or 0 with an issue where it is from a contract that we do not know."""
    if 0 <= number <= highest:
        return number
    issues.append((path, UNKNOWN_CODE, "send a value of the contract's enum, or leave it out"))
    return 0
