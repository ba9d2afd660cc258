"""What is handed over once, and kept as its hash alone: tokens, invitations, secrets, challenges."""

import hashlib
from typing import Final

from gateway.runtime.entropy import Entropy
from gateway.sealing import base64url

SECRET_BYTES: Final = 32
"""256 bits: beyond guessing, so that a fast hash suffices to keep it."""


def make_secret(entropy: Entropy) -> tuple[str, str]:
    """What to hand over, and the hash to keep."""
    secret = base64url.encode(entropy.bytes(SECRET_BYTES)).decode()
    return secret, secret_sha256(secret.encode())


def secret_sha256(secret: bytes) -> str:
    """As it is kept: hexadecimal."""
    return hashlib.sha256(secret).hexdigest()
