"""Records that are written by hand say what protobuf would write."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.records.reasons import Reason
from gateway.sharing.items import Item
from gateway.sharing.record import frame_of, record_of
from gateway.sharing.wire import varint
from issuernetwork.storage.v1 import journal_pb2

own_ids = ("request_id", "merchant_id", "platform_id", "payment_intent_id")
codes = ("mcc", "cardholder_region", "merchant_country")
names_given = ("evaluation_id", "sender_id", "issuer_id")
ids = st.text(max_size=64)
ascii_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=64)
key = st.binary(min_size=16, max_size=16)
references = (
    "network_match_key",
    "acquiring_institution_id",
    "stan",
    "transmission_date_time",
    "retrieval_reference_number",
    "currency",
    "last4",
    "card_acceptor_id",
)


@given(
    st.fixed_dictionaries(
        dict.fromkeys(("request_id", "merchant_id", "platform_id", "payment_intent_id"), ids)
    ),
    st.fixed_dictionaries(
        dict.fromkeys((*references, "mcc", "cardholder_region", "merchant_country"), ascii_text)
    ),
    st.fixed_dictionaries(
        {"evaluation_id": ids, "sender_id": st.text(max_size=200), "issuer_id": ascii_text}
    ),
    st.lists(st.none() | key, min_size=0, max_size=5),
    st.integers(0, 10**12),
    st.integers(1, 2**42),
    st.integers(1, 2**31 - 1),
    st.booleans(),
    st.binary(max_size=400),
    st.sampled_from(((0, b""), (1, b"c" * 16))),
)
def test_a_record_written_by_hand_is_the_message_that_protobuf_makes(
    own: dict[str, Any],
    coded: dict[str, Any],
    names: dict[str, Any],
    keys: list[bytes | None],
    amount: int,
    at_ms: int,
    attempt: int,
    degraded: bool,
    answer: bytes,
    card: tuple[int, bytes],
) -> None:
    card_source, card_key = card
    payment: Any = SimpleNamespace(
        **own,
        **coded,
        truncated_iin="90100101",
        amount_minor=amount,
        initiated_at_ms=at_ms,
        attempt_no=attempt,
        channel=4,
        written=b"",
    )
    work: Any = SimpleNamespace(
        payment=payment, digest=b"d" * 16, unit_key=b"u" * 16, card_key=card_key,
        card_source=card_source, unit_source=2,
        velocity_keys=tuple(keys), evaluation_id=names["evaluation_id"],
        issuer=SimpleNamespace(issuer_id=names["issuer_id"]), answer=answer,
        item=Item(names["sender_id"], b"", Reason.OVER_DEADLINE if degraded else None),
    )  # fmt: skip
    batch: Any = SimpleNamespace(
        now_ms=at_ms + 5, table=SimpleNamespace(version=7), view=SimpleNamespace(epoch=300)
    )
    batch.frame = frame_of(batch)
    seen: Any = SimpleNamespace(assessment=SimpleNamespace(normalised=999))
    plain: Any = journal_pb2.Evaluation
    expected = plain(
        **own,
        **names,
        request_digest=b"d" * 16,
        attempt_no=attempt,
        initiated_at_ms=at_ms,
        received_at_ms=at_ms + 5,
        decided_at_ms=at_ms + 5,
        unit_key=b"u" * 16,
        card_key=card_key,
        card_source=card_source,
        unit_source=2,
        score=999,
        amount_minor=amount,
        currency=coded["currency"],
        channel=4,
        mcc=coded["mcc"],
        velocity_keys=[one or b"" for one in keys],
        policy_version=7,
        schema_version=1,
        switch_epoch=300,
        answer=answer,
        degraded=degraded,
        cardholder_region=coded["cardholder_region"],
        merchant_country=coded["merchant_country"],
    )
    for name in references:
        setattr(expected.match, name, coded[name])
    expected.match.iin = "90100101"
    expected.match.amount_minor = amount
    expected.match.attempted_at_ms = at_ms
    assert journal_pb2.Evaluation.FromString(record_of(batch, work, seen, b"")) == expected


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_read_back_as_the_number(number: int) -> None:
    data = varint(number)
    assert sum((byte & 127) << 7 * place for place, byte in enumerate(data)) == number
    assert [byte >> 7 for byte in data] == [1] * (len(data) - 1) + [0]
