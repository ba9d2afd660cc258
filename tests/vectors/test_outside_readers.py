"""Libraries of others read the golden vectors: every profile and algorithm that each of them supports.

They are pinned in requirements/readers.txt and package-lock.json, for tests alone. Where one is not installed
its tests say so and are skipped; `make test` installs those of Python, `make lint` the one of node.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.sealing import base64url
from gateway.sealing.set import SHARE_EVENT
from issuernetwork._jose import open_key
from tests.vectors.golden_keys import unsafe_recipient_jwks
from tests.vectors.test_golden import CLEAR, GOLDEN, REFUSED, SHARES, read

ROOT = Path(__file__).resolve().parents[2]
READER = Path(__file__).resolve().parent / "readers" / "jose_reader.mjs"
JWKS, PRIVATE = read("jwks.json"), unsafe_recipient_jwks()
ISS, AUD = read("shares.json")["iss"], read("shares.json")["aud"]
ALL = SHARES + CLEAR


def named(vector: dict[str, Any]) -> str:
    return ("" if vector in SHARES else "clear, ") + str(vector["name"])


def split(claims: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Claims as the file has them, and the sealed body that stood in them."""
    sealed = claims["events"].get(SHARE_EVENT, {}).pop("encryptedData", "")
    return claims, sealed


def key_of(keys: list[dict[str, Any]], header: dict[str, Any]) -> dict[str, Any]:
    """The key that a header names, and only for the algorithm that the key is for."""
    (found,) = (key for key in keys if key["kid"] == header["kid"] and key["alg"] == header["alg"])
    return found


# PyJWT: signatures. It has no JWE.


@pytest.mark.parametrize("vector", ALL, ids=named)
def test_pyjwt_verifies_every_signature_of_both_profiles(vector: dict[str, Any]) -> None:
    jwt = pytest.importorskip("jwt", reason="PyJWT is not installed: requirements/readers.txt")
    token, alg = vector["signed_set"], vector["header"]["alg"]
    key = jwt.PyJWK(key_of(JWKS["keys"], jwt.get_unverified_header(token)))
    found = jwt.decode_complete(
        token, key, algorithms=[alg], audience=AUD, issuer=ISS, options={"verify_iat": False}
    )
    assert found["header"] == vector["header"]
    assert split(found["payload"])[0] == vector["claims"]
    others = [other["alg"] for other in JWKS["keys"] if other["alg"] != alg]
    with pytest.raises(jwt.InvalidAlgorithmError):
        jwt.decode(token, key, algorithms=others, audience=AUD, issuer=ISS)


# jwcrypto: signatures and JWE.


@pytest.mark.parametrize("vector", ALL, ids=named)
def test_jwcrypto_verifies_and_opens_every_share_of_both_profiles(vector: dict[str, Any]) -> None:
    pytest.importorskip("jwcrypto", reason="jwcrypto is not installed: requirements/readers.txt")
    from jwcrypto import jwe, jwk, jws

    signed = jws.JWS()
    signed.allowed_algs = [vector["header"]["alg"]]
    signed.deserialize(vector["signed_set"], jwk.JWK(**key_of(JWKS["keys"], vector["header"])))
    assert signed.jose_header == vector["header"]
    claims, sealed = split(json.loads(signed.payload))
    assert claims == vector["claims"]
    if not sealed:
        assert vector in CLEAR
        return
    header = vector["sealed_header"]
    opened = jwe.JWE(algs=[header["alg"], header["enc"]])
    opened.deserialize(sealed, jwk.JWK(**key_of(PRIVATE, header)))
    assert opened.jose_header == header
    assert json.loads(opened.payload) == vector["body"]


# Mastercard's client encryption: JWE with RSA. It verifies nothing, so that the signature has to be ours.

RSA_SHARES = [vector for vector in SHARES if vector["sealed_header"]["alg"] == "RSA-OAEP-256"]


def opened_by_mastercard(sealed: str, folder: Path) -> Any:
    from client_encryption.jwe_encryption import decrypt_payload
    from client_encryption.jwe_encryption_config import JweEncryptionConfig

    (private,) = (key for key in PRIVATE if key["kty"] == "RSA")
    pem = folder / "unsafe-test-key.pem"
    loaded: Any = open_key(private).key
    pem.write_bytes(loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    config = JweEncryptionConfig(
        {
            "paths": {"$": {"toEncrypt": {}, "toDecrypt": {"encryptedData": "$"}}},
            "encryptedValueFieldName": "encryptedData",
            "decryptionKey": str(pem),
        }
    )
    return decrypt_payload({"encryptedData": sealed}, config)


@pytest.mark.parametrize("vector", RSA_SHARES, ids=named)
def test_mastercards_client_opens_every_body_that_is_sealed_with_rsa(
    vector: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip(
        "client_encryption", reason="Mastercard's client is not installed: requirements/readers.txt"
    )
    payload = json.loads(base64url.decode(vector["signed_set"].split(".")[1].encode()))
    assert opened_by_mastercard(split(payload)[1], tmp_path) == vector["body"]


# node's `jose`: signatures and JWE, by a receiver that compares all that it has to.


def read_by_jose(tokens: list[str]) -> list[dict[str, Any]]:
    node = shutil.which("node")
    if node is None or not (ROOT / "node_modules" / "jose").is_dir():
        pytest.skip("node's jose is not installed: node 20 and `npm install` (make lint does it)")
    asked = {"jwks": JWKS, "private": {"keys": PRIVATE}, "iss": ISS, "aud": AUD, "tokens": tokens}
    done = subprocess.run(
        [node, str(READER)], input=json.dumps(asked), cwd=ROOT,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(found) == len(tokens)
    return found


def test_jose_of_node_verifies_and_opens_every_share_of_both_profiles() -> None:
    for vector, found in zip(ALL, read_by_jose([one["signed_set"] for one in ALL]), strict=True):
        assert found.get("refused") is None, f"{named(vector)}: {found['refused']}"
        assert (found["header"], found["claims"]) == (vector["header"], vector["claims"]), named(vector)
        assert found.get("sealedHeader") == vector.get("sealed_header"), named(vector)
        assert found.get("body") == vector.get("body"), named(vector)


def test_a_receiver_on_jose_of_node_takes_none_of_the_tokens_that_are_to_be_refused() -> None:
    found = read_by_jose([one["signed_set"] for one in REFUSED])
    taken = [one["name"] for one, read in zip(REFUSED, found, strict=True) if "refused" not in read]
    assert not taken


def test_every_profile_signature_and_wrap_has_a_reader_besides_ours() -> None:
    signatures = {vector["header"]["alg"] for vector in CLEAR}
    assert signatures == {key["alg"] for key in JWKS["keys"]}
    assert len(SHARES) == len(signatures) * len(PRIVATE)
    assert len(RSA_SHARES) == len(signatures)
    assert (GOLDEN / "clear.json").exists()
