"""The engine makes the shares of a payment as its twin does, whatever it has and whoever they are for."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichment.contact import HASHED_MASK
from enrichment.families.velocity import PLACES
from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import Address, Assessment, Browser, Facts, History, Payment
from enrichment.reader import native_reader, read_by_twin
from enrichment.signals import PROVIDED, SCORE_MASK, SOURCES, Signals, presence
from enrichment.ways import rows
from gateway.runtime.native import engines
from gateway.sealing.body import routing_of
from gateway.sealing.content_key import ContentKey
from gateway.sealing.pseudonyms_macs import CardTokens, Macs
from gateway.sharing.encode import elements_of
from gateway.sharing.share import Target, TwinShares, make_shares
from issuernetwork.storage.v1 import journal_pb2
from issuernetwork.v1 import enrichment_pb2
from tests.bad_input import good_request
from tests.property.test_reader_twins import spoil
from tests.unit.enrichment.requests import NOW_MS, full_request, least_request

if not hasattr(engines, "Shares"):
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

READ = native_reader(engines).read
TEXTS = st.text(max_size=12) | st.sampled_from(["", "Ab", "ÄB", 'a"B', "A\\b", "\x1fA", "ŉ"])
NUMBERS = st.integers(-(2**40), 2**63 - 1)
SHARES_OF_ONE = st.floats(0, 1) | st.sampled_from([0.5000076293945312, 1e-5, 0.0001, 100.0, 0.1, 2.0**-17])
FLOATS = SHARES_OF_ONE | st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.none() | st.tuples(*[st.integers(0, 2**20)] * 8)
VALUES = st.recursive(
    TEXTS | NUMBERS | FLOATS | st.booleans(), lambda inner: st.lists(inner, max_size=2), max_leaves=3
)
ADDRESSES = st.builds(Address, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
ASSESSMENTS = st.builds(
    Assessment, TEXTS, TEXTS, TEXTS, FLOATS, FLOATS, FLOATS, st.booleans(), st.integers(0, 999),
    st.lists(TEXTS, max_size=4).map(tuple), st.none() | FLOATS, TEXTS,
)  # fmt: skip
VELOCITIES = st.tuples(*[COUNTS] * 5)
FOUND = st.dictionaries(st.sampled_from(sorted(PROVIDED)), VALUES)
FACTS = st.builds(
    Facts,
    st.none() | VELOCITIES | VELOCITIES.map(engines.Counted),
    st.just(()),
    FOUND | FOUND.map(engines.Findings),
    st.just(0),
)
PLAIN = {source for source in SOURCES.values() if isinstance(source, str) and "." not in source}
NAMES = sorted({*PLAIN, "email", "ds_trans_id", "avs_result", "cvv_result", "mit_reason"})
WHOLE = sum(1 << number for number in SOURCES)
MASKS = st.sets(st.sampled_from(sorted(SOURCES))).map(lambda numbers: sum(1 << one for one in numbers))


@st.composite
def knowns(draw: Any) -> Signals:
    payment = read_by_twin(full_request().SerializeToString(), NOW_MS)
    assert isinstance(payment, Payment)
    for name, text in draw(st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=8)).items():
        if isinstance(getattr(payment, name), str):
            setattr(payment, name, text)
    payment.amount_minor, payment.attempt_no = draw(NUMBERS), draw(st.integers(1, 99))
    payment.channel = draw(st.integers(0, 6))  # some that the words have not
    payment.billing, payment.shipping = draw(st.none() | ADDRESSES), draw(st.none() | ADDRESSES)
    payment.history = draw(st.none() | st.just(History(1, None, 3, 4, 5, 6, 7, 8)))
    payment.browser = draw(st.none() | st.builds(Browser, TEXTS, TEXTS, NUMBERS, NUMBERS))
    payment.location = draw(st.none() | st.tuples(st.floats(-90, 90), st.floats(-180, 180)))
    match = draw(st.none() | st.booleans())
    return Signals(payment, draw(FACTS), WHOLE, 0, (), draw(ASSESSMENTS), match)


FAULT = "fault"
HIGH = FIELD_BY_NAME["recommendation"].number
assert HIGH > 64
ELEMENTS = elements_of([("DE48", "12")])
KEY = (bytes(range(32)), b"head.wrapped.", b"head", b"\xff" * 12)
SECRETS = (b"u" * 32, b"v" * 32, b"s" * 32)
TARGETS = st.tuples(
    TEXTS,
    TEXTS,
    st.integers(1, 2**31),
    st.binary(min_size=1, max_size=80),
    st.none() | st.tuples(st.integers(1, 2**31), st.binary(min_size=1, max_size=9)),
)
ORDERS = st.lists(
    st.tuples(
        TARGETS, MASKS, st.booleans(), st.sampled_from([b"", b'"email_hash":[1]']), st.binary(max_size=9),
        TEXTS, st.integers(0, 5), st.sampled_from([b"", ELEMENTS]),
    ),
    max_size=3,
)  # fmt: skip


def _made(native: bool, known: Signals, orders: list[Any], *common: Any) -> Any:
    """What one of the two makes of the orders, or FAULT. All are under one content key."""
    make_key, make_tokens = (engines.ContentKey, engines.CardTokens) if native else (ContentKey, CardTokens)
    shares, make_target = make_shares((engines.Macs if native else Macs)(*SECRETS))
    assert isinstance(shares, TwinShares) is not native
    assert (make_target is Target) is not native
    key, tokens, asked = make_key(*KEY), {}, []
    for (program, kid, epoch, secret, before), mask, hashed, members, part, consent, arm, told in orders:
        one = tokens.setdefault(secret, make_tokens(secret))
        older = None if before is None else (before[0], make_tokens(before[1]))
        target = make_target(program, routing_of("i", "r", program, 1), kid, key, epoch, one, older)
        mask |= HASHED_MASK if hashed else 0
        asked.append((target, mask, members if hashed else b"", part, consent, arm, told))
    try:
        return shares.seal(known, *common, asked)
    except Exception:  # of several faults they may name another
        return FAULT


@given(
    known=knowns(),
    digits=st.sampled_from(["", "9010010100000007"]),
    sender_id=TEXTS,
    keys=st.lists(TEXTS, max_size=3).map(tuple),
    expires_at_ms=st.integers(0, 2**45),
    orders=ORDERS,
)
@settings(max_examples=300, deadline=None)
def test_both_make_the_same_shares_or_fail_alike(
    known: Signals, digits: str, sender_id: str, keys: tuple[str, ...], expires_at_ms: int, orders: list[Any]
) -> None:
    common = digits, sender_id, keys, expires_at_ms
    made = _made(True, known, orders, *common)
    assert made == _made(False, known, orders, *common)
    if made != FAULT:
        for (target, *_), (share_id, told, _) in zip(orders, made, strict=True):
            answer = enrichment_pb2.EnrichAuthorizationResponse()
            answer.MergeFromString(told)
            (decision,) = answer.decisions
            assert (decision.program, decision.share_id) == (target[0], share_id)


@given(known=knowns(), number=st.sampled_from(sorted(SOURCES)))
@settings(max_examples=500, deadline=None)
def test_each_field_alone_is_read_alike(known: Signals, number: int) -> None:
    order = (("p", "k", 1, b"t", None), 1 << number, False, b"", b"", "c", 1, b"")
    made = _made(True, known, [order], "", "s", ("key",), 1)
    assert made == _made(False, known, [order], "", "s", ("key",), 1)


@given(
    velocity=st.tuples(*[st.tuples(*[st.integers(0, 2**32 - 1)] * 8)] * 5),
    found=st.fixed_dictionaries(dict.fromkeys(sorted(PROVIDED), VALUES)),
)
def test_facts_are_shared_alike_whichever_twin_has_counted_and_looked(velocity: Any, found: Any) -> None:
    payment = read_by_twin(full_request().SerializeToString(), NOW_MS)
    assert isinstance(payment, Payment)
    assessment = Assessment("a", "points", "m", 1.0, 0.0, 1.0, True, 5, ())
    mask = sum(1 << number for number in PLACES) | sum(PROVIDED.values())
    order = (("p", "k", 1, b"t", None), mask, False, b"", b"", "c", 1, b"")
    made = []
    for facts in (
        Facts(velocity, (), found),
        Facts(engines.Counted(velocity), (), engines.Findings(found)),
    ):
        known = Signals(payment, facts, WHOLE, 0, (), assessment, True)
        made += [_made(native, known, [order], "", "s", ("key",), 1) for native in (True, False)]
    assert made[0] != FAULT
    assert made == made[:1] * 4


def test_a_record_says_what_the_order_did() -> None:
    payment = read_by_twin(full_request().SerializeToString(), NOW_MS)
    assert isinstance(payment, Payment)
    assessment = Assessment("ein", "model", "m", 0.25, 0.0, 1.0, True, 250, ("a",))
    known = Signals(payment, Facts(), WHOLE, 0, (), assessment, True)
    order = (("risk", "kid", 2, b"t", (1, b"o")), 1 << HIGH | 3, True, b'"x":1', b"", "consent", 1, b"")
    ((share_id, _, recorded),) = _made(True, known, [order], "9010010100000007", "s", ("a", "b"), 9)
    record = journal_pb2.Evaluation()
    record.MergeFromString(recorded)
    (decision,) = record.decisions
    assert (decision.share_id, decision.consent_id, decision.arm) == (share_id, "consent", 1)
    assert (decision.recipient_kid, decision.token_epoch) == ("kid", 2)
    assert len(decision.card_token) == len(decision.previous_card_token) == 26
    assert decision.card_token != decision.previous_card_token
    assert decision.field_mask | decision.field_mask_high << 64 == order[1] | HASHED_MASK
    assert (list(decision.match_keys), decision.expires_at_ms) == (["a", "b"], 9)


def test_a_field_that_signals_have_no_value_of_is_refused_by_both() -> None:
    payment = read_by_twin(full_request().SerializeToString(), NOW_MS)
    assert isinstance(payment, Payment)
    assessment = Assessment("ein", "model", "m", 0.25, 0.0, 1.0, True, 250, ())
    known = Signals(payment, Facts(), WHOLE, 0, (), assessment, True)
    number = next(one for one in range(128) if not (WHOLE | HASHED_MASK) >> one & 1)
    order = (("risk", "kid", 2, b"t", None), 1 << number, False, b"", b"", "", 1, b"")
    assert _made(True, known, [order], "", "s", (), 9) == FAULT
    assert _made(False, known, [order], "", "s", (), 9) == FAULT


def test_every_field_that_has_a_value_has_a_row_and_most_a_way() -> None:
    made = rows()
    assert {number for number, *_ in made} == SOURCES.keys()
    assert sum(1 << number for number, _, way, _ in made if way is not None) & SCORE_MASK == SCORE_MASK
    without = {name for _, name, way, _ in made if way is None}
    assert without == {"initiation", "pan", "is_network_token", "funding", "caller_assessments"}
    assert not any(
        "****" not in repr(one) for one in (TwinShares(Macs(*SECRETS)), make_shares(Macs(*SECRETS))[0])
    )


@given(st.data(), ASSESSMENTS, MASKS)
@settings(max_examples=600, deadline=None)
def test_fields_of_what_the_engine_has_read_are_those_of_what_its_twin_has(
    data: st.DataObject, assessment: Assessment, some: int
) -> None:
    request = data.draw(st.sampled_from([full_request, least_request, good_request]))()
    spoil(request, data)
    payload = request.SerializeToString()
    engine, twin = READ(payload, NOW_MS), read_by_twin(payload, NOW_MS)
    if engine is None or not isinstance(twin, Payment):
        return
    there = presence(twin, []) & WHOLE
    for mask in (there, some, there & some):
        order = (("p", "k", 1, b"t", None), mask, False, b"", b"", "c", 1, b"")
        known = [Signals(one, Facts(), mask, 0, (), assessment, True) for one in (engine, twin)]
        made = _made(True, known[0], [order], "", "s", ("key",), 1)
        assert made == _made(False, known[1], [order], "", "s", ("key",), 1)
