"""What is released is encrypted to its recipient at once: no clear personal datum reaches our own disk."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple

from enrichment.contact import HASHED, HASHED_MASK
from enrichment.fields import FIELDS
from enrichment.payment import JsonValue
from enrichment.signals import Signals
from gateway.programs.model import CLEAR_PROFILE
from gateway.programs.table import ProgramEntry
from gateway.records.reasons import Reason
from gateway.sealing.body import clear_members, members_of, routing_of
from gateway.sealing.jwe import CONTENT_KEY_LIFE_MS, Held, Sealer
from gateway.sealing.keys import KeyUnavailable
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sealing.pseudonyms_macs import CardTokens
from gateway.sealing.token_epochs import TokenEpochs
from gateway.sharing.decide import Decided
from gateway.sharing.elements import Elements
from gateway.sharing.encode import Encoder
from gateway.sharing.share import Order, Shares, Target, clear_recorded, decision_told, make_shares
from gateway.sharing.work import Work
from issuernetwork.v1 import common_pb2

ENTRIES_CACHED: Final = 4096
"""What entries have for all their shares: programs times issuers."""

_MESSAGE = int(common_pb2.TRANSPORT_MESSAGE)
_CLEAR_OK = frozenset(one.number for one in FIELDS if one.clear_ok)


class _Standing(NamedTuple):
    """What an entry has for all its shares."""

    entry: ProgramEntry
    routing: bytes
    elements: Elements


@dataclass(slots=True)
class _Recipient:
    """What a recipient has while its content key and its epochs stay, and how its tokens are made."""

    held: Held
    epochs: tuple[int, int]
    """In use, and before it while its tokens are given beside the others, else 0."""

    told_by: TokenEpochs
    until_ms: int
    """Wall time. Those say nothing else of them before it."""

    tokens: CardTokens
    before: tuple[int, CardTokens] | None
    batch: int = 0
    """The last one that asked whether they stay."""


class Addressed(NamedTuple):
    """What an entry's shares are sealed to, for as long as its recipient is the same."""

    target: Target
    held: Held
    """What its messages are taken from."""

    recipient: _Recipient
    entry: ProgramEntry


class ShareSealer:
    """Seals the released decisions of one payment."""

    __slots__ = (
        "_addressed", "_batch", "_encoder", "_epochs", "_expires_at_ms", "_forgot_ms", "_make_target",
        "_now_ms", "_pseudonyms", "_recipients", "_sealer", "_shares", "_standing",
    )  # fmt: skip

    def __init__(self, pseudonyms: Pseudonyms, sealer: Sealer, encoder: Encoder) -> None:
        self._pseudonyms = pseudonyms
        self._sealer = sealer
        self._encoder = encoder
        self._shares, self._make_target = make_shares(pseudonyms.macs)
        self._epochs = TokenEpochs()
        self._now_ms = self._expires_at_ms = self._batch = self._forgot_ms = 0
        self._recipients: dict[str, _Recipient] = {}
        self._addressed: dict[int, Addressed] = {}
        self._standing: dict[int, _Standing] = {}

    def begin(self, now_ms: int, epochs: TokenEpochs, expires_at_ms: int) -> None:
        """Recipients' keys and epochs are looked at anew for each batch, at its wall time."""
        # Never back: a clock that is set back brings no epoch back whose key is lost.
        self._now_ms, self._epochs = max(self._now_ms, now_ms), epochs
        self._expires_at_ms = expires_at_ms
        self._batch += 1
        if self._now_ms - self._forgot_ms >= CONTENT_KEY_LIFE_MS:
            # So that no content key outlives its time here, whose recipient or entry is asked for no more.
            self._forgot_ms = self._now_ms
            self._recipients.clear()
            self._addressed.clear()

    @property
    def shares(self) -> Shares:
        """What makes the shares, for who asks it directly."""
        return self._shares

    def target_of(self, entry: ProgramEntry) -> Addressed | None:
        """What an entry's shares are sealed to, with at least one message left; whoever asks takes each
        message from what is held. None for entries whose shares are not sealed. Raises KeyUnavailable."""
        # By identity, here and below: what is kept is alive, so that no other takes its number.
        found = self._addressed.get(id(entry))
        if found is not None and self._stays(found.recipient):
            return found
        return None if entry.profile == CLEAR_PROFILE else self._address(entry)

    def seal(self, work: Work) -> None:
        """Fills in what is released. What has no key any more is withheld."""
        seen, standing_part = work.signals, self._encoder.standing_part
        orders: list[Order] = []
        ordered: list[Decided] = []
        for one in work.decided:
            if one.reason is not None:
                continue
            assert one.release is not None, "what is released has its fields"
            entry, (mask, refusals, consent_id) = one.entry, one.release
            if entry.profile == CLEAR_PROFILE:
                self._clear(one, work)
                continue
            try:
                found = self.target_of(entry)
            except KeyUnavailable:
                one.reason = Reason.KEY_UNAVAILABLE  # after the draw: it stays in its arm
                continue
            assert found is not None, "sealed"
            target, held, recipient, _ = found
            held.messages_left -= 1  # before the encryption: a fault counts as a message too
            hashed = b""
            if mask & HASHED_MASK:
                hashed = members_of(self._hashed(entry.recipient_id, recipient, seen, mask))
            orders.append((target, mask, hashed, standing_part(entry, refusals), consent_id, one.arm))
            ordered.append(one)
        if orders:
            pan = work.payment.pan
            made = self._shares.seal(
                seen, "" if pan is None else pan.digits(), work.item.sender_id, work.match_keys,
                self._expires_at_ms, orders,
            )  # fmt: skip
            for one, parts in zip(ordered, made, strict=True):
                one.share_id, one.told, one.recorded = parts

    def _clear(self, one: Decided, work: Work) -> None:
        """Of no subject: no key of the recipient, no pseudonym, no match; feeds sign what is kept here."""
        assert one.release is not None, "what is released has its fields"
        payment, entry = work.payment, one.entry
        mask, refusals, consent_id = one.release
        one.share_id = self._pseudonyms.share_id(
            work.item.sender_id, payment.payment_intent_id, payment.attempt_no, entry.program
        )
        members = clear_members(entry.purpose, work.signals.named(mask))
        order = mask, self._encoder.standing_part(entry, refusals), consent_id, one.arm
        one.told = decision_told(entry.program, one.share_id, work.match_keys, self._expires_at_ms, b"")
        one.recorded = clear_recorded(
            order, one.share_id, sha256(members).digest(), members, self._expires_at_ms, work.match_keys
        )

    def _hashed(
        self, recipient_id: str, recipient: _Recipient, seen: Signals, mask: int
    ) -> dict[str, JsonValue]:
        """Hashes of contact data, the epoch in use first."""
        epochs = [epoch for epoch in recipient.epochs if epoch]
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

    def _stays(self, recipient: _Recipient) -> bool:
        """Whether more may be sealed to what it has; asked once a batch. Raises KeyUnavailable."""
        if recipient.batch == self._batch:
            return recipient.held.messages_left > 0
        if not self._sealer.serves(recipient.held, self._now_ms):
            return False
        # What one table says of a recipient holds for a time, and that never goes back here.
        if recipient.told_by is not self._epochs or self._now_ms >= recipient.until_ms:
            *epochs, until_ms = self._epochs.of(recipient.held.recipient_key.recipient_id, self._now_ms)
            if recipient.epochs != tuple(epochs):
                return False
            recipient.told_by, recipient.until_ms = self._epochs, until_ms
        recipient.batch = self._batch
        return True

    def _address(self, entry: ProgramEntry) -> Addressed:
        """As `target_of`, of an entry that was not met, or whose recipient has changed."""
        recipient = None if entry.fresh_content_key else self._recipients.get(entry.recipient_id)
        if recipient is None or not self._stays(recipient):
            recipient = self._meet(entry)
        _, routing, elements = self._standing.get(id(entry)) or self._stand(entry)
        held, tokens, before = recipient.held, recipient.tokens, recipient.before
        kid, content_key = held.recipient_key.kid, held.content_key
        target = self._make_target(
            entry.program, routing, kid, content_key, recipient.epochs[0], tokens, before, elements
        )
        made = Addressed(target, held, recipient, entry)
        if not entry.fresh_content_key:
            _bound(self._addressed, ENTRIES_CACHED)
            self._addressed[id(entry)] = made
        return made

    def _meet(self, entry: ProgramEntry) -> _Recipient:
        recipient_id, tokens = entry.recipient_id, self._pseudonyms.tokens
        epoch, before, until_ms = self._epochs.of(recipient_id, self._now_ms)
        made = _Recipient(
            self._sealer.held(recipient_id, fresh=entry.fresh_content_key),
            (epoch, before),
            self._epochs,
            until_ms,
            tokens(recipient_id, epoch),
            (before, tokens(recipient_id, before)) if before else None,
            self._batch,
        )
        if not entry.fresh_content_key:  # which nobody keeps: it has one message in it
            _bound(self._recipients, ENTRIES_CACHED)
            self._recipients[recipient_id] = made
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


def _bound(cache: dict[Any, Any], most: int) -> None:
    if len(cache) >= most:
        cache.clear()
