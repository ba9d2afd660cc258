"""One issuer's authorization desk, without I/O: finds shares, decides, and says what became of them."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from issuernetwork.match_keys import is_composite, match_keys
from issuernetwork.receiver_open import Share
from issuernetwork.v1 import common_pb2, feed_pb2
from simulator.decisions import Behaviour, Nature, approves, response_code
from simulator.draws import draw
from simulator.labels import DueLabel, delay_ms

REMEMBERED_AUTHORIZATIONS = 8_192
"""Authorizations kept to match later shares to: at 200/s some 40 s, where a stream lags by one or two."""

HELD_SHARES = 8_192
"""Shares that came ahead of their authorization."""

RECEIPTED_SHARES = 16_384
GRACE_MS = 8_000
"""How long a share may wait for its authorization before it counts as not matched."""

ISSUER_REPORT_SHARE = 0.6
"""Approved fraud that the issuer itself reports; the rest is known by the payment side alone."""

_REPORTING = "fraud_reporting"
_SCORE_FIELDS = ("score_norm", "score_raw")


def reference_keys(references: Mapping[str, Any]) -> list[str]:
    """Match keys that name one authorization; the composite is for those who have nothing better."""
    keys = match_keys(references_message(references))
    return [key for key in keys if not is_composite(key)] or list(keys)


def mangled(references: Mapping[str, Any]) -> dict[str, Any]:
    """References as an issuer's systems hold them that lose them on the way: nothing is found by them."""
    return {
        **references,
        "stan": "000000",
        "retrieval_reference_number": "",
        "card_acceptor_id": "UNKNOWN",
        "last4": "0000",
    }


def references_message(references: Mapping[str, Any]) -> common_pb2.MatchReferences:
    """The references in the words of the contract."""
    return common_pb2.MatchReferences(**references)


def nature_of(message: Mapping[str, Any]) -> Nature:
    """Nature's draw, as the simulated network carries it."""
    return Nature(*message["nature"])


def is_usable(share: Share, behaviour: Behaviour) -> bool:
    """Whether the issuer can decide by this share: its program, with what that program is for inside."""
    if share.program != behaviour.program:
        return False
    if behaviour.program == "risk-score":
        return any(isinstance(share.fields.get(name), int | float) for name in _SCORE_FIELDS)
    return bool(share.fields)


@dataclass(slots=True)
class _Authorization:
    decided_at_ms: int
    approved: bool


@dataclass(slots=True)
class _Held:
    share: Share
    since_ms: int
    keys: list[str]


@dataclass(slots=True)
class Tally:
    """What the desk has done; for progress and the drain of a run."""

    authorizations: int = 0
    informed: int = 0
    shares_opened: int = 0
    refused: int = 0
    uses: dict[str, int] = field(default_factory=dict)


class Desk:
    """Decides authorizations and settles shares. Times come in as parameters."""

    def __init__(self, behaviour: Behaviour, *, seed: int) -> None:
        self.behaviour = behaviour
        self.tally = Tally()
        self._seed = seed
        self._authorizations: OrderedDict[str, _Authorization] = OrderedDict()
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._by_key: dict[str, str] = {}
        self._receipted: OrderedDict[str, None] = OrderedDict()
        self._receipts: list[feed_pb2.Receipt] = []

    def held_for(self, references: Mapping[str, Any]) -> list[Share]:
        """Shares that came ahead of this authorization."""
        ids = {self._by_key[key] for key in reference_keys(references) if key in self._by_key}
        return [self._held[share_id].share for share_id in ids if share_id in self._held]

    def decide(
        self, message: Mapping[str, Any], shares: Sequence[Share], *, now_ms: int
    ) -> tuple[bool, str, list[DueLabel]]:
        """The decision on an authorization with the shares found for it: approved, DE39, later labels."""
        behaviour, nature = self.behaviour, nature_of(message)
        usable = [share for share in shares if is_usable(share, behaviour)]
        elements = message["elements"]
        told = any(program == behaviour.program and value for _, program, _, value in elements)
        informed = (bool(usable) or told) and not nature.late
        approved = approves(behaviour, nature, with_data=informed)
        references = mangled(message["refs"]) if nature.unmatched else message["refs"]
        self._remember(references, _Authorization(now_ms, approved))
        self.tally.authorizations += 1
        self.tally.informed += informed
        used = informed and behaviour.uses_data
        programs = {share.share_id: share.program for share in shares}
        programs.update((share_id, program) for share_id, program, _, _ in elements)
        for share_id, program in programs.items():
            if nature.late:
                use = feed_pb2.RECEIPT_USE_LATE
            elif used and program == behaviour.program:
                use = feed_pb2.RECEIPT_USE_USED
            else:
                use = feed_pb2.RECEIPT_USE_SEEN
            self._settle(share_id, use, received_ms=now_ms, decided_ms=now_ms, approved=approved)
        labels = list(self._fraud_reports(message, nature, shares)) if approved and nature.fraud else []
        return approved, response_code(nature, approved=approved), labels

    def arrived(self, share: Share, *, now_ms: int) -> None:
        """A share came by the stream."""
        if share.share_id in self._receipted:
            return
        if share.purpose == _REPORTING:
            self._settle(share.share_id, feed_pb2.RECEIPT_USE_SEEN, received_ms=now_ms)
            return
        keys = [str(key) for key in share.match.get("keys", ())]
        for key in keys:
            known = self._authorizations.get(key)
            if known is not None:
                self._settle(
                    share.share_id,
                    feed_pb2.RECEIPT_USE_LATE,
                    received_ms=now_ms,
                    decided_ms=known.decided_at_ms,
                    approved=known.approved,
                )
                return
        self._held[share.share_id] = _Held(share, now_ms, keys)
        for key in keys:
            self._by_key[key] = share.share_id
        if len(self._held) > HELD_SHARES:
            self._give_up(next(iter(self._held)), now_ms=now_ms)

    def withdrawn(self, share_id: str) -> None:
        """A share was taken back: it is used no more."""
        self._drop(share_id)

    def settle_overdue(self, *, now_ms: int, grace_ms: int = GRACE_MS) -> None:
        """Gives up on shares whose authorization did not come."""
        while self._held:
            share_id, held = next(iter(self._held.items()))
            if now_ms - held.since_ms < grace_ms:
                return
            self._give_up(share_id, now_ms=now_ms)

    def take_receipts(self, limit: int) -> list[feed_pb2.Receipt]:
        """Receipts to report; `give_back` those that were not taken."""
        taken, self._receipts = self._receipts[:limit], self._receipts[limit:]
        return taken

    def give_back(self, receipts: list[feed_pb2.Receipt]) -> None:
        self._receipts = receipts + self._receipts

    @property
    def receipts_waiting(self) -> int:
        return len(self._receipts)

    @property
    def shares_held(self) -> int:
        return len(self._held)

    def _remember(self, references: Mapping[str, Any], authorization: _Authorization) -> None:
        for key in reference_keys(references):
            self._authorizations[key] = authorization
        while len(self._authorizations) > 2 * REMEMBERED_AUTHORIZATIONS:
            self._authorizations.popitem(last=False)

    def _give_up(self, share_id: str, *, now_ms: int) -> None:
        self._settle(share_id, feed_pb2.RECEIPT_USE_NOT_MATCHED, received_ms=now_ms)

    def _drop(self, share_id: str) -> None:
        held = self._held.pop(share_id, None)
        if held is not None:
            for key in held.keys:
                if self._by_key.get(key) == share_id:
                    del self._by_key[key]

    def _settle(
        self,
        share_id: str,
        use: feed_pb2.ReceiptUse,
        *,
        received_ms: int,
        decided_ms: int = 0,
        approved: bool | None = None,
    ) -> None:
        self._drop(share_id)
        if share_id in self._receipted:
            return
        self._receipted[share_id] = None
        if len(self._receipted) > RECEIPTED_SHARES:
            self._receipted.popitem(last=False)
        missed = use == feed_pb2.RECEIPT_USE_NOT_MATCHED
        receipt = feed_pb2.Receipt(
            receipt_id=f"r-{share_id}",
            share_id=share_id,
            match=feed_pb2.MATCH_RESULT_NOT_MATCHED if missed else feed_pb2.MATCH_RESULT_UNIQUE,
            use=use,
            received_at_ms=received_ms,
            decided_at_ms=decided_ms,
        )
        if approved is not None:
            receipt.approved = approved
        self._receipts.append(receipt)
        word = feed_pb2.ReceiptUse.Name(use).removeprefix("RECEIPT_USE_").lower()
        self.tally.uses[word] = self.tally.uses.get(word, 0) + 1

    def _fraud_reports(
        self, message: Mapping[str, Any], nature: Nature, shares: Iterable[Share]
    ) -> Iterable[DueLabel]:
        name = message["id"]
        if draw(self._seed, "issuer-reports", name) >= ISSUER_REPORT_SHARE:
            return
        references = message["refs"]
        happened_ms = references["attempted_at_ms"]
        reported_ms = message["reported_at_ms"] or happened_ms + delay_ms(self._seed, "issuer", name)
        share_ids = [share.share_id for share in shares if share.program == self.behaviour.program]
        label = feed_pb2.LabelEvent(
            label_id=f"i-{name}",
            source_ref=f"case-{name}",
            kind=feed_pb2.LABEL_KIND_FRAUD,
            source=feed_pb2.LABEL_SOURCE_ISSUER,
            verb=feed_pb2.LABEL_VERB_REPORTED,
            state=feed_pb2.LABEL_STATE_CONFIRMED,
            fraud_type="04",
            amount_minor=references["amount_minor"],
            currency=references["currency"],
            effective_at_ms=happened_ms,
            reported_at_ms=reported_ms,
        )
        if share_ids:
            label.share_id = share_ids[0]
        else:
            label.match.CopyFrom(references_message(references))
        yield DueLabel(reported_ms, label)
        if draw(self._seed, "issuer-takes-back", name) < 0.05:
            back = feed_pb2.LabelEvent()
            back.CopyFrom(label)
            back.label_id, back.verb = f"i-{name}-back", feed_pb2.LABEL_VERB_DELETED
            back.state = feed_pb2.LABEL_STATE_NOT_FRAUD
            back.reported_at_ms = reported_ms + 86_400_000
            yield DueLabel(back.reported_at_ms, back)
