"""A catalogue of attacks on tokens: what each sends, and the typed refusal that it has to meet.

Most carry a signature that holds, made with a key that an attacker could have: only what is checked besides
stops them.
"""

import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.outcomes.signed_receipts import RECEIPTS_TYPE, SIGNED_RECEIPTS
from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing import base64url, jwk
from gateway.sealing.inbound import AGE_S_MAX, InboundVerifier, Party, TokenRefused
from gateway.sealing.jwe import p256_private_key
from gateway.sealing.keys import SignatureAlgorithm, SigningKey
from gateway.sealing.set import CLEAR_SHARE_EVENT, SHARE_EVENT
from gateway.sealing.signer import LocalSigner
from issuernetwork._jose import verify_keys
from issuernetwork.receiver import Inbox, Offered, Receiver, RefusedToken, Share
from tests.kit.jwks import public_jwks
from tests.kit.seen_ids import MemorySeenIds
from tests.unit.receiver.network import BANK, ISS, NOW_MS, Network, signing_key
from tests.unit.receiver.test_open import b64, claims_of, part, signed_with, unb64

ES256, RS256, PS256 = SignatureAlgorithm.ES256, SignatureAlgorithm.RS256, SignatureAlgorithm.PS256
TYP, AUDIENCE = RECEIPTS_TYPE, "https://network.example"
NOW_S = NOW_MS // 1000


@dataclass(frozen=True, slots=True)
class Attack:
    """`send` hands it to the product, which has to raise a typed error whose code is `refused`."""

    kind: str
    name: str
    refused: str
    send: Callable[[], object]


def refusal(attack: Attack) -> str:
    """The code that it was refused with; empty where it was taken. Raises what is no typed error."""
    try:
        attack.send()
    except RefusedToken as refused:
        return refused.code
    except TokenRefused as refused:
        return refused.check
    return ""


class Target:
    """A network with keys of every algorithm, and its bank as a receiver.

    The bank signs its receipts with keys of the same names. `take` is where they are sent: a verifier here, a
    port of a running process in tests/e2e/test_signed_receipts.py, which has another time and another name.
    """

    now_s = NOW_S
    audience = AUDIENCE
    bank = BANK

    def __init__(self) -> None:
        self.keys = {alg: signing_key(alg, f"sig-{alg}") for alg in SignatureAlgorithm}
        self.network = Network(signing=self.keys[ES256])
        self.jwks = public_jwks(tuple(self.keys.values()))
        self.other = p256_private_key(UnsafeSeededEntropy(99))
        self.receiver = self.receiving(self.jwks, self.network.private)
        self.party = Party(BANK, verify_keys(self.jwks))
        self.inbound = InboundVerifier(SIGNED_RECEIPTS, audience=AUDIENCE, seen=MemorySeenIds())

    @staticmethod
    def receiving(jwks: Any, private: dict[str, str]) -> Receiver:
        return Receiver(
            recipient_id=BANK, private_keys=[private], jwks=lambda: jwks, iss=ISS, now_ms=lambda: NOW_MS
        )

    def header(self, of: SignatureAlgorithm = ES256, **changed: Any) -> dict[str, Any]:
        return {"alg": str(of), "kid": f"sig-{of}", "typ": "secevent+jwt", **changed}

    def claims(self, **changed: Any) -> dict[str, Any]:
        return {**claims_of(self.network.share()), **changed}

    def event(self, **changed: Any) -> dict[str, Any]:
        """Claims with another event; None takes a member out."""
        claims = self.claims()
        event = {**claims["events"][SHARE_EVENT], **changed}
        kept = {name: value for name, value in event.items() if value is not None}
        return {**claims, "events": {SHARE_EVENT: kept}}

    def clear_event(self, **more: Any) -> dict[str, Any]:
        """The share's members in the event of profile A."""
        claims = self.claims()
        event = {**claims["events"][SHARE_EVENT], **more}
        if more:
            del event["encryptedData"]
        return {**claims, "events": {CLEAR_SHARE_EVENT: event}}

    def signed(self, header: Any, claims: Any, alg: SignatureAlgorithm = ES256) -> bytes:
        return signed_with(LocalSigner(self.keys[alg]), header, claims)

    def sealed(self, **header: Any) -> bytes:
        """A sealed body with another header; what it says is what a receiver would act on."""
        segment, *rest = self.network.sealed().split(b".")
        return b".".join((part({**json.loads(unb64(segment)), **header}), *rest))

    def around(self, sealed: bytes) -> bytes:
        return self.network.share(sealed=sealed)

    def receipt(self, **changed: Any) -> dict[str, Any]:
        one = {"receipt_id": "receipt-1", "share_id": "share-1", "use": "USED"}
        return {
            "iss": self.bank, "aud": self.audience, "iat": self.now_s, "jti": "jti-1", "receipts": [one],
            **changed,
        }  # fmt: skip

    def sent(self, header: Any, claims: Any, alg: SignatureAlgorithm = ES256) -> bytes:
        return self.signed({"typ": TYP, **header}, claims, alg)

    def take(self, token: bytes) -> object:
        return self.inbound.verify(token, self.party, now_ms=NOW_MS)


def _mac_under(secret: bytes, header: Any, claims: Any) -> bytes:
    signing_input = part(header) + b"." + part(claims)
    return signing_input + b"." + b64(hmac.digest(secret, signing_input, sha256))


def _public_forms(key: SigningKey) -> dict[str, bytes]:
    """The public key in every form that a library might take for the secret of a MAC."""
    public = key.private_key.public_key()
    spki = PublicFormat.SubjectPublicKeyInfo
    return {
        "PEM": public.public_bytes(Encoding.PEM, spki),
        "DER": public.public_bytes(Encoding.DER, spki),
        "JWK": json.dumps(jwk.public_jwk(key)).encode(),
    }


def _algorithm_confusion(target: Target) -> Iterator[Attack]:
    kind, take, claims = "algorithm confusion", target.receiver.open, target.claims()
    for none in ("none", "None", "NONE", ""):
        token = part(target.header(alg=none)) + b"." + part(claims) + b"."
        yield Attack(kind, f"alg {none!r}, no signature", "algorithm", lambda token=token: take(token))
    for alg, key in target.keys.items():
        for form, secret in _public_forms(key).items():
            mac = _mac_under(secret, target.header(alg, alg="HS256"), claims)
            yield Attack(kind, f"HS256 under the {form} of {alg}", "algorithm", lambda mac=mac: take(mac))
    for key_alg, said in ((RS256, PS256), (PS256, RS256)):
        own = target.keys[key_alg]
        signer = LocalSigner(SigningKey(own.kid, said, own.private_key))
        token = signed_with(signer, target.header(said, kid=own.kid), claims)
        yield Attack(kind, f"{said} by the key of {key_alg}", "algorithm", lambda token=token: take(token))
    inbound = target.sent({"alg": "HS256", "kid": "sig-ES256"}, target.receipt())
    yield Attack(kind, "a receipt with HS256", "algorithm", lambda: target.take(inbound))


def _key_confusion(target: Target) -> Iterator[Attack]:
    kind, take, claims = "key confusion", target.receiver.open, target.claims()
    stranger = LocalSigner(SigningKey("sig-ES256", ES256, target.other))
    recipient = LocalSigner(jwk.signing_key({**target.network.private, "alg": "ES256", "kid": "bank-1"}))
    public = jwk.public_jwk(SigningKey("own", ES256, target.other))
    forged = signed_with(stranger, target.header(), claims)
    yield Attack(kind, "a stranger's key under our kid", "signature", lambda: take(forged))
    own = signed_with(recipient, target.header(kid="bank-1"), claims)
    yield Attack(kind, "the recipient's own key", "unknown_key", lambda: take(own))
    other = target.signed(target.header(kid="sig-RS256"), claims)
    yield Attack(kind, "our ES256 under the kid of RS256", "algorithm", lambda: take(other))
    crossed = target.signed(target.header(RS256, kid="sig-RS256"), claims)
    yield Attack(kind, "RS256 by the key of ES256", "signature", lambda: take(crossed))
    for name, value in (
        ("jwk", public),
        ("jku", "https://x.example"),
        ("x5u", "https://x.example"),
        ("x5c", ["AA"]),
    ):
        token = signed_with(stranger, target.header(**{name: value}), claims)
        yield Attack(kind, f"a key that travels as {name}", "header", lambda token=token: take(token))
        sent = signed_with(
            stranger, {"alg": "ES256", "kid": "own", "typ": TYP, name: value}, target.receipt()
        )
        yield Attack(kind, f"a receipt with {name}", "embedded_key", lambda sent=sent: target.take(sent))


def _stripped(target: Target) -> Iterator[Attack]:
    kind, take = "stripped JWE", target.receiver.open
    body = json.loads(target.network.body())
    for name, event, code in (
        ("no sealed body, its members in the event", target.event(encryptedData=None, **body), "claims"),
        ("the body as an object", target.event(encryptedData=body), "claims"),
        ("the body as JSON", target.event(encryptedData=json.dumps(body)), "malformed"),
        (
            "the body as base64url",
            target.event(encryptedData=b64(target.network.body()).decode()),
            "malformed",
        ),
        ("an empty sealed body", target.event(encryptedData=""), "malformed"),
        ("passed off as what is not sealed", target.clear_event(**body), "claims"),
        ("the same with the sealed body left in", target.clear_event(), "claims"),
        ("four empty parts", target.event(encryptedData="...."), "malformed"),
    ):
        token = target.signed(target.header(), event)
        yield Attack(kind, name, code, lambda token=token: take(token))
    signed = signed_with(target.network.signer, {"alg": "ES256", "kid": "sig-ES256"}, body)
    yield Attack(kind, "signed in place of sealed", "malformed", lambda: take(target.around(signed)))
    sealed = target.network.sealed()
    yield Attack(kind, "the sealed body without a signature", "malformed", lambda: take(sealed))


def _swapped(target: Target) -> Iterator[Attack]:
    kind, take = "swapped member", target.receiver.open
    epk = json.loads(unb64(target.network.sealed().split(b".")[0]))["epk"]
    stranger_epk = {
        name: jwk.public_jwk(SigningKey("k", ES256, target.other))[name] for name in ("kty", "crv", "x", "y")
    }
    other_share = target.network.sealed("share-2")
    for name, code, token in (
        ("aud", "audience", target.signed(target.header(), target.claims(aud="other-bank"))),
        ("aud of two", "audience", target.signed(target.header(), target.claims(aud=[BANK, "other-bank"]))),
        ("iss", "issuer", target.signed(target.header(), target.claims(iss="https://other.example"))),
        ("typ", "type", target.signed(target.header(typ="at+jwt"), target.claims())),
        ("typ of a JWT", "type", target.signed(target.header(typ="JWT"), target.claims())),
        ("exp of a JWT", "claims", target.signed(target.header(), target.claims(exp=NOW_S + 60))),
        ("kid of nobody", "unknown_key", target.signed(target.header(kid="sig-0"), target.claims())),
        ("kid of the JWE", "unknown_recipient_key", target.around(target.sealed(kid="bank-2"))),
        ("epk of a stranger", "decryption", target.around(target.sealed(epk=stranger_epk))),
        ("epk off the curve", "decryption", target.around(target.sealed(epk={**epk, "y": epk["x"]}))),
        ("epk of another curve", "decryption", target.around(target.sealed(epk={**epk, "crv": "P-384"}))),
        ("no epk", "decryption", target.around(target.sealed(epk=None))),
        ("alg dir", "algorithm", target.around(target.sealed(alg="dir"))),
        ("enc of CBC", "algorithm", target.around(target.sealed(enc="A256CBC-HS512"))),
        ("zip of the JWE", "header", target.around(target.sealed(zip="DEF"))),
        ("crit of the JWE", "header", target.around(target.sealed(crit=["exp"]))),
        ("the sealed body of another share", "binding", target.around(other_share)),
        ("issuer_id", "binding", target.signed(target.header(), target.event(issuer_id="other"))),
        ("program", "binding", target.signed(target.header(), target.event(program="other"))),
    ):  # fmt: skip
        yield Attack(kind, name, code, lambda token=token: take(token))
    for name, code, header, claims in (
        ("typ of a receipt", "typ", {"typ": "secevent+jwt"}, {}),
        ("kid of a receipt", "key", {"kid": "sig-0"}, {}),
        ("aud of a receipt", "aud", {}, {"aud": ISS + "/other"}),
        ("iss of a receipt", "iss", {}, {"iss": "other-bank"}),
        ("crit of a receipt", "crit", {"crit": ["b64"]}, {}),
        ("zip of a receipt", "zip", {"zip": "DEF"}, {}),
    ):
        sent = target.sent({"alg": "ES256", "kid": "sig-ES256", **header}, target.receipt(**claims))
        yield Attack(kind, name, code, lambda sent=sent: target.take(sent))


def _truncated(target: Target) -> Iterator[Attack]:
    *rest, tag = target.network.sealed().split(b".")
    for octets in (15, 12, 8, 4, 0):
        short = b".".join((*rest, base64url.encode(base64url.decode(tag)[:octets])))
        name = f"a tag of {octets} octets"
        yield Attack(
            "truncated tag", name, "malformed", lambda short=short: target.receiver.open(target.around(short))
        )
    share = target.network.share()
    head, _, signature = share.rpartition(b".")
    for octets in (63, 32, 0):
        short = head + b"." + base64url.encode(base64url.decode(signature)[:octets])
        name = f"a signature of {octets} octets"
        yield Attack("truncated tag", name, "signature", lambda short=short: target.receiver.open(short))


def _replayed(target: Target) -> Iterator[Attack]:
    token = target.sent({"alg": "ES256", "kid": "sig-ES256"}, target.receipt(jti="once"))
    target.take(token)
    yield Attack("replay", "a receipt twice", "replay", lambda: target.take(token))
    again = target.sent({"alg": "ES256", "kid": "sig-ES256"}, target.receipt(jti="once"))
    yield Attack("replay", "a receipt's id under another signature", "replay", lambda: target.take(again))

    def other_share_under_a_known_id() -> None:
        inbox, first = Inbox(), target.receiver.open(target.network.share())
        assert inbox.offer(first) is Offered.TAKEN
        inbox.handled(inbox.take())  # type: ignore[arg-type]
        # The same token again is known, and is not handed out.
        assert inbox.offer(first) is Offered.DUPLICATE
        assert inbox.take() is None
        other = target.receiver.open(target.network.share("share-2", seq=2, jti="jti-share-1"))
        assert isinstance(other, Share)
        inbox.offer(other)

    yield Attack(
        "replay",
        "another share under an id that was taken",
        "sequence_conflict",
        other_share_under_a_known_id,
    )


def _stale(target: Target) -> Iterator[Attack]:
    retired = {"keys": [key for key in target.jwks["keys"] if key["kid"] != "sig-ES256"]}
    token = target.network.share()
    old = target.receiving(retired, target.network.private)
    yield Attack("stale", "a signing key that is no longer published", "unknown_key", lambda: old.open(token))
    renewed = target.receiving(target.jwks, Network(seed=7).private | {"kid": "bank-2"})
    yield Attack(
        "stale", "sealed to a key that was retired", "unknown_recipient_key", lambda: renewed.open(token)
    )
    for name, code, claims in (
        ("a receipt of six minutes ago", "iat", {"iat": target.now_s - AGE_S_MAX - 1, "jti": "a"}),
        ("a receipt of tomorrow", "iat", {"iat": target.now_s + 86_400, "jti": "b"}),
        ("a receipt that has run out", "exp", {"exp": target.now_s, "jti": "c"}),
        ("a receipt of later", "nbf", {"nbf": target.now_s + 600, "jti": "d"}),
    ):
        sent = target.sent({"alg": "ES256", "kid": "sig-ES256"}, target.receipt(**claims))
        yield Attack("stale", name, code, lambda sent=sent: target.take(sent))


def _nested(target: Target) -> Iterator[Attack]:
    kind, share = "nested deeper than allowed", target.network.share()
    signing_input = part(target.header(cty="JWT")) + b"." + b64(share)
    twice = signing_input + b"." + b64(target.network.signer.sign(signing_input))
    yield Attack(kind, "a SET in a SET", "malformed", lambda: target.receiver.open(twice))
    sealed = target.network.sealer.seal(BANK, target.network.sealed())[1]
    yield Attack(kind, "a JWE in a JWE", "malformed", lambda: target.receiver.open(target.around(sealed)))
    around = target.network.sealer.seal(BANK, share)[1]
    yield Attack(kind, "a JWE around the SET", "malformed", lambda: target.receiver.open(around))
    bomb = b"[" * 15_000 + b"]" * 15_000
    deep = part(target.header()) + b"." + b64(bomb)
    signed = deep + b"." + b64(target.network.signer.sign(deep))
    yield Attack(kind, "15,000 lists in each other", "malformed", lambda: target.receiver.open(signed))
    signing_input = part({"alg": "ES256", "kid": "sig-ES256", "typ": TYP}) + b"." + b64(share)
    inner = signing_input + b"." + b64(target.network.signer.sign(signing_input))
    yield Attack(kind, "a SET in a receipt", "nesting", lambda: target.take(inner))


def attacks(target: Target | None = None) -> list[Attack]:
    """All of them, against one network."""
    target = target or Target()
    families = (
        _algorithm_confusion, _key_confusion, _stripped, _swapped, _truncated, _replayed, _stale, _nested,
    )  # fmt: skip
    return [attack for family in families for attack in family(target)]
