"""Receipts as a signed token, by a key that was pinned at the enrolment. No payment waits for one."""

import json

from gateway.backends.embedded.enrolments import SqliteEnrolments
from gateway.outcomes.signed_receipts import SIGNED_RECEIPTS, receipts_of
from gateway.runtime.clock import Clock
from gateway.sealing.inbound import InboundVerifier, Party, SeenIds, TokenRefused
from gateway.sealing.jwk import thumbprint
from gateway.server.feeds.engine import Overloaded
from gateway.server.grpc_common import InvalidArgument
from issuernetwork._jose import verify_keys
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import feed_pb2 as v1


class ReceiptTokens:
    """Takes them. Calls block: keep it off event loops."""

    def __init__(self, enrolments: SqliteEnrolments, *, audience: str, seen: SeenIds, clock: Clock) -> None:
        self._enrolments = enrolments
        self._verifier = InboundVerifier(SIGNED_RECEIPTS, audience=audience, seen=seen)
        self._clock = clock

    def take(self, recipient_id: str, token: str) -> tuple[list[v1.Receipt], storage.SignedBy]:
        """What the token reports, and what is kept of it. Raises InvalidArgument, Overloaded."""
        keys = self._keys(recipient_id)
        party = Party(recipient_id, verify_keys({"keys": list(keys.values())}))
        try:
            taken = self._verifier.verify(token.encode(), party, now_ms=self._clock.wall_ms())
            receipts = receipts_of(taken.claims)
        except TokenRefused as refused:
            if refused.check == "busy":
                raise Overloaded(f"signed {refused.public}") from None
            # Who calls is known by other means: what is wrong is in the request.
            raise InvalidArgument(f"signed {refused.public}") from None
        signed_by = storage.SignedBy(
            token_sha256=taken.sha256, kid=taken.kid, key_thumbprint=thumbprint(keys[taken.kid]), token=token
        )
        return receipts, signed_by

    def _keys(self, recipient_id: str) -> dict[str, dict[str, str]]:
        """Signing keys in force, by kid; none where it never enrolled by itself, or was revoked."""
        made = self._enrolments.current(recipient_id)
        signing = [] if made is None else json.loads(made.document)["signing"]
        return {str(key["kid"]): key for key in signing}
