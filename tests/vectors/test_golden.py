"""The golden vectors in the repository, read by our SDK and by joserfc."""

import base64
import hmac
import json
import re
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwe, jws
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from enrichment.fields import FIELD_BY_NAME
from gateway.sealing.keys import KeyWrap, SignatureAlgorithm
from gateway.sealing.set import SHARE_EVENT
from issuernetwork.issuer_cli import CURVES
from issuernetwork.receiver import CLEAR_SHARE_EVENT, Receiver, RefusedToken, Share
from tests.vectors import make_golden
from tests.vectors.golden_keys import unsafe_recipient_jwks

GOLDEN = Path(__file__).resolve().parent / "golden"
LOADERS = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}


def read(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


SHARES = read("shares.json")["shares"]
CLEAR = read("clear.json")["shares"]
REFUSED = read("refused.json")["refused"]
TOKEN_KEYS = read("token_keys.json")["token_keys"]


def receiver(document: str) -> Receiver:
    expected, jwks = read(document), read("jwks.json")
    return Receiver(
        recipient_id=expected["aud"],
        private_keys=unsafe_recipient_jwks(),
        jwks=lambda: jwks,
        iss=expected["iss"],
    )


def test_the_files_hold_the_public_halves_of_the_seeded_keys_and_no_private_member() -> None:
    for name, document in make_golden.public_documents().items():
        assert read(name) == json.loads(json.dumps(document)), name
        for key in read(name)["keys"]:
            assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)
    for path in GOLDEN.iterdir():
        text = path.read_text()
        for private in unsafe_recipient_jwks():
            assert private["d"] not in text, path.name


def test_every_signature_stands_with_every_wrap_once() -> None:
    found = []
    for share in SHARES:
        sealed_header = share["sealed_header"]
        curve = sealed_header.get("epk", {}).get("crv", "")
        found.append((share["header"]["alg"], sealed_header["alg"], curve))
    wraps = [(str(KeyWrap.ECDH_ES_A256KW), curve) for curve in CURVES] + [(str(KeyWrap.RSA_OAEP_256), "")]
    assert {wrap for wrap, _ in wraps} == set(KeyWrap)
    assert sorted(found) == sorted((str(alg), *wrap) for alg in SignatureAlgorithm for wrap in wraps)


@pytest.mark.parametrize("vector", SHARES, ids=lambda vector: vector["name"])
def test_our_sdk_opens_a_golden_share_to_what_the_file_says(vector: dict[str, Any]) -> None:
    share = receiver("shares.json").open(vector["signed_set"])
    assert isinstance(share, Share)
    claims, body = vector["claims"], vector["body"]
    assert (share.jti, share.evaluation_id) == (claims["jti"], claims["txn"])
    assert share.issued_at_ms == claims["iat"] * 1000
    assert share.stream_seq == claims["events"][SHARE_EVENT]["stream_seq"]
    told = {
        name: getattr(share, name)
        for name in ("share_id", "issuer_id", "recipient_id", "program", "purpose", "schema_version")
    }
    told |= {"card_token": share.card_token, "token_epoch": share.token_epoch}
    assert {**told, "match": share.match, "fields": share.fields} == body
    assert set(share.fields) <= set(FIELD_BY_NAME)


@pytest.mark.parametrize("vector", CLEAR, ids=lambda vector: vector["name"])
def test_our_sdk_opens_a_golden_share_that_is_not_sealed(vector: dict[str, Any]) -> None:
    share = receiver("clear.json").open(vector["signed_set"])
    assert isinstance(share, Share)
    event = vector["claims"]["events"][CLEAR_SHARE_EVENT]
    assert (share.profile, share.fields, share.purpose) == ("A", event["fields"], event["purpose"])
    assert (share.share_id, share.program) == (event["share_id"], event["program"])
    assert (share.evaluation_id, share.card_token, share.match) == (share.share_id, "", {})
    assert all(FIELD_BY_NAME[name].subjectless for name in share.fields)


# joserfc warns of EdDSA since RFC 9864 names Ed25519 apart; receivers in the field still know only EdDSA.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("vector", SHARES, ids=lambda vector: vector["name"])
def test_joserfc_opens_a_golden_share_to_what_the_file_says(vector: dict[str, Any]) -> None:
    keys = KeySet.import_key_set(read("jwks.json"))
    signed = jws.deserialize_compact(vector["signed_set"], keys, algorithms=[vector["header"]["alg"]])
    assert signed.headers() == vector["header"]
    claims = json.loads(signed.payload)
    sealed = claims["events"][SHARE_EVENT].pop("encryptedData")
    assert claims == vector["claims"]
    header = vector["sealed_header"]
    (private,) = (key for key in unsafe_recipient_jwks() if key["kid"] == header["kid"])
    opened = jwe.decrypt_compact(
        sealed, LOADERS[private["kty"]].import_key(private), algorithms=[header["alg"], header["enc"]]
    )
    assert opened.headers() == header
    assert json.loads(opened.plaintext or b"") == vector["body"]


# As above.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("vector", TOKEN_KEYS, ids=lambda vector: vector["name"])
def test_joserfc_opens_a_golden_token_key_and_the_recipe_of_the_feed_page_makes_its_tokens(
    vector: dict[str, Any],
) -> None:
    keys = KeySet.import_key_set(read("jwks.json"))
    signed = jws.deserialize_compact(vector["signed_key"], keys, algorithms=[vector["header"]["alg"]])
    assert signed.headers() == vector["header"]
    assert vector["header"]["typ"] == "ein-token-key+jwt"
    claims = json.loads(signed.payload)
    sealed = claims.pop("key")
    assert claims == vector["claims"]
    header = vector["sealed_header"]
    (private,) = (key for key in unsafe_recipient_jwks() if key["kid"] == header["kid"])
    opened = jwe.decrypt_compact(
        sealed, LOADERS[private["kty"]].import_key(private), algorithms=[header["alg"], header["enc"]]
    )
    jwk = json.loads(opened.plaintext or b"")
    assert jwk == vector["jwk"]
    assert jwk["kid"] == f"{claims['aud']}.{claims['epoch']}"
    secret = base64.urlsafe_b64decode(jwk["k"] + "=")
    for pan, token in vector["card_tokens"].items():
        message = b"\x00\x0ccard_token/1" + len(pan).to_bytes(4, "big") + pan.encode()
        digest = hmac.new(secret, message, "sha256").digest()
        assert base64.b32encode(digest[:16]).decode().rstrip("=").lower() == token


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: vector["name"])
def test_our_sdk_refuses_a_golden_token_with_the_code_of_the_file(vector: dict[str, Any]) -> None:
    with pytest.raises(RefusedToken) as caught:
        receiver("refused.json").open(vector["signed_set"])
    assert caught.value.set_error == vector["err"]


def test_the_files_are_of_the_form_that_the_script_writes() -> None:
    """Names, headers and claims alike; the tokens themselves are others each time."""
    made = make_golden.documents()
    assert set(made) | {"README.md"} == {path.name for path in GOLDEN.iterdir()}

    def without_tokens(document: Any) -> Any:
        (vectors,) = (value for value in document.values() if isinstance(value, list))
        for vector in vectors:
            vector.pop("signed_set", vector.pop("signed_key", None))
            vector.get("sealed_header", {}).pop("epk", None)
        return document

    for name in ("shares.json", "clear.json", "refused.json", "token_keys.json"):
        assert without_tokens(json.loads(json.dumps(made[name]))) == without_tokens(read(name)), name


def test_the_private_keys_come_from_the_command_that_the_readme_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    readme = (GOLDEN / "README.md").read_text()
    commands = re.findall(r"^python -m tests\.vectors\.make_golden (\w+)", readme, re.MULTILINE)
    assert commands == ["private", "write"]
    make_golden.main(["private"])
    assert json.loads(capsys.readouterr().out) == {"keys": unsafe_recipient_jwks()}
    for path in GOLDEN.glob("*.json"):
        assert f"`{path.name}`" in readme
