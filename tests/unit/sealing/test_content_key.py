"""A content key at work, from either twin: its form, its nonces, and what it refuses."""

from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sealing import base64url
from gateway.sealing.content_key import ContentKey
from tests.unit.sealing.twins import both_twins

# Test case 16 of "The Galois/Counter Mode of Operation" (McGrew and Viega), AES-256 with additional data.
KEY = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
NONCE = bytes.fromhex("cafebabefacedbaddecaf888")
HEADER = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
PLAINTEXT = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
CIPHERTEXT = bytes.fromhex(
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
)
TAG = bytes.fromhex("76fc6ece0f4e1768cddf8853bb2d551b")
NONCES = 1 << 96


def content_key(native: Any, *arguments: bytes) -> ContentKey:
    made: ContentKey = getattr(native, "ContentKey", ContentKey)(*arguments)
    return made


def nonce_of(jwe: bytes) -> int:
    return int.from_bytes(base64url.decode(jwe.split(b".")[2]), "big")


@both_twins
def test_the_authors_vector_of_gcm_comes_out_as_a_compact_jwe(native: Any) -> None:
    jwe, digest = content_key(native, KEY, b"header.wrapped.", HEADER, NONCE).seal(PLAINTEXT)
    parts = jwe.split(b".")
    assert parts[:2] == [b"header", b"wrapped"]
    assert [base64url.decode(part) for part in parts[2:]] == [NONCE, CIPHERTEXT, TAG]
    assert digest == sha256(jwe).digest()


@both_twins
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.binary(max_size=400))
def test_cryptography_opens_what_is_sealed(
    native: Any, secret: bytes, header: bytes, plaintext: bytes
) -> None:
    key = content_key(native, secret, b"h.w.", header, bytes(12))
    for number in range(2):
        _, _, nonce, message, tag = map(
            base64url.decode, key.seal(plaintext)[0].replace(b"h.w.", b"..").split(b".")
        )
        assert int.from_bytes(nonce, "big") == number
        assert AESGCM(secret).decrypt(nonce, message + tag, header) == plaintext


@both_twins
@pytest.mark.parametrize("first", [0, 12345, NONCES - 5_000])
def test_no_nonce_repeats_over_ten_thousand_messages_nor_across_a_fault(native: Any, first: int) -> None:
    key = content_key(native, KEY, b"h.w.", b"h", first.to_bytes(12, "big"))
    nonces = []
    for number in range(10_000):
        if number % 1_000 == 0:
            with pytest.raises(TypeError):
                key.seal(None)  # type: ignore[arg-type]
        nonces.append(nonce_of(key.seal(b"same")[0]))
    assert len(set(nonces)) == 10_000
    # What failed took a nonce with it: none is left for the next message that anything was tried under.
    assert nonces[0] == (first + 1) % NONCES
    assert nonces[-1] == (first + 10_009) % NONCES


@both_twins
@settings(max_examples=20)
@given(st.binary(max_size=40).filter(lambda secret: len(secret) != 32))
def test_a_secret_or_a_nonce_of_another_length_is_refused_without_its_value(
    native: Any, secret: bytes
) -> None:
    with pytest.raises(ValueError, match=r"^a content key of A256GCM has 32 bytes$"):
        content_key(native, secret, b"h.w.", b"h", NONCE)
    for nonce in (b"", bytes(11), bytes(13), bytes(16)):
        with pytest.raises(ValueError, match=r"^a nonce of A256GCM has 12 bytes$"):
            content_key(native, KEY, b"h.w.", b"h", nonce)


@both_twins
def test_nothing_of_a_content_key_shows(native: Any) -> None:
    key = content_key(native, KEY, b"h.w.", b"h", NONCE)
    with pytest.raises(TypeError) as refused:
        key.seal("4711 canary")  # type: ignore[arg-type]
    assert repr(key) == str(key) == "ContentKey(****)"
    assert "canary" not in str(refused.value)
    with pytest.raises(TypeError):
        vars(key)
