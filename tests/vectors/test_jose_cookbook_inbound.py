"""The examples of RFC 7520 and RFC 8037 where others send tokens, and in forms that we do not take."""

import json
from typing import Any

import pytest

from gateway.outcomes.signed_receipts import SIGNED_RECEIPTS
from gateway.sealing import jwk
from gateway.sealing.inbound import InboundVerifier, Party, TokenRefused
from gateway.sealing.signed_json import signed_json
from gateway.sealing.signer import LocalSigner
from issuernetwork._jose import JweOpener, RefusedToken, VerifyKey, verify_jws, verify_key
from tests.kit.seen_ids import MemorySeenIds
from tests.vectors.test_jose_cookbook import COOKBOOK, JWE, JWS, SUPPORTED_JWS, vector

pytestmark = pytest.mark.skipif(
    not COOKBOOK.is_dir(), reason="the outside vectors (../shared/vectors/jose-cookbook) are not here"
)
NOW_MS = 1_790_000_000_000


def refusal(token: bytes, *keys: VerifyKey) -> str:
    verifier = InboundVerifier(SIGNED_RECEIPTS, audience="https://network.example", seen=MemorySeenIds())
    with pytest.raises(TokenRefused) as caught:
        verifier.verify(token, Party("bank", {key.kid: key for key in keys}), now_ms=NOW_MS)
    return caught.value.check


def own(name: str) -> VerifyKey:
    example = vector(name)["input"]
    return verify_key({"kid": "", **example["key"], "alg": example["alg"]})


@pytest.mark.parametrize("name", JWS + JWE)
def test_no_example_is_a_token_of_ours_however_good_its_signature(name: str) -> None:
    token = vector(name)["output"]["compact"].encode()
    keys = [own(supported) for supported in sorted(SUPPORTED_JWS)]
    check = refusal(token, *keys)
    if name in JWE:
        assert check == "form"
    else:
        # None of them says what kind of token it is: alg, kid and typ have to stand there.
        assert check == "header"


@pytest.mark.parametrize("name", sorted(SUPPORTED_JWS))
def test_with_our_header_the_keys_of_the_examples_verify_by_their_own_algorithm_alone(name: str) -> None:
    example = vector(name)["input"]
    signer = LocalSigner(jwk.signing_key({"kid": "k", **example["key"], "alg": example["alg"]}))
    claims = {"iss": "bank", "aud": "https://network.example", "iat": NOW_MS // 1000, "jti": "1"}
    token = signed_json(signer, "ein-receipts+jwt", claims)
    key = VerifyKey(signer.kid, example["alg"], own(name).key)
    verifier = InboundVerifier(SIGNED_RECEIPTS, audience="https://network.example", seen=MemorySeenIds())
    assert verifier.verify(token, Party("bank", {key.kid: key}), now_ms=NOW_MS).claims == claims
    others = [VerifyKey(signer.kid, other, key.key) for other in ("ES256", "PS256") if other != key.alg]
    assert {refusal(token, other) for other in others} == {"algorithm"}


def _json_forms() -> list[tuple[str, Any]]:
    """Every example in the JSON serializations of RFC 7515 7.2 and RFC 7516 7.2."""
    if not COOKBOOK.is_dir():
        return []
    found = []
    for path in sorted(COOKBOOK.rglob("*.json")):
        output = json.loads(path.read_text()).get("output") or {}
        found += [(f"{path.stem} {form}", output[form]) for form in ("json", "json_flat") if form in output]
    return found


@pytest.mark.parametrize(("name", "form"), _json_forms(), ids=lambda one: one if isinstance(one, str) else "")
def test_an_example_in_a_json_form_is_refused_by_every_reader(name: str, form: Any) -> None:
    token = json.dumps(form).encode()
    key = own("curve25519/jws.json")
    with pytest.raises(RefusedToken, match="malformed"):
        verify_jws(token, {key.kid: key})
    with pytest.raises(RefusedToken, match="malformed"):
        JweOpener({}).open(token)
    assert refusal(token, key) == "form"
