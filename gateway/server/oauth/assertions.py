"""Client assertions: a JWT by which a client proves that it has its private key (RFC 7523 2.2, 3).

They pass the verifier of every token that others send (`gateway/sealing/inbound.py`); here is what is theirs.
"""

from typing import Final

from gateway.sealing.inbound import InboundVerifier, Kind, Party
from gateway.server.clients import Client

LIFE_S_MAX: Final = 300
"""Made for one request: five minutes allow for a slow one."""

ASSERTION_BYTES_MAX: Final = 4096
"""RS256 of an RSA-4096 key has 700 bytes of signature."""

SEEN_A_CLIENT_MAX: Final = 1024
"""Assertions of one client that have not run out: three a second, where one each ten minutes is enough."""

ASSERTION: Final = Kind(
    name="assertion",
    # RFC 7519 5.1 leaves `typ` out or takes JWT; a type of its own is better still (RFC 8725 3.11).
    types=frozenset((None, "JWT", "client-authentication+jwt")),
    life_s_max=LIFE_S_MAX,
    subject=True,
    bytes_max=ASSERTION_BYTES_MAX,
    ids_max=SEEN_A_CLIENT_MAX,
)


def check_assertion(assertion: str, client: Client, verifier: InboundVerifier, *, now_ms: int) -> None:
    """Raises TokenRefused, and what the store of ids raises. The audience is our own name, and it alone."""
    party = Party(client.client_id, client.verify_keys())
    # What is no ASCII is no compact JWS either.
    verifier.verify(assertion.encode("utf-8", "replace"), party, now_ms=now_ms)
