"""The engine joins the segments of a JWS, and takes R || S out of DER, as its twins do."""

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.runtime.native import engines
from gateway.sealing.base64url import joined_by_twin
from gateway.sealing.set import written_by_twin
from gateway.sealing.signer import raw_of_der_by_twin

if not hasattr(engines, "written"):
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

# Of a field of 256 bits, with few bits and with all of them.
NUMBERS = st.integers(1, 2**256 - 1) | st.integers(0, 255).map(lambda bits: 1 << bits)


@given(head=st.binary(max_size=100), data=st.binary(max_size=3_000))
@settings(max_examples=500, deadline=None)
def test_both_join_the_same_segments(head: bytes, data: bytes) -> None:
    assert engines.joined(head, data) == joined_by_twin(head, data)


PARTS = st.binary(max_size=40) | st.text(max_size=40) | st.integers(-(2**70), 2**70)


@given(head=st.binary(max_size=40), parts=st.lists(PARTS, max_size=20).map(tuple))
@example(head=b"", parts=())
@example(head=b"h", parts=('\0\x1f\x7f"\\/\u2028\u00e9\U0001f600', 0, b'"'))
@settings(max_examples=500, deadline=None)
def test_both_write_the_same_payload(head: bytes, parts: tuple[bytes | str | int, ...]) -> None:
    assert engines.written(head, parts) == written_by_twin(head, parts)


@given(r=NUMBERS, s=NUMBERS)
@example(r=1, s=2**256 - 1)
@example(r=127, s=128)
@settings(max_examples=2_000, deadline=None)
def test_both_find_the_same_numbers_in_a_signature(r: int, s: int) -> None:
    der = encode_dss_signature(r, s)
    assert engines.raw_of_der(der) == raw_of_der_by_twin(der) == r.to_bytes(32, "big") + s.to_bytes(32, "big")


@given(r=NUMBERS, s=NUMBERS, data=st.data())
@settings(max_examples=1_000, deadline=None)
def test_what_is_no_signature_of_p256_is_refused_and_nothing_else_happens(
    r: int, s: int, data: st.DataObject
) -> None:
    der = bytearray(encode_dss_signature(r, s))
    at = data.draw(st.integers(0, len(der) - 1))
    der[at] ^= data.draw(st.integers(1, 255))
    cut = bytes(der[: data.draw(st.integers(0, len(der)))])
    for broken in (bytes(der), cut, b"", encode_dss_signature(r, s) + b"\0", encode_dss_signature(2**256, s)):
        try:
            found = engines.raw_of_der(broken)
        except ValueError:
            continue
        # Another number by the change of a bit: the twin has the same then.
        assert found == raw_of_der_by_twin(broken)
