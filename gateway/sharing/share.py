"""The shares of one payment, each from what is known to what answer and record say of it, in one call.

By the engine where it is built (native/src/sealing/share.rs), else by the twin here.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from enrichment.contact import HASHED_MASK
from enrichment.payment import Payment
from enrichment.signals import SCORE_MASK, Signals
from enrichment.ways import rows
from gateway.outcomes.matching import match_keys as match_keys_by_twin
from gateway.records.masks import LOW_BITS, LOW_MASK
from gateway.runtime.native import engines
from gateway.sealing.body import PREVIOUS_EPOCH, PREVIOUS_TOKEN, members_of, write_body
from gateway.sealing.content_key import ContentKey
from gateway.sealing.pseudonyms_macs import CardTokens, Macs
from gateway.sharing.elements import Elements, element_value, elements_of
from gateway.sharing.wire import make_writer
from issuernetwork.storage.v1 import journal_pb2
from issuernetwork.v1 import common_pb2

DECISIONS_OF_ANSWER: Final = 7
DECISIONS_OF_RECORD: Final = 24
_SHARED = common_pb2.SHARE_STATUS_SHARED
_RELEASED = journal_pb2.DECISION_OUTCOME_RELEASED


class Target(NamedTuple):
    """A program's recipient while one content key serves it."""

    program: str
    routing: bytes
    kid: str
    content_key: ContentKey
    epoch: int
    tokens: CardTokens
    before: tuple[int, CardTokens] | None
    """The epoch before, while its tokens are given beside the others."""

    elements: Elements = ()
    """What may stand in the authorization message, of the fields that a share has."""

    def __repr__(self) -> str:
        return "Target(****)"


class MakeTarget(Protocol):
    """`Target`, or the engine's."""

    def __call__(
        self,
        program: str,
        routing: bytes,
        kid: str,
        content_key: ContentKey,
        epoch: int,
        tokens: CardTokens,
        before: tuple[int, CardTokens] | None,
        elements: Elements = (),
        /,
    ) -> Target: ...


Order = tuple[Target, int, bytes, bytes, str, int]
"""Target, mask, members made for this recipient alone (JSON without braces), standing part of the record, id
of the consent, arm."""

Made = tuple[str, bytes, bytes]
"""Share id, decision as a field of the answer, decision as a field of the record."""


class Shares(Protocol):
    """Makes the shares of a payment."""

    def seal(
        self,
        known: Signals,
        digits: str,
        sender_id: str,
        match_keys: tuple[str, ...],
        expires_at_ms: int,
        orders: list[Order],
        /,
    ) -> list[Made]:
        """One share an order, each a message under its target's content key. `digits`: the PAN, or ""."""
        ...


class TwinShares:
    """`Shares` in Python."""

    __slots__ = ("_macs",)

    def __init__(self, macs: Macs) -> None:
        self._macs = macs

    def __repr__(self) -> str:
        return "TwinShares(****)"

    def seal(
        self,
        known: Signals,
        digits: str,
        sender_id: str,
        match_keys: tuple[str, ...],
        expires_at_ms: int,
        orders: Sequence[Order],
        /,
    ) -> list[Made]:
        payment, made = known.payment, []
        for target, mask, members, part, consent_id, arm in orders:
            share_id = self._macs.share_id(
                sender_id, payment.payment_intent_id, payment.attempt_no, target.program
            )
            found: dict[str, Any] = {"keys": match_keys, "attempted_at_ms": payment.initiated_at_ms}
            token, epoch, older = "", 0, ""
            if digits:
                token, epoch = target.tokens.card_token(digits), target.epoch
                if target.before is not None:
                    before, tokens = target.before
                    older = tokens.card_token(digits)
                    found |= {PREVIOUS_TOKEN: older, PREVIOUS_EPOCH: before}
            scored = mask & SCORE_MASK
            # The score is last in the body, behind what is made for the recipient.
            last = [part for part in (members, members_of(known.named(scored))) if part]
            fields = known.named(mask & ~(SCORE_MASK | HASHED_MASK))
            body = write_body(share_id, target.routing, token, epoch, found, fields, b",".join(last))
            sealed, digest = target.content_key.seal(body)
            elements = elements_of(target.elements, known, mask)
            told = decision_told(target.program, share_id, match_keys, expires_at_ms, elements)
            recorded = _RELEASED_DECISION.write(
                (
                    part, share_id, consent_id, _RELEASED, arm, True, mask & LOW_MASK, token,
                    epoch, target.kid, digest, sealed, expires_at_ms, match_keys, older, mask >> LOW_BITS,
                )
            )  # fmt: skip
            made.append((share_id, told, recorded))
        return made


def decision_told(
    program: str, share_id: str, match_keys: tuple[str, ...], expires_at_ms: int, elements: bytes
) -> bytes:
    """Decision of what is shared, as a field of the answer."""
    match_key = match_keys[0] if match_keys else ""
    return DECISION.write((program, _SHARED, share_id, match_key, expires_at_ms, elements))


DECISION: Final = make_writer(
    [(1, "text"), (2, "varint"), (4, "text"), (6, "text"), (7, "varint"), (0, "raw")], DECISIONS_OF_ANSWER
)
"""v1.ProgramDecision of what is shared, in its answer."""

_RELEASED_DECISION: Final = make_writer(
    [(0, "raw"), (2, "text"), (5, "text"), (7, "varint"), (10, "varint"), (15, "varint"),
     (16, "varint"), (19, "text"), (20, "varint"), (22, "text"), (23, "bytes"), (24, "bytes"), (26, "varint"),
     (27, "texts"), (28, "text"), (29, "varint")],
    DECISIONS_OF_RECORD,
)  # fmt: skip
"""storage.v1.Decision of what is released, in its record: its static part, its refusals, what changes."""


def clear_recorded(
    order: tuple[int, bytes, str, int], share_id: str, digest: bytes, members: bytes, expires_at_ms: int,
    match_keys: tuple[str, ...],
) -> bytes:  # fmt: skip
    """Decision of what leaves unsealed, in its record: of no card, no key.

    `order`: mask, standing part, id of the consent, arm.
    """
    mask, part, consent_id, arm = order
    return _RELEASED_DECISION.write(
        (
            part, share_id, consent_id, _RELEASED, arm, True, mask & LOW_MASK, "", 0, "", digest, members,
            expires_at_ms, match_keys, "", mask >> LOW_BITS,
        )
    )  # fmt: skip


def match_keys(payment: Payment) -> tuple[str, ...]:
    """As the SDK makes them, by the engine where it is built (native/src/sealing/share_keys.rs)."""
    made: tuple[str, ...] | None = _match_keys(payment)
    return match_keys_by_twin(payment) if made is None else made


_match_keys: Any = match_keys_by_twin if engines is None else engines.match_keys


def make_shares(macs: Macs, native: Any = engines) -> tuple[Shares, MakeTarget]:
    """The engine where it is built and made the names too, and what it seals to; else the twins."""
    if native is None or not isinstance(macs, native.Macs):
        return TwinShares(macs), Target
    return native.Shares(macs, rows(), SCORE_MASK, HASHED_MASK, element_value), native.ShareTarget
