"""The JWK Set of keys that a test has both halves of."""

from gateway.sealing import jwk
from gateway.sealing.keys import SigningKey


def public_jwks(keys: tuple[SigningKey, ...]) -> dict[str, list[dict[str, str]]]:
    return jwk.jwk_set([jwk.public_jwk(key) for key in keys])
