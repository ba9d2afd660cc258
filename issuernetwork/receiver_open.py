"""From a signed, sealed token to a share: verify, decrypt, compare. No I/O."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from issuernetwork._jose import (
    SIGNATURES,
    BadKey,
    JweOpener,
    RefusedToken,
    VerifyKey,
    json_object,
    open_key,
    verify_jws,
    verify_keys,
)

SET_TYPE: Final = "secevent+jwt"
SHARE_EVENT: Final = "urn:x-issuernetwork:event:share:v1"
CLEAR_SHARE_EVENT: Final = "urn:x-issuernetwork:event:clear-share:v1"
"""Of protection profile A: signed, and about no card, so that nothing in it is sealed."""
WITHDRAWN_EVENT: Final = "urn:x-issuernetwork:event:withdrawn:v1"
ERASURE_EVENT: Final = "urn:x-issuernetwork:event:erasure:v1"

# The numbers of a stream fit the signed 64 bits of every database.
_STREAM_SEQ_MAX = 2**63 - 1
_TEXT_MAX = 512
_SEALED_MEMBERS = frozenset(("encryptedData", "card_token", "token_epoch", "match"))


@dataclass(frozen=True, slots=True)
class Share:
    """What the network shared about one payment, verified and decrypted. Its `repr` shows no content."""

    share_id: str
    program: str
    issuer_id: str
    recipient_id: str
    stream_seq: int | None
    """Place in the stream, from 1; None where it did not come by a stream."""
    jti: str
    evaluation_id: str
    """Claim `txn`: one authorization, several shares."""
    issued_at_ms: int
    received_at_ms: int
    purpose: str
    schema_version: int
    token_epoch: int
    card_token: str = field(repr=False)
    """This recipient's pseudonym of the card in `token_epoch`; empty where none was given."""
    match: Mapping[str, Any] = field(repr=False)
    """References to the authorization: match keys and the time of the attempt."""
    fields: Mapping[str, Any] = field(repr=False)
    profile: str = "B"
    """Protection profile: B came sealed to this recipient, A clear; under A there is no card and no match."""
    previous_token_epoch: int = 0
    previous_card_token: str = field(default="", repr=False)
    """The same card's pseudonym in the epoch before, while the network gives both; else 0 and empty."""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A share that was taken back before it was delivered. Holds its place in the stream."""

    share_id: str
    program: str
    issuer_id: str
    recipient_id: str
    stream_seq: int | None
    jti: str
    evaluation_id: str
    issued_at_ms: int
    received_at_ms: int
    reason: str
    void_from_seq: int | None = None
    """Where the places from here to `stream_seq` stay empty: the network was restored from a backup."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """An order to erase shares that were delivered. Acknowledge it once they are gone at your side."""

    erasure_id: str
    share_ids: tuple[str, ...]
    """Yours. Those you do not have any more are erased already."""
    recipient_id: str
    stream_seq: int | None
    jti: str
    issued_at_ms: int
    received_at_ms: int


Item = Share | Withdrawn | Erasure
"""What a stream brings."""


def wall_ms() -> int:
    """UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Receiver:
    """Opens the SETs of one recipient.

    `private_keys` are JWKs with members kid and alg (ECDH-ES+A256KW with a key of P-256 or X25519, or
    RSA-OAEP-256). `jwks` gives the transmitter's JWK Set, which is read again when it gives another object.
    `iss` is the transmitter's issuer URL. `algorithms` are the signatures taken, each by a key of that
    algorithm alone: name the one of your stream to take no other.
    """

    def __init__(
        self,
        *,
        recipient_id: str,
        private_keys: Iterable[Mapping[str, Any]],
        jwks: Callable[[], Mapping[str, Any]],
        iss: str,
        now_ms: Callable[[], int] = wall_ms,
        algorithms: Collection[str] = SIGNATURES,
    ) -> None:
        unknown = [alg for alg in algorithms if alg not in SIGNATURES]
        if not algorithms or unknown:
            raise BadKey(f"a receiver takes signatures of {', '.join(SIGNATURES)}: name one or more")
        self.recipient_id = recipient_id
        self.iss = iss
        self._algorithms = frozenset(algorithms)
        own = [open_key(jwk) for jwk in private_keys]
        if not own or len({key.kid for key in own}) != len(own):
            raise BadKey("a receiver needs private keys with different kids")
        self._opener = JweOpener({key.kid: key for key in own})
        self._jwks = jwks
        self._read_from: Mapping[str, Any] | None = None
        self._verify_keys: dict[str, VerifyKey] = {}
        self._now_ms = now_ms

    def __repr__(self) -> str:
        return f"Receiver(recipient_id={self.recipient_id!r}, iss={self.iss!r})"

    def open(self, signed_set: str | bytes) -> Item:
        """What it says, once signature, claims and sealed body agree. Raises RefusedToken alone."""
        try:
            return self._open(signed_set)
        except RefusedToken:
            raise
        except Exception:
            # Never out with a text of another library: it may quote the token.
            raise RefusedToken("malformed") from None

    def _open(self, signed_set: str | bytes) -> Item:
        token = signed_set.encode("ascii") if isinstance(signed_set, str) else signed_set
        header, payload = verify_jws(token, self._keys())
        if header.get("typ") != SET_TYPE:
            raise RefusedToken("type")
        # RFC 7515 leaves kid open; the network always sends it.
        if "kid" not in header:
            raise RefusedToken("header")
        claims = json_object(payload)
        return self._read(claims)

    def _keys(self) -> Mapping[str, VerifyKey]:
        jwks = self._jwks()
        if jwks is not self._read_from:
            try:
                published = verify_keys(jwks)
            except BadKey:
                raise RefusedToken("unknown_key") from None
            self._verify_keys = {kid: key for kid, key in published.items() if key.alg in self._algorithms}
            self._read_from = jwks
        return self._verify_keys

    def _read(self, claims: dict[str, Any]) -> Item:
        if claims.get("iss") != self.iss:
            raise RefusedToken("issuer")
        if claims.get("aud") not in (self.recipient_id, [self.recipient_id]):
            raise RefusedToken("audience")
        # RFC 8417 2.2 and 4.6: an event does not expire, and `exp` is how a SET passes as an access token.
        if "exp" in claims:
            raise RefusedToken("claims")
        events = claims.get("events")
        if not isinstance(events, dict) or len(events) != 1:
            raise RefusedToken("claims")
        ((uri, event),) = events.items()
        if uri not in (SHARE_EVENT, CLEAR_SHARE_EVENT, WITHDRAWN_EVENT, ERASURE_EVENT):
            raise RefusedToken("unknown_event")
        if not isinstance(event, dict):
            raise RefusedToken("claims")
        share_id = _text(event, "erasure_id" if uri == ERASURE_EVENT else "share_id")
        if claims.get("sub_id") != {"format": "opaque", "id": share_id}:
            raise RefusedToken("claims")
        if uri == ERASURE_EVENT:
            return self._erasure(claims, event, share_id)
        if uri == WITHDRAWN_EVENT:
            return self._withdrawn(claims, event, share_id)
        if uri == CLEAR_SHARE_EVENT:
            return self._clear_share(claims, event, share_id)
        return self._share(claims, event, share_id)

    def _erasure(self, claims: dict[str, Any], event: dict[str, Any], erasure_id: str) -> Erasure:
        share_ids = event.get("share_ids")
        if not isinstance(share_ids, list) or not share_ids:
            raise RefusedToken("claims")
        if not all(isinstance(one, str) and 0 < len(one) <= _TEXT_MAX for one in share_ids):
            raise RefusedToken("claims")
        return Erasure(
            erasure_id=erasure_id,
            share_ids=tuple(share_ids),
            recipient_id=self.recipient_id,
            stream_seq=_stream_seq(event),
            jti=_text(claims, "jti"),
            issued_at_ms=_count(claims, "iat") * 1000,
            received_at_ms=self._now_ms(),
        )

    def _withdrawn(self, claims: dict[str, Any], event: dict[str, Any], share_id: str) -> Withdrawn:
        return Withdrawn(
            share_id=share_id,
            program=_text(event, "program"),
            issuer_id=_text(event, "issuer_id"),
            recipient_id=self.recipient_id,
            stream_seq=_stream_seq(event),
            jti=_text(claims, "jti"),
            evaluation_id=_text(claims, "txn"),
            issued_at_ms=_count(claims, "iat") * 1000,
            received_at_ms=self._now_ms(),
            reason=_text(event, "reason"),
            void_from_seq=_void_from_seq(event),
        )

    def _share(self, claims: dict[str, Any], event: dict[str, Any], share_id: str) -> Share:
        program, issuer_id = _text(event, "program"), _text(event, "issuer_id")
        sealed = event.get("encryptedData")
        if not isinstance(sealed, str):
            raise RefusedToken("claims")
        body = json_object(self._opener.open(sealed.encode("ascii")))
        # The signature covers the ciphertext, not who sealed what: a swapped one shows here.
        if (
            body.get("share_id") != share_id
            or body.get("issuer_id") != issuer_id
            or body.get("recipient_id") != self.recipient_id
            or body.get("program") != program
        ):
            raise RefusedToken("binding")
        match, card_token = body.get("match"), body.get("card_token")
        if not (isinstance(match, dict) and isinstance(card_token, str)):
            raise RefusedToken("claims")
        return self._shared(
            claims, event, share_id, body,
            token_epoch=_count(body, "token_epoch"), card_token=card_token, match=match,
        )  # fmt: skip

    def _clear_share(self, claims: dict[str, Any], event: dict[str, Any], share_id: str) -> Share:
        # What is about a card comes sealed: a clear event with any of it is not of the network.
        if not _SEALED_MEMBERS.isdisjoint(event):
            raise RefusedToken("claims")
        return self._shared(
            claims, event, share_id, event, token_epoch=0, card_token="", match={}, profile="A"
        )

    def _shared(
        self,
        claims: dict[str, Any],
        event: dict[str, Any],
        share_id: str,
        body: dict[str, Any],
        *,
        token_epoch: int,
        card_token: str,
        match: dict[str, Any],
        profile: str = "B",
    ) -> Share:
        fields, previous = body.get("fields"), match.get("previous_card_token", "")
        if not (isinstance(fields, dict) and isinstance(previous, str)):
            raise RefusedToken("claims")
        return Share(
            share_id=share_id,
            program=_text(event, "program"),
            issuer_id=_text(event, "issuer_id"),
            recipient_id=self.recipient_id,
            stream_seq=_stream_seq(event),
            jti=_text(claims, "jti"),
            evaluation_id=_text(claims, "txn"),
            issued_at_ms=_count(claims, "iat") * 1000,
            received_at_ms=self._now_ms(),
            purpose=_text(body, "purpose"),
            schema_version=_count(body, "schema_version"),
            token_epoch=token_epoch,
            card_token=card_token,
            match=match,
            fields=fields,
            profile=profile,
            previous_token_epoch=_count(match, "previous_token_epoch") if previous else 0,
            previous_card_token=previous,
        )


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _TEXT_MAX:
        raise RefusedToken("claims")
    return value


def _count(members: Mapping[str, Any], name: str) -> int:
    value = members.get(name)
    if type(value) is not int or not 0 <= value <= _STREAM_SEQ_MAX:
        raise RefusedToken("claims")
    return value


def _stream_seq(event: Mapping[str, Any]) -> int | None:
    if "stream_seq" not in event:
        return None
    seq = _count(event, "stream_seq")
    if seq < 1:
        raise RefusedToken("claims")
    return seq


def _void_from_seq(event: Mapping[str, Any]) -> int | None:
    if "void_from_seq" not in event:
        return None
    first, last = _count(event, "void_from_seq"), _count(event, "stream_seq")
    if not 1 <= first <= last:
        raise RefusedToken("claims")
    return first
