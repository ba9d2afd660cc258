"""Makes the keys behind recipients' card tokens as they leave: sealed, signed, written down before."""

from collections.abc import Callable
from typing import Final

from gateway.backends.embedded.token_keys import SqliteTokenKeys
from gateway.runtime.clock import Clock
from gateway.sealing.jwe import Sealer
from gateway.sealing.keys import MacKeys, Signer
from gateway.sealing.token_epochs import TokenEpochs
from gateway.sealing.token_key import signed_token_key
from gateway.sealing.token_spans import spans, spans_to_hand_out

KEEP_MS: Final = 9 * 24 * 3_600_000
"""After its end: a share is delivered for 8 days, and whoever fetches once a day has it the day after."""


class TokenKeyDesk:
    """Makes what a recipient fetches. Calls block: keep it off event loops, on one thread."""

    def __init__(
        self,
        *,
        handed_out: SqliteTokenKeys,
        token_epochs: Callable[[], TokenEpochs],
        mac_keys: MacKeys,
        sealer: Sealer,
        signer_of: Callable[[str], Signer],
        iss: str,
        clock: Clock,
    ) -> None:
        """`signer_of` a recipient's stream: it verifies no other algorithm."""
        self._handed_out = handed_out
        self._token_epochs = token_epochs
        self._mac_keys = mac_keys
        self._sealer = sealer
        self._signer_of = signer_of
        self._iss = iss
        self._clock = clock

    def keys_of(self, recipient_id: str) -> list[str]:
        """Signed token keys, the oldest epoch first. Raises KeyUnavailable where there is none to seal to."""
        now_ms = self._clock.wall_ms()
        found = spans_to_hand_out(spans(self._token_epochs(), recipient_id), now_ms=now_ms, keep_ms=KEEP_MS)
        signer = self._signer_of(recipient_id)
        made, kid = [], ""
        for span in found:
            held = self._sealer.held(recipient_id, fresh=True)
            if held.recipient_key.kid != kid:
                # Before anything is made that could leave; a key that changed meanwhile is one more.
                kid = held.recipient_key.kid
                self._handed_out.hand_out(recipient_id, [one.epoch for one in found], recipient_kid=kid)
            token = signed_token_key(
                signer, held, iss=self._iss, recipient_id=recipient_id, issued_at_ms=now_ms, span=span,
                key=self._mac_keys.token(recipient_id, span.epoch),
            )  # fmt: skip
            made.append(token.decode("ascii"))
        return made

    def close(self) -> None:
        self._handed_out.close()
