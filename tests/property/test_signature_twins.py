"""The engine joins the segments of a JWS, writes its payload and signs it by ES256 as its twins do."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.runtime.native import engines
from gateway.sealing import base64url
from gateway.sealing.base64url import joined_by_twin
from gateway.sealing.compact import TwinTemplate, Values, compact
from gateway.sealing.keys import SignatureAlgorithm, SigningKey
from gateway.sealing.signer import LocalSigner

if not hasattr(engines, "Es256"):
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256 (FIPS 186-4 D.1.2.3)."""


@given(head=st.binary(max_size=100), data=st.binary(max_size=3_000))
@settings(max_examples=500, deadline=None)
def test_both_join_the_same_segments(head: bytes, data: bytes) -> None:
    assert engines.joined(head, data) == joined_by_twin(head, data)


def test_data_of_every_length_is_joined_alike() -> None:
    data = bytes((37 * at * at + 11) % 256 for at in range(200))
    for size in range(len(data)):
        assert engines.joined(b"h", data[:size]) == joined_by_twin(b"h", data[:size])


VALUES = st.binary(max_size=40) | st.text(max_size=40) | st.integers(-(2**70), 2**70)
CHUNKS = st.binary(max_size=40)
Filled = tuple[bytes, tuple[bytes, ...], Values]
"""A head, chunks, and a value for each gap between them."""


def filled(chunks: list[tuple[bytes, bytes | str | int]], head: bytes, last: bytes) -> Filled:
    return head, (*(chunk for chunk, _ in chunks), last), tuple(value for _, value in chunks)


FILLED = st.builds(filled, st.lists(st.tuples(CHUNKS, VALUES), max_size=20), CHUNKS, CHUNKS)
NOTHING: Filled = (b"", (b"",), ())
ODD: Filled = (b"h", (b"",) * 4, ('\0\x1f\x7f"\\/\u2028\u00e9\U0001f600', 0, b'"'))


@given(of=FILLED)
@example(of=NOTHING)
@example(of=ODD)
@settings(max_examples=500, deadline=None)
def test_both_write_the_same_payload_and_the_same_again(of: Filled) -> None:
    head, chunks, values = of
    engine, twin = engines.Template(head, chunks), TwinTemplate(head, chunks)
    payload = b"".join(as_json(part) for pair in zip(chunks, (*values, b""), strict=True) for part in pair)
    for _ in range(2):
        assert engine.written(values) == twin.written(values) == joined_by_twin(head, payload)
    assert repr(engine) == repr(twin)


def as_json(part: bytes | str | int) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(part, ensure_ascii=False).encode()


@pytest.mark.parametrize("make", [engines.Template, TwinTemplate])
def test_neither_writes_more_values_or_fewer_than_it_has_gaps(make: Any) -> None:
    template = make(b"h", (b"a", b"b"))
    for values in ((), (1, 2)):
        with pytest.raises(ValueError, match="each gap"):
            template.written(values)
    assert template.written((1,)) == joined_by_twin(b"h", b"a1b")
    with pytest.raises(ValueError, match="at least one chunk"):
        make(b"h", ())


KEYS = st.integers(1, ORDER - 1) | st.integers(0, 255).map(lambda bits: 1 << bits)


@given(scalar=KEYS, of=FILLED)
@example(scalar=1, of=NOTHING)
@example(scalar=ORDER - 1, of=ODD)
@settings(max_examples=300, deadline=None)
def test_both_sign_the_same_token_by_every_key(scalar: int, of: Filled) -> None:
    head, chunks, values = of
    private = ec.derive_private_key(scalar, ec.SECP256R1())
    key = SigningKey("k", SignatureAlgorithm.ES256, private)
    engine, twin = LocalSigner(key), LocalSigner(key, native=None)
    template, by_twin = engines.Template(head, chunks), TwinTemplate(head, chunks)
    signing_input = by_twin.written(values)
    tokens = [engine.compact(template, values)]
    tokens += [compact(twin, one, values) for one in (template, by_twin)]
    for token in tokens:
        assert token[: len(signing_input)] == signing_input
        assert verified(private.public_key(), token)
    for signature in (engine.sign(signing_input), twin.sign(signing_input)):
        assert verified(private.public_key(), joined_by_twin(signing_input, signature))


def verified(public: ec.EllipticCurvePublicKey, token: bytes) -> bool:
    """By OpenSSL. Raises InvalidSignature."""
    signing_input, _, segment = token.rpartition(b".")
    raw = base64url.decode(segment)
    assert len(raw) == 64
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public.verify(der, signing_input, ec.ECDSA(SHA256()))
    return True
