"""The engine joins the segments of a JWS, writes its payload and signs it by ES256 as its twins do."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.runtime.native import engines
from gateway.sealing import base64url
from gateway.sealing.base64url import joined_by_twin
from gateway.sealing.compact import compact, written_by_twin
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


PARTS = st.binary(max_size=40) | st.text(max_size=40) | st.integers(-(2**70), 2**70)


@given(head=st.binary(max_size=40), parts=st.lists(PARTS, max_size=20).map(tuple))
@example(head=b"", parts=())
@example(head=b"h", parts=('\0\x1f\x7f"\\/\u2028\u00e9\U0001f600', 0, b'"'))
@settings(max_examples=500, deadline=None)
def test_both_write_the_same_payload(head: bytes, parts: tuple[bytes | str | int, ...]) -> None:
    assert engines.written(head, parts) == written_by_twin(head, parts)


KEYS = st.integers(1, ORDER - 1) | st.integers(0, 255).map(lambda bits: 1 << bits)


@given(scalar=KEYS, head=st.binary(max_size=40), parts=st.lists(PARTS, max_size=20).map(tuple))
@example(scalar=1, head=b"", parts=())
@example(scalar=ORDER - 1, head=b"h", parts=(b"{}",))
@settings(max_examples=300, deadline=None)
def test_both_sign_the_same_token_by_every_key(
    scalar: int, head: bytes, parts: tuple[bytes | str | int, ...]
) -> None:
    private = ec.derive_private_key(scalar, ec.SECP256R1())
    key = SigningKey("k", SignatureAlgorithm.ES256, private)
    engine, twin = LocalSigner(key), LocalSigner(key, native=None)
    signing_input = written_by_twin(head, parts)
    for token in (engine.compact(head, parts), compact(twin, head, parts)):
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
