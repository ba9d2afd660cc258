"""Match keys: the same form on both sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuernetwork.match_keys import References, is_composite, match_keys
from issuernetwork.v1 import common_pb2 as v1

FULL = References(
    network_match_key="N1", acquiring_institution_id="400001", stan="123",
    transmission_date_time="0102030405", retrieval_reference_number="000000000007", amount_minor=1000,
    currency="USD", iin="90100101", last4="0042", card_acceptor_id="ACCEPTOR-1",
)  # fmt: skip


def test_key_kinds_come_before_the_composite() -> None:
    assert match_keys(FULL) == (
        "net:N1",
        "rrn:000000000007:400001",
        "stan:000123:0102030405:400001",
        "cmp:1000:USD:901001:0042:ACCEPTOR-1",
    )
    assert [is_composite(key) for key in match_keys(FULL)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("missing", "left"),
    [
        ("acquiring_institution_id", 2),
        ("transmission_date_time", 3),
        ("last4", 3),
        ("card_acceptor_id", 3),
        ("currency", 3),
    ],
)
def test_a_kind_with_a_missing_part_is_left_out(missing: str, left: int) -> None:
    values = {name: getattr(FULL, name) for name in References.__dataclass_fields__}
    assert len(match_keys(References(**{**values, missing: ""}))) == left


def test_nothing_gives_no_key() -> None:
    assert match_keys(References()) == ()
    assert match_keys(v1.MatchReferences()) == ()


texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)


@given(
    st.fixed_dictionaries(
        {name: texts for name in References.__dataclass_fields__ if name != "amount_minor"}
        | {"amount_minor": st.integers(0, 1 << 40)}
    ),
    st.integers(0, 3),
)
def test_the_message_and_plain_values_give_the_same_keys_whatever_their_padding(
    values: dict[str, object], padding: int
) -> None:
    padded = {
        name: value + " " * padding if isinstance(value, str) else value for name, value in values.items()
    }
    plain = match_keys(References(**values))  # type: ignore[arg-type]
    assert match_keys(v1.MatchReferences(**padded)) == plain  # type: ignore[arg-type]
