"""A card number is masked in every type that holds one, and behind the edge nothing holds one."""

import contextlib
import copy
import dataclasses
import gc
import json
import pickle
import pprint
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from enrichment.masked import MaskedStruct, Pan
from enrichment.payment import Payment
from enrichment.reader import native_reader, read_by_twin
from enrichment.signals import Signals, signals
from gateway.runtime.native import engines
from gateway.server.verbs.subjects import CardNamed
from gateway.sharing.encode import Encoder
from gateway.sharing.items import Item, Refusal, Tally
from gateway.sharing.ports import IncomingCall
from gateway.sharing.steps import Steps
from gateway.sharing.work import Batch, Work
from issuernetwork.v1 import enrichment_pb2
from issuernetwork.v1.common_pb2 import SHARE_STATUS_SHARED
from tests.kit.payments import HARBOR, MERIDIAN, pan, payment
from tests.unit.sharing.kit import NOW_MS, Kit, requests

CARD = 4_711_234
DIGITS = pan(HARBOR, CARD)
SIXTEEN_DIGITS = re.compile(r"(?=([0-9]{16}))")


def checked(**card: str) -> Payment:
    request = payment(1, iin=HARBOR, card=CARD, now_ms=NOW_MS)
    for name, value in card.items():
        setattr(request.card, name, value)
    found = read_by_twin(request.SerializeToString(), NOW_MS)
    assert isinstance(found, Payment)
    return found


def read_by_engine() -> Payment:
    if engines is None:
        pytest.skip("the engines of native/ are not built here")
    found: Payment = native_reader(engines).read(item().payload, NOW_MS)
    assert found.read is not None
    return found


def item() -> Item:
    return Item("shop-1", payment(1, iin=HARBOR, card=CARD, now_ms=NOW_MS).SerializeToString())


def seen() -> Signals:
    one = checked()
    return signals(one, Work(0, item(), one).facts)


HOLDERS: dict[str, Callable[[], Any]] = {
    "Pan": lambda: Pan(DIGITS),
    "Pan in a list": lambda: [Pan(DIGITS), {"pan": Pan(DIGITS)}],
    "Payment": checked,
    "Payment of a network token": lambda: checked(network_token=DIGITS, iin=HARBOR, last4="0007"),
    "Payment that the engine has read": read_by_engine,
    "what the engine has read": lambda: read_by_engine().read,
    "Signals": seen,
    "Work": lambda: Work(0, item(), checked()),
    "Item": item,
    "IncomingCall": lambda: IncomingCall(1, 0, item().payload, "Bearer x", None),
    "CardNamed": lambda: CardNamed(pan=Pan(DIGITS)),
    "Batch": lambda: Batch(
        NOW_MS, None, None, True, None, NOW_MS, [None],  # type: ignore[arg-type]
        works=[Work(0, item(), checked())], again=[(0, item(), checked(), b"")],
    ),
}  # fmt: skip
"""Everything between the edge and `drop_pan` that holds a number, or the request that has it."""

RENDERED: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "str": str,
    "f-string": lambda one: f"{one} {one!r} {one!s}",
    "percent": lambda one: "%s %r" % (one, one),  # noqa: UP031 - as loggers format
    "pprint": pprint.pformat,
    "exception": lambda one: repr(ValueError(one)) + str(KeyError(one)),
    "json": json.dumps,
    "json by text": lambda one: json.dumps(one, default=str),
    "msgspec": msgspec.json.encode,
    "builtins": msgspec.to_builtins,
    "pickle": pickle.dumps,
    "deep copy": lambda one: repr(copy.deepcopy(one)),
    "asdict": lambda one: repr(dataclasses.asdict(one)),
    "struct asdict": lambda one: repr(msgspec.structs.asdict(one)),
    "struct astuple": lambda one: repr(msgspec.structs.astuple(one)),
}
_AS_THEY_ARE = {("Item", name) for name in ("json by text", "builtins", "msgspec")} | {
    ("IncomingCall", name) for name in ("json by text", "builtins", "msgspec")
}
"""A tuple of bytes is a list to JSON whatever its `repr` says: nothing of ours encodes one."""


@pytest.mark.parametrize("how", RENDERED)
@pytest.mark.parametrize("holder", HOLDERS)
def test_what_holds_a_card_number_shows_it_in_no_text_and_is_not_carried_off(holder: str, how: str) -> None:
    if (holder, how) in _AS_THEY_ARE:
        pytest.skip("bytes of a request")
    one = HOLDERS[holder]()
    try:
        text = RENDERED[how](one)
    except (TypeError, ValueError, AttributeError, pickle.PicklingError) as refused:
        text = f"{refused!r} {refused}"
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    assert DIGITS not in str(text)
    assert DIGITS.encode() not in bytes(str(text), "utf-8")


def test_what_the_engine_has_read_gives_no_number_once_it_is_dropped() -> None:
    one = read_by_engine()
    assert one.pan == Pan(DIGITS)
    one.drop_pan()
    assert (one.pan, one.network_token, one.unit[1]) == (None, None, "")
    assert one.truncated_iin + one.last4 == DIGITS[:8] + DIGITS[-4:]


def test_what_was_read_of_a_request_goes_with_its_batch() -> None:
    kit = Kit()
    items = [Item("shop-1", one.SerializeToString()) for one in requests(40, iin=HARBOR)]
    before = [sys.getrefcount(one.payload) for one in items]
    kit.gateway.enrich(items, Tally())
    # Whatever has a request has a reference to its bytes.
    assert [sys.getrefcount(one.payload) for one in items] == before


IN_A_BODY = re.compile(rb'"email":"wiped-[0-9]{9}@')
"""As a body has it, which is not as the request has it. The pattern is not what it looks for."""


@pytest.mark.skipif(engines is None, reason="the engines of native/ are not built here")
def test_nothing_that_was_shared_stays_in_memory_in_the_clear() -> None:
    """What shares are written into is kept for the next payment, and its text is not."""
    kit = Kit()

    def share(local_part: str, card: int) -> bool:
        request = payment(1, iin=HARBOR, card=card, now_ms=NOW_MS, prefix=f"{local_part}{card}")
        request.customer.email = f"{local_part}@mailbox-1.net"
        (answer,) = kit.results(request)
        assert isinstance(answer, bytes)
        decisions = enrichment_pb2.EnrichAuthorizationResponse.FromString(answer).decisions
        return SHARE_STATUS_SHARED in [one.status for one in decisions if one.program == "enhanced-data"]

    in_treatment = next(card for card in range(99) if share("longer-so-that-nothing-grows-any-more", card))
    assert share("wiped-123456789", in_treatment)
    kept = b'"email":"wiped-%d@' % 987_654_321
    found = {one.group() for part in written_memory() for one in IN_A_BODY.finditer(part)}
    assert found == {kept}, "what is kept on purpose is seen, and nothing else"


def written_memory() -> Iterator[bytes]:
    """What this process may write to, as it stands."""
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if rights.startswith("rw"):
                first, last = (int(one, 16) for one in span.split("-"))
                with contextlib.suppress(OSError):  # what is a device's
                    memory.seek(first)
                    yield memory.read(last - first)


def test_a_request_that_is_refused_does_not_repeat_its_number() -> None:
    request = payment(1, iin=HARBOR, card=CARD, now_ms=NOW_MS)
    request.card.pan = bad = DIGITS[:-1] + str((int(DIGITS[-1]) + 1) % 10)
    (refused,) = Kit().results(request)
    assert isinstance(refused, Refusal)
    assert bad not in repr(refused) + str(refused) + refused.message


def holding(roots: list[Any], secrets: frozenset[str]) -> list[str]:
    """Types of what refers to one of the texts, from `roots` on: modules and their caches are reached too.

    What msgspec does not let the collector see is followed by hand.
    """
    found: list[str] = []
    reached: set[int] = set()
    waiting = [("root", one) for one in roots]
    while waiting:
        owner, one = waiting.pop()
        if isinstance(one, str | bytes | bytearray):
            text = one if isinstance(one, str) else bytes(one).decode("latin-1")
            if secrets.intersection(SIXTEEN_DIGITS.findall(text)):
                found.append(f"{type(one).__name__} in {owner}")
        elif id(one) not in reached and one is not secrets:
            reached.add(id(one))
            inner = gc.get_referents(one)
            if isinstance(one, MaskedStruct):
                inner += [getattr(one, field) for field in one.__struct_fields__]
            waiting += [(type(one).__name__, each) for each in inner]
    return found


@pytest.mark.parametrize("kept", ["in a struct", "in a cache", "in an attribute"])
def test_the_search_finds_a_number_wherever_it_is_kept(kept: str) -> None:
    kit: Any = Kit()
    if kept == "in a struct":
        kit.gateway._kept = [Work(0, item(), checked())]
    elif kept == "in a cache":
        kit.gateway._share_sealer._pseudonyms.card_tokens(DIGITS, 1)
    else:
        kit.gateway._encoder._tails[1, f"x{DIGITS}x"] = b""
    assert holding([kit], frozenset({DIGITS}))


@pytest.mark.parametrize("by", ["engine", "twin"])
def test_the_number_is_gone_before_answer_and_record_are_written(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "engine" and engines is None:
        pytest.skip("the engines of native/ are not built here")
    if by == "twin":
        monkeypatch.setattr(Steps, "conclude", lambda self, batch: batch.works)
    seen: list[tuple[Any, Any]] = []
    tell = Encoder.issues

    def spy(self: Encoder, payment: Payment, *rest: Any) -> bytes:
        seen.append((payment.pan, payment.network_token))
        return tell(self, payment, *rest)

    monkeypatch.setattr(Encoder, "issues", spy)
    kit = Kit()
    kit.velocity.fault = OSError("down")  # so that each answer has something left out
    for one in requests(20, iin=HARBOR):
        kit.results(one)
    assert seen == [(None, None)] * 20


def test_behind_the_edge_nothing_of_a_gateway_holds_a_number_or_a_token_after_its_batch() -> None:
    kit = Kit()
    # Numbers of no other test: what pytest keeps of those is reached too.
    asked = [payment(n, iin=(HARBOR, MERIDIAN)[n % 2], card=CARD + 1 + n, now_ms=NOW_MS) for n in range(100)]
    for number, request in enumerate(requests(20, iin=HARBOR, prefix="t")):
        request.card.network_token = pan("41000000", CARD + 1 + number)
        request.card.iin, request.card.last4 = HARBOR, f"{number:04d}"
        asked.append(request)
    secrets = frozenset(one.card.pan or one.card.network_token for one in asked)
    assert len(secrets) == 120
    kit.results(*asked)
    kit.results(*asked)  # repeats are answered from what was kept
    assert not kit.faults
    assert holding([kit], secrets) == []
