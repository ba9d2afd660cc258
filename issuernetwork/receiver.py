"""What an issuer's receiver imports: open signed sets, keep their order, poll for them.

    receiver = Receiver(recipient_id="northgate-bank", private_keys=[jwk], jwks=jwks.current, iss="https://...")
    share = receiver.open(signed_set)

`Receiver` and `Inbox` do no I/O; `PollReceiver` puts an aiohttp session around them.
"""

from issuernetwork._jose import BadKey, RefusedToken
from issuernetwork.jwks_cache import JwksCache, PollFault, open_fresh
from issuernetwork.receiver_inbox import Gap, Inbox, Offered
from issuernetwork.receiver_open import (
    CLEAR_SHARE_EVENT,
    ERASURE_EVENT,
    SHARE_EVENT,
    WITHDRAWN_EVENT,
    Erasure,
    Item,
    Receiver,
    Share,
    Withdrawn,
)
from issuernetwork.receiver_poll import Handler, PollCounts, PollReceiver

__all__ = [
    "CLEAR_SHARE_EVENT",
    "ERASURE_EVENT",
    "SHARE_EVENT",
    "WITHDRAWN_EVENT",
    "BadKey",
    "Erasure",
    "Gap",
    "Handler",
    "Inbox",
    "Item",
    "JwksCache",
    "Offered",
    "PollCounts",
    "PollFault",
    "PollReceiver",
    "Receiver",
    "RefusedToken",
    "Share",
    "Withdrawn",
    "open_fresh",
]
