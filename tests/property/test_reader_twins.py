"""The engine reads a request as its twin does, or leaves it to the twin."""

from itertools import product
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichment.fields import FIELDS
from enrichment.payment import PRESENCE_UNKNOWN, BadRequest, Payment
from enrichment.quality import ECIS, NOT_ABOVE, RULES
from enrichment.reader import native_reader, read_by_twin
from enrichment.signals import presence
from gateway.runtime.native import engines
from gateway.sharing.record import PAYMENT, payment_part
from issuernetwork.v1 import enrichment_pb2
from tests.bad_input import OPTIONAL, PASSED, REQUIRED, Case, good_request
from tests.unit.enrichment.requests import NOW_MS, full_request, least_request

if engines is None:
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

ENGINE = native_reader(engines, PAYMENT)

# What fields are about, good and nearly so: edges of every format, and text that is not ASCII.
WORDS = [
    "", "a", "US", "us", "USD", "ZZQ", "XX", "5411", "541", "54112", "05", "Y", "000123", "0229235959",
    "0230000000", "1231240000", "412345678901", "TERM0001", "TERM00012", "a@b.co", "a..b@c.de",
    ".a@b.co", "a@b", "a@b.c", "a@-b.co", "a@b-.co", "jane.doe+x@mail.example.com", "é@b.co", "a@é.co",
    "x" * 64 + "@b.co", "x" * 65 + "@b.co", "a@" + "b" * 63 + ".co", "a@" + "b" * 64 + ".co",
    "+14155550123", "+1415555", "+141555", "+04155550123", "+15555555555", "unknown", "Null", "n/a",
    "device", "-x-", "000000", "000000000000", "9999", "curl/8", "Okhttp/4", "a@shop.test",
    "a@EXAMPLE.com", "10.1.2.3", "100.64.1.1", "198.18.0.1", "203.0.113.9", "2001:db8::1", "3fff::1",
    "2002::1", "2a02:ff40::1", "10.0.0.1", "256.1.1.1", "01.1.1.1", "1.1.1",
    "1.1.1.1.1", "::1", "2a02:FF40::0:1", "::ffff:1.2.3.4", "::1.2.3.4", "1:2:3:4:5:6:7:8:9",
    "fe80::1%eth0", "0:0:0:1:0:0:0:0", "1::0:0:2", "en", "en-US", "e", "zh-Hans-CN", "en-", "a" * 9,
    "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "f81d4fae7dec11d0a76500a0c91e6bf6", "Q" * 29, "Q" * 30,
    "José", "Zoë\u0085", "\u200b", "a\x00b", "a\x1fb", "tab\t", "\x7f", "é" * 64, "é" * 65, "n" * 64,
    "n" * 65, "n" * 512, "n" * 513, "901001", "90100101", "9010010", "0007", "9010010100000007",
    "9010010100000008", "4111111111111111", "371449635398431", "0" * 13, "0" * 19, "0" * 20, "４１１１",
    "1²", "٣٣",
    "jane@mailinator.com", "jane@EU.Mailinator.com", "Info@shop.de", "no-reply+7@gmx.net", "info.x@gmx.net",
    "+9991234567", "+15555555", "+442079460000", "+4420794600001", "+35212345678901", "+4915112345678",
    "+80012345678", "+2101234567", "Card Holder", "Jane 3rd", "4111 1111", "1234", "É 1", "É", "guest\u212a",
    "un\u212anown", "9774D56D682E549C", "02:00:00:00:00:00", "Mozilla/5.0 (X11) HeadlessChrome/1", "Node",
    "Mozilla/5.0 (compatible; GoogleBot/2.1)", "62701", "62701-1234", "6270", " 6 2701 ", "-", "SW1A 1AA",
    "sw1a1aa", "K1A 0B1", "1011 AB", "DE", "GB", "CA", "NL", "AE", "MCS8A1B2C3_0229-ABCDEF", "A" * 13,
    "0" * 15, "-" * 22, "00", "09", "10", "5Z", "N2", "Q1" + "7" * 27, "None", "-" * 29,
    "sports", "aa-a", "a-b", "--a", "0000-0001",
]  # fmt: skip
NUMBERS = [
    0, 1, -1, 2, 3, 4, 5, 6, 8, 9, 999, 1_000, 32_767, 32_768, 36_525, 36_526, 1_000_000, 1_000_001,
    2**31 - 1, -(2**31),
]  # fmt: skip
LARGE = [*NUMBERS, 10**12 - 1, 10**12, NOW_MS, NOW_MS + 60_000, NOW_MS + 60_001, 2**63 - 1, -(2**63)]
DOUBLES = st.sampled_from([0.0, -0.0, 1.005, 89.999, 90.0, 90.01, -180.0, float("nan"), float("inf"), 0.5])


def same(engine: Payment | None, twin: Payment | BadRequest) -> None:
    """Field for field and type for type, so that True is not 1 and no value stands in its neighbour."""
    if engine is None:
        return
    assert isinstance(twin, Payment), "the engine took what its twin refuses"
    poor: list[Any] = []
    mask = presence(twin, poor)
    if engine.presence != PRESENCE_UNKNOWN:
        assert engine.presence == mask
        assert not poor, "the engine found well what its twin doubts"
    assert engine.written == payment_part(twin)
    for name in set(Payment.__struct_fields__) - {"presence", "written", "read"}:
        ours, theirs = getattr(engine, name), getattr(twin, name)
        assert type(ours) is type(theirs), name
        assert ours == theirs, name


def spoil(message: Message, data: st.DataObject, *, level: int = 0) -> None:
    """Sets some fields anew, good or bad."""
    fields = list(message.DESCRIPTOR.fields)
    for field in data.draw(st.lists(st.sampled_from(fields), max_size=4, unique_by=lambda one: one.name)):
        if field.is_repeated:
            for _ in range(data.draw(st.integers(0, 5))):
                target: Any = getattr(message, field.name)
                if field.type == FieldDescriptor.TYPE_MESSAGE:
                    spoil(target.add(), data, level=level + 1)
                else:
                    target.append(data.draw(st.sampled_from(WORDS)))
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            getattr(message, field.name).SetInParent()
            spoil(getattr(message, field.name), data, level=level + 1)
        else:
            setattr(message, field.name, data.draw(_values(field)))


def _values(field: Any) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_STRING:
        return st.one_of(st.sampled_from(WORDS), st.text(max_size=70))
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return DOUBLES
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_INT64:
        return st.sampled_from(LARGE)
    return st.sampled_from(NUMBERS)


@given(st.sampled_from([full_request, least_request, good_request]), st.data())
@settings(max_examples=800, deadline=None)
def test_the_engine_reads_a_request_as_its_twin_does_or_leaves_it_to_it(
    make: Any, data: st.DataObject
) -> None:
    request = make()
    spoil(request, data)
    payload = request.SerializeToString()
    same(ENGINE.read(payload, NOW_MS), read_by_twin(payload, NOW_MS))


TEXTS = [
    one.source
    for one in FIELDS
    if one.quality in RULES and one.shape.schema["type"] == "string" and one.source
]


@pytest.mark.parametrize("path", [*TEXTS, "customer.billing.postal_code", "customer.shipping.country"])
def test_each_word_in_each_field_that_has_a_rule_is_doubted_by_both_or_by_the_engine(path: str) -> None:
    *parents, name = path.split(".")
    for word in WORDS:
        request: Any = full_request()
        message = request
        for parent in parents:
            message = getattr(message, parent)
        setattr(message, name, word)
        payload = request.SerializeToString()
        same(ENGINE.read(payload, NOW_MS), read_by_twin(payload, NOW_MS))


SOME_NUMBERS = [None, 0, 1, 2, 998, 999, 36_525]


@pytest.mark.parametrize(("part", "whole", "most"), NOT_ABOVE)
def test_a_history_is_doubted_by_both_where_a_part_is_more_than_its_whole_and_by_neither_elsewhere(
    part: str, whole: str, most: int | None
) -> None:
    for less, more in product(SOME_NUMBERS, SOME_NUMBERS):
        request = full_request()
        request.customer.ClearField("history")
        for name, value in ((part, less), (whole, more)):
            if value is not None:
                setattr(request.customer.history, name, value)
        payload = request.SerializeToString()
        found, twin = ENGINE.read(payload, NOW_MS), read_by_twin(payload, NOW_MS)
        same(found, twin)
        doubted = less is not None and more is not None and less > more and more <= (most or more)
        assert (found.presence == PRESENCE_UNKNOWN) is doubted


@pytest.mark.parametrize("word", ["sports", "a-b-a", "-sports", "level", "d-00d"])
def test_what_begins_and_ends_alike_and_is_a_word_all_the_same_does_not_need_the_twin(word: str) -> None:
    request = full_request()
    request.order.basket_category = request.device.device_id = word
    payload = request.SerializeToString()
    found = ENGINE.read(payload, NOW_MS)
    same(found, read_by_twin(payload, NOW_MS))
    assert found.presence != PRESENCE_UNKNOWN


def test_the_engine_takes_every_indicator_that_a_network_gives_and_no_other() -> None:
    for eci in map("".join, product("0159N", "0123456789Z")):
        request = full_request()
        request.authentication.eci = eci
        payload = request.SerializeToString()
        found = ENGINE.read(payload, NOW_MS)
        same(found, read_by_twin(payload, NOW_MS))
        assert (found.presence != PRESENCE_UNKNOWN) is (eci in ECIS)


@given(st.data())
@settings(max_examples=600, deadline=None)
def test_damaged_bytes_are_read_alike_or_left_to_the_twin(data: st.DataObject) -> None:
    blob = bytearray(full_request().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(blob) - 1))
        match data.draw(st.sampled_from(["set", "cut", "insert", "again"])):
            case "set":
                blob[at] = data.draw(st.integers(0, 255))
            case "cut":
                del blob[at : at + data.draw(st.integers(1, 8))]
            case "insert":
                blob[at:at] = data.draw(st.binary(max_size=8))
            case "again":
                blob += blob[at:]
        if not blob:
            return
    payload = bytes(blob)
    found = ENGINE.read(payload, NOW_MS)
    if found is not None:
        same(found, read_by_twin(payload, NOW_MS))


SPOILED = [case for case in (*REQUIRED, *OPTIONAL) if case.expected != PASSED]


@pytest.mark.parametrize("case", SPOILED, ids=lambda case: case.name)
def test_what_is_spoiled_is_left_to_the_twin_to_name(case: Case) -> None:
    request = good_request()
    case.spoil(request)
    assert ENGINE.read(request.SerializeToString(), NOW_MS + 10**12) is None


@pytest.mark.parametrize("make", [full_request, least_request, good_request])
def test_a_good_request_does_not_need_the_twin(make: Any) -> None:
    request: enrichment_pb2.EnrichAuthorizationRequest = make()
    payload = request.SerializeToString()
    found = ENGINE.read(payload, NOW_MS + 10**12)
    assert found is not None
    assert found.presence != PRESENCE_UNKNOWN
    same(found, read_by_twin(payload, NOW_MS + 10**12))
