"""The transmitter's JWK Set as a receiver keeps it: for as long as it says, and anew for an unknown `kid`."""

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import aiohttp

from issuernetwork._jose import RefusedToken
from issuernetwork.receiver_open import Item, Receiver

JWKS_COOLDOWN_S: Final = 30.0
"""A token with an unknown kid makes us ask for the set; a stranger's must not make us ask without end."""

JWKS_RETRY_S: Final = 1.0
"""After an answer that was none: one round of tokens asks once, not once a token."""

JWKS_BYTES_MAX: Final = 256 * 1024
JWKS_TIMEOUT_S: Final = 10.0

MAX_AGE_DEFAULT_S: Final = 3600.0
"""Where the transmitter does not say: a key that was stolen is not trusted for longer."""

MAX_AGE_MAX_S: Final = 86_400.0
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age\s*=\s*([0-9]{1,9})(?:$|[,\s])", re.IGNORECASE)
_ETAG_CHARACTERS_MAX: Final = 256


class PollFault(Exception):
    """A poll that did not go through. The text names the step and the status, never content."""

    def __init__(self, step: str, *, status: int = 0, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{step} failed" + (f" with status {status}" if status else ""))
        self.status = status
        self.retry_after_s = retry_after_s


class JwksCache:
    """The transmitter's JWK Set, asked for when it is too old (`keep_fresh`) or lacks a key (`refresh`)."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, *, cooldown_s: float = JWKS_COOLDOWN_S
    ) -> None:
        self._session = session
        self._url = url
        self._cooldown_s = cooldown_s
        self._jwks: Mapping[str, Any] = {"keys": []}
        self._etag = ""
        self._max_age_s = MAX_AGE_DEFAULT_S
        self._fetched_at: float | None = None
        self._refreshed_at: float | None = None
        self._retry_at = 0.0
        self._one = asyncio.Lock()

    def current(self) -> Mapping[str, Any]:
        """The set fetched last; the provider that `Receiver` takes."""
        return self._jwks

    async def refresh(self) -> bool:
        """For a key that the set lacks: fetches it anew. False where that was done within the cooldown.

        Fetches for age do not count: what came since may have the key. Raises PollFault.
        """
        asked = asyncio.get_running_loop().time()
        async with self._one:
            if self._fetched_at is not None and self._fetched_at >= asked:
                return True
            if self._refreshed_at is not None and asked - self._refreshed_at < self._cooldown_s:
                return False
            fetched = await self._fetch()
            if fetched:
                self._refreshed_at = self._fetched_at
            return fetched

    async def keep_fresh(self) -> bool:
        """Fetches a set that is older than the transmitter lets it be (RFC 9111 5.2.2.1); whether it did.

        Ask before tokens are verified: a key that was taken out of the set is not trusted any longer then.
        Where it raises PollFault the set stays as it is.
        """
        if not self._old():
            return False
        # Whoever asks meanwhile waits for the same answer: by the set of before it would be refused.
        async with self._one:
            return not self._old() or await self._fetch()

    def _old(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._fetched_at is None or now - self._fetched_at >= self._max_age_s

    async def _fetch(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._retry_at:
            return False
        self._retry_at = now + min(JWKS_RETRY_S, self._cooldown_s)
        headers = {"If-None-Match": self._etag} if self._etag else {}
        timeout = aiohttp.ClientTimeout(total=JWKS_TIMEOUT_S)
        try:
            async with self._session.get(
                self._url, headers=headers, timeout=timeout, allow_redirects=False
            ) as reply:
                # RFC 9110 15.4.5: what we have is what there is.
                unchanged = bool(self._etag) and reply.status == 304
                if reply.status != 200 and not unchanged:
                    raise PollFault("reading the JWK Set", status=reply.status)
                jwks = self._jwks if unchanged else json.loads(await read_bounded(reply, JWKS_BYTES_MAX))
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as fault:
            raise PollFault("reading the JWK Set") from fault
        if not isinstance(jwks, dict):
            raise PollFault("reading the JWK Set")
        self._jwks = jwks
        self._etag = reply.headers.get("ETag", "")[:_ETAG_CHARACTERS_MAX]
        self._max_age_s = _max_age_s(reply.headers.get("Cache-Control", ""))
        self._fetched_at, self._retry_at = now, now
        return True


async def open_fresh(receiver: Receiver, jwks: JwksCache, signed_set: str | bytes) -> Item:
    """What a look-up brought, opened by our keys as they are now. Raises RefusedToken alone.

    `PollReceiver` does the like for a stream; there a token whose key may yet become known comes again.
    """
    with suppress(PollFault):
        await jwks.keep_fresh()
    try:
        return receiver.open(signed_set)
    except RefusedToken as refusal:
        if refusal.code != "unknown_key":
            raise
    with suppress(PollFault):
        await jwks.refresh()
    return receiver.open(signed_set)


def _max_age_s(header: str) -> float:
    found = _MAX_AGE.search(header)
    # At least a second: a set that may not be kept at all is asked for again with each round.
    return MAX_AGE_DEFAULT_S if found is None else min(max(float(found[1]), 1.0), MAX_AGE_MAX_S)


async def read_bounded(reply: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """The body. Raises PollFault where it has more than `bytes_max` bytes."""
    body = bytearray()
    async for chunk in reply.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > bytes_max:
            raise PollFault("reading the reply")
    return bytes(body)
