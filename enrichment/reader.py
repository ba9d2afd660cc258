"""From the bytes of a request to a checked payment: by the engine where it is built, by `check` where not.

The engine (native/src/request) reads what is as it should be, by a table made here from the contract and
from the formats that `check` checks by. Everything else it leaves to `check`, which is what it must equal.
"""

from collections.abc import Callable, Iterable, Sequence
from types import new_class
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from enrichment import check, disposable, phones, postal, quality
from enrichment.card import CARD, MAX_FUNDING
from enrichment.families import card as card_family
from enrichment.families import identity
from enrichment.fields import FIELD_BY_NAME, FIELDS
from enrichment.formats import StringGroup
from enrichment.masked import Pan
from enrichment.payment import Address, BadRequest, Browser, History, Payment
from issuernetwork.v1 import common_pb2, enrichment_pb2

_INT64 = (-(1 << 63), (1 << 63) - 1)

# Of the numbers in a request, by path: what lies outside is for `check` to name.
_RANGES: Final = {
    "attempt_no": (0, (1 << 31) - 1),
    "network": (0, check.MAX_NETWORK),
    "amount_minor": (0, check.MAX_AMOUNT_MINOR),
    "initiated_at_ms": _INT64,
    "channel": (0, check.MAX_CHANNEL),
    "initiation": (0, check.MAX_INITIATION),
    "validate_only": (0, 1),
    "order.delivery_timeframe": (0, check.MAX_DELIVERY_TIMEFRAME),
    "card.funding": (0, MAX_FUNDING),
    "card.commercial": (0, 1),
    "device.browser.screen_width": (0, check.MAX_SCREEN_PIXELS),
    "device.browser.screen_height": (0, check.MAX_SCREEN_PIXELS),
    "authentication.trans_status": (0, check.MAX_TRANS_STATUS),
} | {f"customer.history.{name}": (0, highest) for name, highest in check.HISTORY}

_GROUPS: Final[tuple[StringGroup, ...]] = (*check.GROUPS, CARD)
_FORMATS: Final = {path: field.format for group in _GROUPS for path, field in group.by_path()}
_REQUIRED: Final = {path for group in _GROUPS for path, field in group.by_path() if field.required}


class _Tables:
    """Rows by message, and the slot of each path."""

    def __init__(self) -> None:
        self.rows: list[list[tuple[Any, ...]]] = []
        self.slots: dict[str, int] = {}

    def add(self, descriptor: Any, prefix: str) -> int:
        at = len(self.rows)
        rows: list[tuple[Any, ...]] = []
        self.rows.append(rows)
        for field in descriptor.fields:
            path = prefix + field.name
            slot = self.slots[path] = len(self.slots)
            rows.append((field.number, *self._kind(field, path, slot)))
        return at

    def _kind(self, field: FieldDescriptor, path: str, slot: int) -> tuple[Any, ...]:
        if field.type == FieldDescriptor.TYPE_STRING:
            return "text", slot, _FORMATS[path].shape
        if field.type == FieldDescriptor.TYPE_DOUBLE:
            return "double", slot
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if field.is_repeated:
                return "raw", slot
            return "message", slot, self.add(field.message_type, path + ".")
        return ("int", slot, *_RANGES[path])


def _assessments(raws: list[bytes]) -> tuple[Any, ...] | None:
    issues: list[Any] = []
    try:
        found = check.assessments([common_pb2.Assessment.FromString(raw) for raw in raws], issues)
    except Exception:  # malformed: the twin's parser says so
        return None
    return None if issues else found


def _location(latitude: float, longitude: float) -> tuple[float, float] | None:
    return check.coarse(latitude, longitude)


def _bit(name: str) -> int:
    return 1 << FIELD_BY_NAME[name].number


def _bits(name: str) -> int:
    """Of a field and of the one that is a hash of it: either is there where the other is."""
    return _bit(name) | (_bit(_HASHES[name]) if name in _HASHES else 0)


_HASHES: Final = {"email": "email_hash", "phone_e164": "phone_hash"}


_GROUP_FIELDS: Final = {"customer.billing": "billing_address", "customer.shipping": "shipping_address"}

# What `signals.presence` must come to, by path: a text that is not empty, a number that is not 0, or, with
# history, a number that was given.
_ALWAYS: Final = card_family.ALWAYS
_READ: Final = {one.source: one.name for one in FIELDS if one.source and not _ALWAYS >> one.number & 1}
_TEXTS: Final = {path: name for path, name in _READ.items() if path in _FORMATS}
_NUMBERS: Final = {
    path: name for path, name in _READ.items() if path in _RANGES and not path.startswith("customer.history.")
} | {"card.commercial": "funding"}
_HISTORY_NUMBERS: Final = dict(zip(History._fields, identity.HISTORY, strict=True))


def _verdicts(slots: dict[str, int]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Presence by slot, and what makes a value doubtful: a verdict on it is then for its provider to give."""
    presence = [("text", slots[path], _bits(name)) for path, name in _TEXTS.items()]
    presence += [("number", slots[path], _bit(name)) for path, name in _NUMBERS.items()]
    presence += [
        ("given", slots[f"customer.history.{name}"], 1 << number) for name, number in _HISTORY_NUMBERS.items()
    ]
    words = sorted(quality.PLACEHOLDERS)
    doubts: list[tuple[Any, ...]] = [
        ("placeholder", slots[one.source], words) for one in FIELDS if one.quality == "not_placeholder"
    ]
    forms = [(country, sorted(spelled)) for country, spelled in postal.FORMS.items()]
    doubts += [
        ("postal", slots[f"customer.{which}.postal_code"], slots[f"customer.{which}.country"], forms)
        for which in ("billing", "shipping")
    ]
    domains = sorted(disposable.DISPOSABLE | quality.TEST_DOMAINS)
    plans = [(code, *plan) for code, plan in phones.PLANS.items()]
    doubts += [
        ("placeholder", slots["device.device_id"], sorted(quality.PLACEHOLDERS | quality.CONSTANT_IDS)),
        ("name", slots["customer.name"], sorted(quality.NAME_PLACEHOLDERS), quality.MOST_DIGITS_OF_A_NAME),
        ("one_of", slots["acquirer.stan"], ["000000"]),
        ("one_of", slots["acquirer.retrieval_reference_number"], ["000000000000"]),
        ("one_of", slots["merchant.mcc"], ["0000", "9999"]),
        ("phone", slots["customer.phone_e164"], plans),
        ("not_public", slots["device.ip"]),
        (
            "mailbox",
            slots["customer.email"],
            domains,
            sorted(quality.TEST_TOP_LEVELS),
            sorted(quality.ROLES),
        ),
        ("robot", slots["device.user_agent"], list(quality.NOT_BROWSERS), list(quality.ROBOTS)),
        ("none_of", slots["authentication.eci"], sorted(quality.ECIS)),
    ]
    doubts += [
        ("above", slots[f"customer.history.{part}"], slots[f"customer.history.{whole}"], most)
        for part, whole, most in quality.NOT_ABOVE
    ]
    return presence, doubts


# Fields of Payment whose name is not the last part of their path, or that are not read as they stand.
_PATHS: Final = {
    "merchant_name": "merchant.name",
    "merchant_country": "merchant.country",
    "cardholder_name": "customer.name",
}


BEGIN: Final = "begin"
END: Final = "end"

Written = Sequence[tuple[int, str]]
"""(field number, field of Payment) of a message to write; from BEGIN to END, a message within it."""


def _columns(slots: dict[str, int], written: Written) -> list[tuple[str, tuple[Any, ...]]]:
    """How each field of Payment is had, in order."""
    by_name = {path.rpartition(".")[2]: path for path in slots if "address" not in path}

    names = list(Payment.__struct_fields__)

    def address(path: str) -> tuple[Any, ...]:
        parts = [("text", slots[f"{path}.{name}"]) for name in Address._fields]
        # As providers/identity.py: of no use without its country and one of the other two.
        needs = [slots[f"{path}.{name}"] for name in ("country", "postal_code", "line1")]
        return "group", Address, slots[path], parts, False, _bit(_GROUP_FIELDS[path]), needs

    special: dict[str, tuple[Any, ...]] = {
        "attempt_no": ("int", slots["attempt_no"], 1),
        "initiated_at_ms": ("time", slots["initiated_at_ms"], check.MAX_SKEW_AHEAD_MS),
        "pan": ("masked", slots["card.pan"], Pan),
        "network_token": ("masked", slots["card.network_token"], Pan),
        "iin": ("iin",),
        "truncated_iin": ("truncated_iin",),
        "last4": ("last4",),
        "billing": address("customer.billing"),
        "shipping": address("customer.shipping"),
        "history": (
            "group", History, slots["customer.history"],
            [("optional_int", slots[f"customer.history.{name}"]) for name in History._fields], True, 0, [],
        ),
        "ip": ("ip", slots["device.ip"]),
        "browser": (
            "group", Browser, slots["device.browser"],
            [
                ("int" if name.startswith("screen") else "text", slots[f"device.browser.{name}"])
                for name in Browser._fields
            ],
            False, _bit("browser_fp"), [],
        ),
        "location": (
            "location", _location, slots["device.coarse_location.latitude"],
            slots["device.coarse_location.longitude"], slots["device.coarse_location"], _bit("geo"),
        ),
        "caller_assessments": ("raws", _assessments, slots["caller_assessments"]),
        "field_issues": ("new_list",),
        "presence": ("presence", names.index("billing"), names.index("shipping"), _bit("ship_bill_match")),
    }  # fmt: skip

    def column_of(name: str) -> tuple[Any, ...]:
        if name in special:
            return special[name]
        path = _PATHS.get(name) or by_name[name]
        if path in _FORMATS:
            return "text", slots[path], path in _REQUIRED
        return ("bool", slots[path]) if _RANGES[path] == (0, 1) else ("int", slots[path], 0)

    sources = [(number, (name,) if name in (BEGIN, END) else column_of(name)) for number, name in written]
    special["written"] = ("written", sources)
    # The last field is what was read, which the engine adds itself.
    return [(name, column_of(name)) for name in names[:-1]]


Read = Callable[[bytes, int], Payment | BadRequest]
"""(serialized EnrichAuthorizationRequest, wall time in ms) -> payment or typed refusal.

Raises the parser's DecodeError where the bytes are no message: its text may hold what was sent.
"""

_parse = enrichment_pb2.EnrichAuthorizationRequest.FromString


def read_by_twin(payload: bytes, now_ms: int) -> Payment | BadRequest:
    """By the library and by hand, in Python."""
    return check.check(_parse(payload), now_ms)


def make_read(engines: Any, written: Written = ()) -> Read:
    """How requests are read. `engines` is the native module, or None. `written` is for `Payment.written`."""
    if engines is None:
        return read_by_twin
    return reading(native_reader(engines, written))


def reading(reader: Any) -> Read:
    """As a `native_reader` reads, and the twin what that one leaves."""
    engine = reader.read

    def read(payload: bytes, now_ms: int) -> Payment | BadRequest:
        payment: Payment | None = engine(payload, now_ms)
        return payment if payment is not None else check.check(_parse(payload), now_ms)

    return read


def _tables() -> _Tables:
    tables = _Tables()
    tables.add(enrichment_pb2.EnrichAuthorizationRequest.DESCRIPTOR, "")
    return tables


def slots_of(names: Iterable[str]) -> dict[str, int]:
    """Where `Payment.read` has fields of a payment, by name, or a part of one; and "", how many slots it has.

    For engines that take a payment from what was read of it.
    """
    slots = _tables().slots
    by_name = {path.rpartition(".")[2]: path for path in slots if "address" not in path} | _PATHS
    groups = {"billing": "customer.billing", "shipping": "customer.shipping", "history": "customer.history"}

    def path_of(name: str) -> str:
        group, _, part = name.rpartition(".")
        return f"{groups[group]}.{part}" if group else by_name[name]

    return {"": len(slots)} | {name: slots[path_of(name)] for name in names}


def native_reader(engines: Any, written: Written = ()) -> Any:
    """An engine whose `read(payload, now_ms)` is the payment, or None where `check` has to look."""
    tables = _tables()
    slots = tables.slots
    card = tuple(slots[f"card.{name}"] for name in ("pan", "network_token", "card_ref", "iin", "last4"))
    verdicts = (_ALWAYS, *_verdicts(slots))
    made = _late_payment(engines)
    return engines.Reader(tables.rows, _columns(slots, written), LATE, card, len(slots), made, verdicts)


LATE: Final = frozenset(Payment.__struct_fields__) - {
    "request_id", "merchant_id", "platform_id", "amount_minor", "initiated_at_ms", "channel", "mcc",
    "merchant_country", "cardholder_region", "caller_assessments", "validate_only", "field_issues",
    "presence", "written", "read",
}  # fmt: skip
"""Fields that hardly a payment is asked for as objects: made from what was read when they are."""


def _late_payment(engines: Any) -> type[Payment]:
    """A `Payment` whose late fields the engine makes."""
    names = Payment.__struct_fields__
    members: dict[str, Any] = {name: engines.Late(name, names.index(name)) for name in LATE}
    return new_class("ReadPayment", (Payment,), exec_body=lambda namespace: namespace.update(members))
