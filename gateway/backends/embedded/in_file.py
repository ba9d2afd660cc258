"""The store of signing keys whose private halves stand in our own encrypted file."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.runtime.entropy import Entropy
from gateway.sealing import jwk
from gateway.sealing.jwe import p256_private_key
from gateway.sealing.keys import KeyStoreFault, SignatureAlgorithm, Signer, SigningKey
from gateway.sealing.signer import LocalSigner

# Of a signing key. A signature has to hold while receivers still take the token, some days, and NIST SP
# 800-57 takes 2048 bits until 2030; 3072 cost three times as much for each message.
RSA_BITS = 2048
RSA_EXPONENT = 65537


@dataclass(slots=True)
class InFile:
    """Implements `keys.SigningStore` over the private JWKs that stand in the file."""

    private: dict[str, dict[str, str]] = field(repr=False)
    entropy: Entropy

    def create(self, kid: str, alg: SignatureAlgorithm) -> dict[str, str]:
        if kid in self.private:
            raise KeyStoreFault("the key file has a key of this id already")
        made = new_signing_key(alg, self.entropy, kid)
        self.private[kid] = jwk.private_jwk(made)
        return jwk.public_jwk(made)

    def signer(self, kid: str, alg: SignatureAlgorithm) -> Signer:
        try:
            return LocalSigner(jwk.signing_key({**self.private[kid], "alg": str(alg)}))
        except KeyError:
            raise KeyStoreFault("the key file has no private half of a key that is to sign") from None

    def destroy(self, kid: str) -> None:
        self.private.pop(kid, None)


def new_signing_key(alg: SignatureAlgorithm, entropy: Entropy, kid: str = "") -> SigningKey:
    """A key of ours for one algorithm. RSA keys are made with the randomness of `cryptography` itself."""
    private: EllipticCurvePrivateKey | Ed25519PrivateKey | rsa.RSAPrivateKey
    if alg is SignatureAlgorithm.ES256:
        private = p256_private_key(entropy)
    elif alg is SignatureAlgorithm.EDDSA:
        private = Ed25519PrivateKey.from_private_bytes(entropy.bytes(32))
    else:
        private = rsa.generate_private_key(RSA_EXPONENT, RSA_BITS)
    return SigningKey(kid=kid or "sig-" + entropy.bytes(8).hex(), alg=alg, private_key=private)
