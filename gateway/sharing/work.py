"""A batch on its way through the hot path."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from enrichment.masked import MaskedStruct
from enrichment.payment import NO_FACTS, Assessment, Facts, Payment
from enrichment.signals import Signals
from gateway.programs.switches import SwitchView
from gateway.programs.table import IssuerEntry, ReleaseTable
from gateway.sharing.decide import Decided, Rules
from gateway.sharing.items import Item, Result, Tally
from gateway.sharing.velocity_port import Touch

NO_SIGNALS: Any = None
"""Of an item that has not come to that stage."""

NOT_LOOKED_AT: Any = ...
"""Of addresses that were not compared: what the engine admits has both alike, or lacks one, or this."""

NO_RULES: Any = None
"""Of a batch that has not come to that stage."""


class Work(MaskedStruct):
    """One item on its way. Never shown: it holds the payment."""

    index: int
    item: Item
    payment: Payment
    digest: bytes = b""
    request_key: int = 0
    attempt_key: int = 0
    duplicate: bool = False
    unit_source: int = 0
    unit_key: bytes = b""
    card_key: bytes = b""
    card_source: int = 0
    velocity_keys: tuple[bytes | None, ...] = ()
    issuer: IssuerEntry | None = None
    evaluation_id: str = ""
    ship_bill_match: bool | None = NOT_LOOKED_AT
    facts: Facts = NO_FACTS
    assessment: Assessment | None = None
    signals: Signals = NO_SIGNALS
    match_keys: tuple[str, ...] = ()
    decided: Sequence[Decided] = ()
    sealed: bool = False
    """Its shares are made and its PAN is dropped: it cannot be sealed again."""

    tail: bytes = b""
    answer: bytes = b""
    record: bytes = b""


@dataclass(slots=True)
class Batch:
    """What one batch shares."""

    now_ms: int
    table: ReleaseTable
    view: SwitchView | None
    fresh: bool
    tally: Tally
    expires_at_ms: int
    results: list[Result | None]
    rules: Rules = NO_RULES
    frame: bytes = b""
    tail: bytes = b""
    works: list[Work] = field(default_factory=list)
    asked: list[Work] = field(default_factory=list)
    touches: list[Touch] = field(default_factory=list)
    """What the velocity store is asked, and for whom."""

    first: dict[int, Work] = field(default_factory=dict)
    attempts: set[int] = field(default_factory=set)
    repeats: list[tuple[int, Work]] = field(default_factory=list)
    again: list[tuple[int, Item, Payment, bytes]] = field(default_factory=list)
    """Repeats of requests answered earlier: index, item, payment, the answer given then."""
