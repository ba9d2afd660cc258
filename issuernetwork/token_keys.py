"""The keys behind a recipient's card tokens: opened, verified, kept; and tokens of its cards made by them.

    keys = TokenKeys(recipient_id="northgate-bank", private_keys=[jwk], jwks=jwks.current, iss="https://...")
    await keys.fetch(session, feeds_url, token=token)
    ours = keys.matches(share, pan)

How a token is made stands in docs/reference/feed.md; for other languages there are golden vectors.
"""

import hmac
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import aiohttp

from issuernetwork._jose import (
    SIGNATURES,
    BadKey,
    JweOpener,
    RefusedToken,
    decode_base64url,
    encode_base64url,
    json_object,
    open_key,
    verify_jws,
    verify_keys,
)
from issuernetwork.contact import normal_email, normal_phone
from issuernetwork.receiver_open import Share
from issuernetwork.tokens import AskFault, ask

TOKEN_KEY_TYPE: Final = "ein-token-key+jwt"  # noqa: S105 - the type's name
KEY_BYTES: Final = 32
"""Of HMAC-SHA256: as many as the hash has (RFC 2104 3)."""

EPOCHS_MAX: Final = 1_024
"""Of one recipient: a change a month for ten years are 128, and each key that was lost is one more."""

_TIME_MS_MAX: Final = 2**63 - 1
# 26 letters hold the 128 bits of a pseudonym (RFC 4648 6, in lower case, without padding).
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_HASH_BYTES: Final = 16


class NoTokenKey(LookupError):
    """A pseudonym is of an epoch whose key is not at hand: fetch the keys."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the key of token epoch {epoch} is not at hand: fetch the token keys")
        self.epoch = epoch


@dataclass(frozen=True, slots=True)
class TokenKey:
    """The key of one epoch. Its tokens are given from `from_ms` to `until_ms`; 0: no end is known."""

    epoch: int
    from_ms: int
    until_ms: int
    issued_at_ms: int
    secret: bytes = field(repr=False)

    def card_token(self, pan: str) -> str:
        """The card's token: what shares of this epoch carry."""
        return _pseudonym(self.secret, "card_token", pan)

    def email_hash(self, email: str) -> str:
        """The hash in field `email_hash`, whatever form the address is given in. Raises BadContact."""
        return _pseudonym(self.secret, "email_hash", normal_email(email))

    def phone_hash(self, phone: str) -> str:
        """The hash in field `phone_hash`. Raises BadContact."""
        return _pseudonym(self.secret, "phone_hash", normal_phone(phone))

    def covers(self, at_ms: int) -> bool:
        return self.from_ms <= at_ms and (not self.until_ms or at_ms < self.until_ms)


def _pseudonym(secret: bytes, label: str, text: str) -> str:
    """26 letters of HMAC-SHA256 over label and text, each after its length."""
    name, data = f"{label}/1".encode(), text.encode()
    message = len(name).to_bytes(2, "big") + name + len(data).to_bytes(4, "big") + data
    bits = int.from_bytes(hmac.digest(secret, message, sha256)[:_HASH_BYTES], "big") << 2
    return "".join(_LETTERS[bits >> shift & 31] for shift in range(125, -1, -5))


class TokenKeys:
    """The token keys of one recipient. Arguments as of `Receiver`; what was kept comes in by `restore`."""

    def __init__(
        self,
        *,
        recipient_id: str,
        private_keys: Iterable[Mapping[str, Any]],
        jwks: Callable[[], Mapping[str, Any]],
        iss: str,
        algorithms: Collection[str] = SIGNATURES,
    ) -> None:
        self.recipient_id = recipient_id
        self._iss = iss
        self._jwks = jwks
        self._algorithms = frozenset(algorithms)
        own = [open_key(jwk) for jwk in private_keys]
        self._opener = JweOpener({key.kid: key for key in own})
        self._keys: dict[int, TokenKey] = {}

    def __repr__(self) -> str:
        return f"TokenKeys(recipient_id={self.recipient_id!r}, epochs={sorted(self._keys)})"

    @property
    def epochs(self) -> tuple[int, ...]:
        """Those at hand, in order; some may be to come."""
        return tuple(sorted(self._keys))

    def key(self, epoch: int) -> TokenKey:
        """Raises NoTokenKey."""
        found = self._keys.get(epoch)
        if found is None:
            raise NoTokenKey(epoch)
        return found

    async def fetch(self, session: aiohttp.ClientSession, base_url: str, *, token: str) -> tuple[int, ...]:
        """Asks the network, and keeps what is new; the epochs at hand. Raises AskFault, RefusedToken.

        Once a day is enough: a key is offered a day before it is used.
        """
        url = f"{base_url.rstrip('/')}/token-keys/{self.recipient_id}"
        answer = await ask(session, "fetching the token keys", "GET", url, token=token)
        found = answer.get("token_keys")
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise AskFault("fetching the token keys", "the answer has none")
        for one in found:
            self.take(one)
        return self.epochs

    def take(self, signed_key: str | bytes) -> TokenKey:
        """Keeps a token key, once signature, claims and sealed key agree. Raises RefusedToken alone."""
        try:
            return self._take(signed_key.encode("ascii") if isinstance(signed_key, str) else signed_key)
        except RefusedToken:
            raise
        except Exception:
            # Never out with a text of another library: it may quote the token.
            raise RefusedToken("malformed") from None

    def _take(self, token: bytes) -> TokenKey:
        try:
            published = verify_keys(self._jwks())
        except BadKey:
            raise RefusedToken("unknown_key") from None
        keys = {kid: key for kid, key in published.items() if key.alg in self._algorithms}
        header, payload = verify_jws(token, keys)
        if header.get("typ") != TOKEN_KEY_TYPE:
            raise RefusedToken("type")
        claims = json_object(payload)
        if claims.get("iss") != self._iss:
            raise RefusedToken("issuer")
        if claims.get("aud") != self.recipient_id:
            raise RefusedToken("audience")
        numbers = [claims.get(name, 0) for name in ("epoch", "from_ms", "until_ms", "iat")]
        if any(type(one) is not int or not 0 <= one <= _TIME_MS_MAX for one in numbers):
            raise RefusedToken("claims")
        epoch, from_ms, until_ms, issued_s = numbers
        if epoch < 1 or (until_ms and until_ms < from_ms) or not isinstance(claims.get("key"), str):
            raise RefusedToken("claims")
        jwk = json_object(self._opener.open(claims["key"].encode("ascii")))
        if jwk.get("kty") != "oct" or jwk.get("alg") != "HS256":
            raise RefusedToken("claims")
        # The signature covers the ciphertext, not who sealed what: a swapped one shows here.
        if jwk.get("kid") != f"{self.recipient_id}.{epoch}":
            raise RefusedToken("binding")
        secret = decode_base64url(str(jwk.get("k")).encode())
        if len(secret) != KEY_BYTES:
            raise RefusedToken("claims")
        return self._keep(TokenKey(epoch, from_ms, until_ms, issued_s * 1000, secret))

    def _keep(self, one: TokenKey) -> TokenKey:
        known = self._keys.get(one.epoch)
        if known is not None and not hmac.compare_digest(known.secret, one.secret):
            # The key of an epoch never changes: somebody signs for the network, or this file is another's.
            raise RefusedToken("binding")
        if known is not None and known.issued_at_ms > one.issued_at_ms:
            return known  # sent before: it may not know yet when its epoch ends
        if known is None and len(self._keys) >= EPOCHS_MAX:
            raise RefusedToken("claims")
        self._keys[one.epoch] = one
        return one

    def tokens_of(self, pan: str, at_ms: int) -> dict[int, str]:
        """The card's tokens that shares of a payment at `at_ms` may carry, by epoch: two in an overlap."""
        return {
            epoch: self._keys[epoch].card_token(pan)
            for epoch in self.epochs
            if self._keys[epoch].covers(at_ms)
        }

    def matches(self, share: Share, pan: str) -> bool:
        """Whether the share is about the card. False where it carries no token: match it by PAR or by key.

        In an overlap the key of either epoch is enough. Raises NoTokenKey where neither is at hand.
        """
        carried = {share.token_epoch: share.card_token}
        carried |= {share.previous_token_epoch: share.previous_card_token}
        carried.pop(0, None)
        if not carried:
            return False
        for epoch, token in carried.items():
            if epoch in self._keys:
                return hmac.compare_digest(self._keys[epoch].card_token(pan).encode(), token.encode())
        raise NoTokenKey(max(carried))

    def state(self) -> dict[str, Any]:
        """A JWK Set of the keys, with epochs and times. Secret: keep it where nobody else reads it."""
        return {
            "keys": [
                {
                    "kty": "oct", "alg": "HS256", "kid": f"{self.recipient_id}.{one.epoch}",
                    "k": encode_base64url(one.secret).decode(), "epoch": one.epoch, "from_ms": one.from_ms,
                    "until_ms": one.until_ms, "issued_at_ms": one.issued_at_ms,
                }
                for _, one in sorted(self._keys.items())
            ]
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes what `state` gave. Raises ValueError for anything else."""
        try:
            for one in state["keys"]:
                epoch, from_ms, until_ms, issued_at_ms = numbers = [
                    one[name] for name in ("epoch", "from_ms", "until_ms", "issued_at_ms")
                ]
                secret = decode_base64url(one["k"].encode())
                if (
                    len(secret) != KEY_BYTES
                    or one["kid"] != f"{self.recipient_id}.{epoch}"
                    or any(type(number) is not int for number in numbers)
                ):
                    raise ValueError
                self._keep(TokenKey(epoch, from_ms, until_ms, issued_at_ms, secret))
        except (KeyError, TypeError, AttributeError, ValueError, RefusedToken):
            raise ValueError("no token keys of this recipient") from None
