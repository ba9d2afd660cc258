"""Cardholders' rights, as commands and the API have them: one card named, its shares, its cases."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from enrichment.card import luhn_valid
from enrichment.masked import Pan
from gateway.backends.embedded.delivery_reader import SqliteDeliveryReader
from gateway.backends.embedded.delivery_states import StoredDeliveries
from gateway.backends.embedded.keyfiles import OwnKeys, load_keys
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.ledger import SqliteLedgerReader
from gateway.backends.embedded.recipient_files import recipients_with_keys
from gateway.backends.embedded.subjects import SqliteSubjects
from gateway.ledger.access import Access, access
from gateway.ledger.ports import LedgerUnavailable
from gateway.programs.subjects import (
    CaseEvent,
    CaseKind,
    CaseState,
    SubjectRefused,
    check_under_way,
)
from gateway.programs.switches import Stopped, await_epoch
from gateway.runtime.clock import Clock
from gateway.runtime.disk import RealDisk
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.server.state import StateDir
from gateway.server.verbs.erasure_certificate import certificate, signed_certificate

CARD_REF_CHARACTERS_MAX: Final = 64
"""As requests have them."""


@dataclass(frozen=True, slots=True)
class CardNamed:
    """A card by the one name that is given. Never shown: it may be a card number."""

    pan: Pan | None = field(default=None, repr=False)
    """The number, or a network token, as it was given: nobody has looked at it yet."""
    par: str = field(default="", repr=False)
    card_ref: str = field(default="", repr=False)
    sender_id: str = field(default="", repr=False)
    """Whose reference it is."""
    card_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """Cases of one card, in effect or on the way there."""

    case_ids: list[int]
    effect: Stopped
    names: int = 0
    """Pseudonyms that the card is known by here."""


class SubjectDesk:
    """Works on the files of an installation, with every process up or down."""

    def __init__(
        self, state: StateDir, clock: Clock, *, own_keys: Callable[[], OwnKeys] | None = None
    ) -> None:
        """`own_keys` gives keys that are open already; without it they are opened where a card needs them."""
        self._state = state
        self._clock = clock
        self._own_keys = own_keys or (lambda: load_keys(state.keys))

    def show(self, card: CardNamed) -> tuple[Access, list[CaseEvent]]:
        """What was shared about the card, and what its holder asked for. Raises SubjectRefused."""
        found = self._look(card)
        if not self._state.consents_db.exists():
            return found, []
        with closing(self._cases()) as cases:
            return found, cases.of_card(found.unit_keys)

    def open(self, kinds: list[CaseKind], card: CardNamed, *, actor: str, reason: str) -> Opened:
        """Opens cases, and returns when every worker acts on them or says who does not yet."""
        unit_keys = self._names(card, certain=CaseKind.ERASURE in kinds)
        since_ns = self._clock.monotonic_ns()
        with closing(self._cases()) as cases:
            case_ids, epoch = cases.open(kinds, unit_keys, actor=actor, reason=reason)
        return Opened(case_ids, self._in_effect(epoch, since_ns), len(unit_keys))

    def decide(self, case_id: int, state: CaseState, *, actor: str, reason: str) -> Opened:
        """Upholds or refuses an objection."""
        since_ns = self._clock.monotonic_ns()
        with closing(self._cases()) as cases:
            epoch = cases.move(case_id, state, actor=actor, reason=reason)
        return Opened([case_id], self._in_effect(epoch, since_ns))

    def told(self, case_id: int, recipient_id: str, *, evidence: str, actor: str, reason: str) -> Opened:
        """Writes down that a recipient was told of an erasure by hand. Raises SubjectRefused."""
        asked = self.case(case_id)[-1]
        check_under_way(asked.kind, asked.state)
        notices = []
        if self._state.feeds_db.exists():
            with closing(SqliteDeliveryReader(self._state.feeds_db)) as reader:
                notices = reader.notices(case_id)
        if recipient_id not in {one.recipient_id for one in notices}:
            raise SubjectRefused(
                "recipient: it has no order to erase in this case, or the feeds have not given it yet;"
                " `ein subject certificate` names those that have"
            )
        since_ns = self._clock.monotonic_ns()
        with closing(self._cases()) as cases:
            epoch = cases.tell(case_id, recipient_id, evidence, actor=actor, reason=reason)
        return Opened([case_id], self._in_effect(epoch, since_ns))

    def certificate(self, case_id: int, *, iss: str) -> tuple[dict[str, Any], str]:
        """How far an erasure has come, and the same as a compact JWS. Raises SubjectRefused."""
        steps = self.case(case_id)
        with closing(self._cases()) as cases:
            found = certificate(self._state, steps, cases.told(case_id))
        return found, signed_certificate(found, self._own_keys().default_at(self._clock.wall_ms()), iss=iss)

    def case(self, case_id: int) -> list[CaseEvent]:
        """All steps of a case. Raises SubjectRefused where there is none."""
        with closing(self._cases()) as cases:
            steps = cases.case(case_id)
        if not steps:
            raise SubjectRefused("case: there is none of this number; see `ein subject show`")
        return steps

    def _cases(self) -> SqliteSubjects:
        self._state.make()
        return SqliteSubjects(str(self._state.consents_db), self._clock)

    def _in_effect(self, epoch: int, since_ns: int) -> Stopped:
        board = FileLeaseBoard(RealDisk(), str(self._state.leases))
        return await_epoch(board, self._clock, time.sleep, epoch, since_ns=since_ns, of_consents=True)

    def _look(self, card: CardNamed) -> Access:
        unit_keys, card_tokens = self._pseudonyms(card)
        if not self._state.ledger_db.exists():
            found = Access((), tuple(unit_keys))
        else:
            with closing(SqliteLedgerReader(self._state.ledger_db)) as reader:
                found = access(
                    reader,
                    StoredDeliveries(self._state.feeds_db),
                    unit_keys=unit_keys,
                    card_tokens=card_tokens,
                )
        if not found.unit_keys:
            raise SubjectRefused("card-token: nothing was ever shared under it; check it, or give the number")
        return found

    def _names(self, card: CardNamed, *, certain: bool) -> list[bytes]:
        """All pseudonyms of a card. Raises SubjectRefused.

        What stops sharing waits for nothing: where the ledger cannot say what other names lead to the card,
        the given one stands. `certain`: that is not enough, since nothing of it can be taken back.
        """
        given, tokens = self._pseudonyms(card)
        joined = given
        if self._state.ledger_db.exists():
            try:
                with closing(SqliteLedgerReader(self._state.ledger_db)) as reader:
                    joined = reader.units_of(given, tokens)
            except LedgerUnavailable:
                if certain or not given:
                    raise
        if not joined:
            raise SubjectRefused("card-token: nothing was ever shared under it; check it, or give the number")
        return joined

    def _pseudonyms(self, card: CardNamed) -> tuple[list[bytes], list[str]]:
        pan = "" if card.pan is None else card.pan.digits()
        given = [name for name in (pan, card.par, card.card_ref, card.card_token) if name]
        if len(given) != 1:
            raise SubjectRefused("card: give exactly one of its number, PAR, reference or token")
        if card.card_token:
            return [], [card.card_token]
        own = self._own_keys()
        pseudonyms = Pseudonyms(own.mac_keys)
        if card.par:
            return [pseudonyms.card_key("par", card.par, "")], []
        if card.card_ref:
            if not card.sender_id or len(card.card_ref) > CARD_REF_CHARACTERS_MAX:
                raise SubjectRefused("sender: say which payment service's reference it is")
            return [pseudonyms.card_key("card_ref", card.card_ref, card.sender_id)], []
        if not (13 <= len(pan) <= 19 and pan.isascii() and pan.isdigit() and luhn_valid(pan)):
            raise SubjectRefused("pan: 13 to 19 digits with a valid check digit are expected")
        now_ms = self._clock.wall_ms()
        tokens = [
            pseudonyms.card_tokens(recipient_id, epoch)(pan)
            for recipient_id in recipients_with_keys(self._state.keys)
            for epoch in own.token_epochs.begun(recipient_id, now_ms)
        ]
        # A token of a network is no card number, and looks like one: either may have been sent.
        return [pseudonyms.card_key(kind, pan, "") for kind in ("pan", "network_token")], tokens
