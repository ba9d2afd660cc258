"""The network as a receiver sees it: seals and signs with the product's own code."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing import jwk
from gateway.sealing.body import sealed_body
from gateway.sealing.jwe import Sealer, p256_private_key
from gateway.sealing.keys import SignatureAlgorithm, SigningKey, StaticRecipientKeys
from gateway.sealing.set import erasure_set, share_set, withdrawn_set
from gateway.sealing.signer import LocalSigner
from issuernetwork.issuer_cli import new_key
from issuernetwork.receiver import Receiver
from tests.kit.jwks import public_jwks

ISS = "https://network.example"
BANK = "northgate-bank"
NOW_MS = 1_700_000_000_000
FIELDS: Mapping[str, Any] = {"score": 812, "email": "canary@example.test", "device_id": "canary-device"}


# One of every recipient key that the product seals to: alg and curve.
WRAPS = [("ECDH-ES+A256KW", "P-256"), ("ECDH-ES+A256KW", "X25519"), ("RSA-OAEP-256", "P-256")]


@cache
def signing_key(alg: SignatureAlgorithm, kid: str = "sig-1") -> SigningKey:
    """A key made once a run: those of RSA take a while."""
    if alg is SignatureAlgorithm.ES256:
        return SigningKey(kid, alg, p256_private_key(UnsafeSeededEntropy(1)))
    if alg is SignatureAlgorithm.EDDSA:
        return SigningKey(kid, alg, ed25519.Ed25519PrivateKey.generate())
    return SigningKey(kid, alg, rsa.generate_private_key(65537, 2048))


class Network:
    """One transmitter and one recipient, all keys in memory."""

    def __init__(
        self,
        seed: int = 1,
        alg: str = "ECDH-ES+A256KW",
        private_jwk: dict[str, str] | None = None,
        *,
        curve: str = "P-256",
        signing: SigningKey | None = None,
    ) -> None:
        entropy = UnsafeSeededEntropy(seed)
        self.private = new_key("bank-1", alg, curve)[0] if private_jwk is None else private_jwk
        secret = {"d", "p", "q", "dp", "dq", "qi"}
        self.public = {name: value for name, value in self.private.items() if name not in secret}
        own = SigningKey("sig-1", SignatureAlgorithm.ES256, p256_private_key(entropy))
        self.signing = own if signing is None else signing
        self.signer = LocalSigner(self.signing)
        self.clock = SimClock(wall_ms=NOW_MS)
        keys = jwk.recipient_keys(BANK, json.dumps({"keys": [self.public]}))
        self.sealer = Sealer(entropy, self.clock, StaticRecipientKeys(keys))
        self.jwks: Mapping[str, Any] = public_jwks((self.signing,))
        self.receiver = self.receiver_for()

    def receiver_for(self, recipient_id: str = BANK, iss: str = ISS) -> Receiver:
        return Receiver(
            recipient_id=recipient_id,
            private_keys=[self.private],
            jwks=lambda: self.jwks,
            iss=iss,
            now_ms=lambda: NOW_MS,
        )

    def body(self, share_id: str = "share-1", **changed: Any) -> bytes:
        members: dict[str, Any] = {
            "share_id": share_id,
            "issuer_id": BANK,
            "recipient_id": BANK,
            "program": "risk-score",
            "purpose": 1,
            "card_token": "token-of-the-card",
            "token_epoch": 1,
            "match": {"retrieval_reference_number": "123456789012"},
            "fields": FIELDS,
        }
        return sealed_body(**{**members, **changed})

    def sealed(self, share_id: str = "share-1", **changed: Any) -> bytes:
        return self.sealer.seal(BANK, self.body(share_id, **changed))[1]

    def share(
        self, share_id: str = "share-1", *, seq: int | None = 1, sealed: bytes | None = None, **changed: Any
    ) -> bytes:
        claims: dict[str, Any] = {
            "iss": ISS,
            "recipient_id": BANK,
            "issued_at_ms": NOW_MS,
            "jti": f"jti-{share_id}",
            "evaluation_id": "evaluation-1",
            "share_id": share_id,
            "issuer_id": BANK,
            "program": "risk-score",
        }
        sealed = self.sealed(share_id) if sealed is None else sealed
        return share_set(self.signer, **{**claims, **changed}, sealed=sealed, stream_seq=seq)

    def erasure(self, *share_ids: str, seq: int = 2) -> bytes:
        return erasure_set(
            self.signer, iss=ISS, recipient_id=BANK, issued_at_ms=NOW_MS, jti=f"jti-erasure-{seq}",
            erasure_id="erasure-1", share_ids=share_ids, stream_seq=seq,
        )  # fmt: skip

    def withdrawn(self, share_id: str = "share-1", *, seq: int = 1) -> bytes:
        return withdrawn_set(
            self.signer,
            iss=ISS,
            recipient_id=BANK,
            issued_at_ms=NOW_MS,
            jti=f"jti-withdrawn-{share_id}",
            evaluation_id="evaluation-1",
            share_id=share_id,
            issuer_id=BANK,
            program="risk-score",
            stream_seq=seq,
            reason="killed",
        )
