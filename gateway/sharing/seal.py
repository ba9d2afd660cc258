"""What is released is encrypted to its recipient at once: no clear personal datum reaches our own disk."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, NamedTuple

from enrichment.contact import HASHED, HASHED_MASK
from enrichment.fields import FIELDS
from enrichment.payment import Assessment, JsonValue
from enrichment.signals import SCORE_MASK, Signals
from gateway.programs.model import CLEAR_PROFILE
from gateway.programs.table import ProgramEntry
from gateway.records.reasons import Reason
from gateway.sealing.body import (
    PREVIOUS_EPOCH,
    PREVIOUS_TOKEN,
    clear_members,
    members_of,
    routing_of,
    write_body,
)
from gateway.sealing.jwe import Held, Sealer
from gateway.sealing.keys import KeyUnavailable
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sealing.token_epochs import TokenEpochs
from gateway.sharing.decide import Decided
from gateway.sharing.encode import element_value
from gateway.sharing.work import Work
from issuernetwork.v1 import common_pb2

SCORES_CACHED: Final = 4096
"""Written scores kept: as many as the assessments that `enrichment.scoring.points` keeps."""

ENTRIES_CACHED: Final = 4096
"""What entries have for all their shares: programs times issuers."""

_MESSAGE = int(common_pb2.TRANSPORT_MESSAGE)
_CLEAR_OK = frozenset(one.number for one in FIELDS if one.clear_ok)


class _Standing(NamedTuple):
    """What an entry has for all its shares."""

    entry: ProgramEntry
    routing: bytes
    elements: tuple[tuple[str, int], ...]
    """(target, field number) of what may stand in the authorization message."""


class _Before(NamedTuple):
    """The epoch before, while its tokens are given beside the others."""

    epoch: int
    card_token: Callable[[str], str]


class _Recipient(NamedTuple):
    """What a batch has for one recipient: a content key, and how its tokens are made."""

    held: Held
    card_token: Callable[[str], str]
    epoch: int
    before: _Before | None


class ShareSealer:
    """Seals the released decisions of one payment."""

    __slots__ = ("_epochs", "_now_ms", "_pseudonyms", "_recipients", "_scores", "_sealer", "_standing")

    def __init__(self, pseudonyms: Pseudonyms, sealer: Sealer) -> None:
        self._pseudonyms = pseudonyms
        self._sealer = sealer
        self._epochs = TokenEpochs()
        self._now_ms = 0
        self._recipients: dict[str, _Recipient] = {}
        self._scores: dict[tuple[int, int], tuple[Assessment, bytes]] = {}
        self._standing: dict[int, _Standing] = {}

    def begin(self, now_ms: int, epochs: TokenEpochs) -> None:
        """Recipients' keys and epochs are looked at anew for each batch, at its wall time."""
        # Never back: a clock that is set back brings no epoch back whose key is lost.
        self._now_ms, self._epochs = max(self._now_ms, now_ms), epochs
        self._recipients.clear()

    def seal(self, work: Work) -> None:
        """Fills in what is released. What has no key any more is withheld."""
        payment, seen = work.payment, work.signals
        digits = "" if payment.pan is None else payment.pan.digits()
        matching = {"keys": work.match_keys, "attempted_at_ms": payment.initiated_at_ms}
        found = matching
        token = token_of = older = ""
        for one in work.decided:
            if one.reason is not None:
                continue
            assert one.release is not None, "what is released has its fields"
            entry, (mask, _, _) = one.entry, one.release
            if entry.profile == CLEAR_PROFILE:
                self._clear(one, work)
                continue
            recipient_id = entry.recipient_id
            recipient = self._recipients.get(recipient_id)
            if recipient is None or recipient.held.messages_left <= 0:
                try:
                    recipient = self._recipient(entry)
                except KeyUnavailable:
                    one.reason = Reason.KEY_UNAVAILABLE  # after the draw: it stays in its arm
                    continue
            held, card_token, epoch, before = recipient
            if digits and token_of != recipient_id:
                token, token_of = card_token(digits), recipient_id
                older, found = "", matching
                if before is not None:
                    older = before.card_token(digits)
                    found = {**matching, PREVIOUS_TOKEN: older, PREVIOUS_EPOCH: before.epoch}
            share_id = self._pseudonyms.share_id(
                work.item.sender_id, payment.payment_intent_id, payment.attempt_no, entry.program
            )
            # By identity, here and below: what is kept is alive, so that no other takes its number.
            _, routing, elements = self._standing.get(id(entry)) or self._stand(entry)
            scored = mask & SCORE_MASK
            _, score = self._scores.get((id(seen.assessment), scored)) or self._score(seen, scored)
            hashed = mask & HASHED_MASK
            fields = seen.named(mask ^ scored ^ hashed)
            if hashed:
                fields |= self._hashed(recipient_id, recipient, seen, hashed)
            if token:
                one.card_token, one.token_epoch, one.previous_card_token = token, epoch, older
            body = write_body(share_id, routing, token, one.token_epoch, found, fields, score)
            one.sealed, one.payload_sha256 = held.seal_hashed(body)
            one.recipient_kid = held.recipient_key.kid
            one.share_id = share_id
            if elements:
                one.elements = tuple(
                    [
                        (target, element_value(seen.value(number)))
                        for target, number in elements
                        if mask >> number & 1
                    ]
                )

    def _clear(self, one: Decided, work: Work) -> None:
        """Of no subject: no key of the recipient, no pseudonym, no match; feeds sign what is kept here."""
        assert one.release is not None, "what is released has its fields"
        payment, entry = work.payment, one.entry
        one.share_id = self._pseudonyms.share_id(
            work.item.sender_id, payment.payment_intent_id, payment.attempt_no, entry.program
        )
        one.sealed = clear_members(entry.purpose, work.signals.named(one.release.mask))
        one.payload_sha256 = sha256(one.sealed).digest()

    def _hashed(
        self, recipient_id: str, recipient: _Recipient, seen: Signals, mask: int
    ) -> dict[str, JsonValue]:
        """Hashes of contact data, the epoch in use first."""
        epochs = [recipient.epoch] if recipient.before is None else [recipient.epoch, recipient.before.epoch]
        contact_hash = self._pseudonyms.contact_hash
        made: dict[str, JsonValue] = {}
        for number, name, form in HASHED:
            if mask >> number & 1:
                text = form(seen.payment)
                made[name] = [
                    {"token_epoch": epoch, "hash": contact_hash(recipient_id, epoch, name, text)}
                    for epoch in epochs
                ]
        return made

    def _recipient(self, entry: ProgramEntry) -> _Recipient:
        recipient_id = entry.recipient_id
        epoch, before, _ = self._epochs.of(recipient_id, self._now_ms)
        tokens = self._pseudonyms.card_tokens
        made = self._recipients[recipient_id] = _Recipient(
            # A fresh one has one message in it, so that the next asks again.
            self._sealer.held(recipient_id, fresh=entry.fresh_content_key),
            tokens(recipient_id, epoch),
            epoch,
            _Before(before, tokens(recipient_id, before)) if before else None,
        )
        return made

    def _stand(self, entry: ProgramEntry) -> _Standing:
        in_message = entry.message_elements if _MESSAGE in entry.transports else ()
        made = _Standing(
            entry,
            routing_of(entry.issuer_id, entry.recipient_id, entry.program, entry.purpose),
            tuple([element for element in in_message if element[1] in _CLEAR_OK]),
        )
        _bound(self._standing, ENTRIES_CACHED)
        self._standing[id(entry)] = made
        return made

    def _score(self, seen: Signals, mask: int) -> tuple[Assessment, bytes]:
        """Fields of the assessment, which come last in the body, behind the hashes: the same for many."""
        made = (seen.assessment, members_of(seen.named(mask)))
        _bound(self._scores, SCORES_CACHED)
        self._scores[id(seen.assessment), mask] = made
        return made


def _bound(cache: dict[Any, Any], most: int) -> None:
    if len(cache) >= most:
        cache.clear()
