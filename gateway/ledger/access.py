"""What was shared about a card: with whom, when, which fields, under which consent, delivered or not. Pure.

The ledger says what left, and knows for some days of what was decided and has not left; the feeds say how far
a delivery came. A card is asked for by all names that are known of it, and more may show on the way.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from enrichment.fields import names_of
from gateway.ledger.entry import PREFIX
from gateway.ledger.ports import LedgerReader, LedgerUnavailable


@dataclass(frozen=True, slots=True)
class Left:
    """A share that left. `at_ms`: when that was recorded, right before."""

    transport: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far a share came by one transport: queued, sent, acknowledged, refused, withdrawn."""

    transport: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """One share about the card. No value of a field is in it: nobody but the recipient can read those."""

    share_id: str
    facts: Mapping[str, Any] = field(repr=False)
    left: tuple[Left, ...]
    deliveries: tuple[Delivery, ...]

    @property
    def recipient_id(self) -> str:
        return str(self.facts.get("recipient_id", ""))

    def as_json(self) -> dict[str, Any]:
        facts = self.facts
        told = {
            name: facts.get(name)
            for name in (
                "program", "issuer_id", "recipient_id", "sender_id", "purpose", "consent_id", "contract_id",
                "enrolment_id", "policy_version", "decided_at_ms", "payload_sha256",
            )
        }  # fmt: skip
        return {
            "share_id": self.share_id,
            **told,
            "fields": list(names_of(int(str(facts.get("field_mask", "0")), 16))),
            "left": [{"transport": one.transport, "at_ms": one.at_ms} for one in self.left],
            "deliveries": [{"transport": one.transport, "state": one.state} for one in self.deliveries],
        }


@dataclass(frozen=True, slots=True)
class Access:
    """Everything about one card, the oldest share first, and the unit keys that it is known by."""

    disclosures: tuple[Disclosure, ...]
    unit_keys: tuple[bytes, ...] = field(repr=False)


class DeliveryStates(Protocol):
    """How far deliveries came."""

    def states(self, share_ids: Sequence[str]) -> Mapping[str, Sequence[Delivery]]: ...


def access(
    reader: LedgerReader,
    deliveries: DeliveryStates,
    *,
    unit_keys: Sequence[bytes] = (),
    card_tokens: Sequence[str] = (),
) -> Access:
    """What was shared about the card that all these names are of."""
    units = reader.units_of(unit_keys, card_tokens)
    share_ids = reader.shares_of_units(units)
    states = deliveries.states(share_ids)
    found = [_disclosure(reader, share_id, tuple(states.get(share_id, ()))) for share_id in share_ids]
    known = [one for one in found if one is not None]
    known.sort(key=lambda one: (one.facts.get("decided_at_ms", 0), one.share_id))
    return Access(tuple(known), tuple(units))


def _disclosure(reader: LedgerReader, share_id: str, deliveries: tuple[Delivery, ...]) -> Disclosure | None:
    facts: Mapping[str, Any] | None = None
    left = []
    for chain, seq in reader.find(share_id):
        try:
            entry = json.loads(reader.entry(chain, seq)[PREFIX.size :])
            facts = entry["share"]
            left.append(Left(entry["transport"], entry["at_ms"]))
        except (ValueError, KeyError, TypeError):
            raise LedgerUnavailable("an entry is gone or damaged: see `ein audit verify`") from None
    if facts is None:
        kept = reader.release(share_id)
        if kept is None:
            return None
        facts = json.loads(kept)
    return Disclosure(share_id=share_id, facts=facts, left=tuple(left), deliveries=deliveries)
