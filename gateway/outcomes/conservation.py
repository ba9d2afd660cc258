"""The conservation account: nothing lost, nothing doubled, nothing left without a record.

Added up from the sender's list, the journals and the receivers' logs, never from counters of the processes
under test. The unit of delivery is a share by one transport.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.records.reasons import Reason
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import common_pb2 as v1

SSF = "ssf"
TRANSPORTS = {v1.TRANSPORT_MESSAGE: "message", v1.TRANSPORT_LOOKUP: "lookup", v1.TRANSPORT_SSF: SSF}

MAX_EXAMPLES = 5
"""Ids shown for each broken rule: enough to start looking, few enough to read."""

Delivery = tuple[str, str]
"""(share_id, transport)."""


@dataclass(frozen=True, slots=True)
class AccountResult:
    """Columns of the account, and each rule that does not hold with a few ids. Empty `broken`: it adds up."""

    columns: Mapping[str, int]
    withheld: Mapping[str, int]
    by_transport: Mapping[str, Mapping[str, int]]
    broken: Mapping[str, list[str]]

    @property
    def adds_up(self) -> bool:
        return not self.broken

    def as_json(self) -> dict[str, Any]:
        return {
            **self.columns,
            "withheld": dict(self.withheld),
            "by_transport": {name: dict(row) for name, row in self.by_transport.items()},
            "broken": dict(self.broken),
            "adds_up": self.adds_up,
        }


@dataclass(slots=True)
class Account:
    """Takes what each side recorded, in any order, and adds it up. Repeats are recognised by id."""

    _received: dict[str, bool] = field(default_factory=dict)
    _errors: Counter[str] = field(default_factory=Counter)
    _told_shared: set[str] = field(default_factory=set)
    _told_undetermined: set[str] = field(default_factory=set)
    _told_withheld_only: set[str] = field(default_factory=set)
    _evaluated: dict[str, int] = field(default_factory=dict)
    _request_shares: dict[str, list[str]] = field(default_factory=dict)
    _released: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _label_shares: set[str] = field(default_factory=set)
    _withheld: Counter[str] = field(default_factory=Counter)
    _steps: dict[int, set[Delivery]] = field(default_factory=dict)
    _places: dict[str, dict[int, str]] = field(default_factory=dict)
    _voids: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    _verified: dict[Delivery, int] = field(default_factory=dict)
    _tombstones: set[str] = field(default_factory=set)
    _repeats: int = 0
    _broken: dict[str, list[str]] = field(default_factory=dict)

    def sender(self, line: Mapping[str, Any]) -> None:
        """One line of the sender's list: a request and what the sender was told."""
        request_id = line["request_id"]
        self._received[request_id] = self._received.get(request_id, False) or bool(line["answered"])
        if line.get("error"):
            self._errors[line["error"]] += 1
        for decision in line.get("decisions", ()):
            if decision["status"] == "shared":
                self._told_shared.add(decision["share_id"])
            elif decision["status"] == "undetermined":
                self._told_undetermined.add(decision["share_id"])
        if line["answered"] and all(d["status"] == "withheld" for d in line.get("decisions", ())):
            self._told_withheld_only.add(request_id)

    def evaluation(self, record: storage.Evaluation) -> None:
        """One record of the gateway's journal."""
        seen = self._evaluated.get(record.evaluation_id, 0)
        self._evaluated[record.evaluation_id] = seen + 1
        if seen:
            # A repeat of a request beyond the memory of answers: consumers drop it by its ids.
            return
        self._request_shares[record.request_id] = [d.share_id for d in record.decisions if d.share_id]
        self._decisions(record.decisions, labels=False)

    def label(self, record: storage.LabelRecord) -> None:
        """One label, with what is shared of it."""
        self._decisions(record.decisions, labels=True)

    def _decisions(self, decisions: Any, *, labels: bool) -> None:
        for decision in decisions:
            if decision.outcome == storage.DECISION_OUTCOME_RELEASED:
                if decision.share_id in self._released:
                    self._note("share released twice", decision.share_id)
                self._released[decision.share_id] = tuple(TRANSPORTS.get(t, "?") for t in decision.transports)
                if labels:
                    self._label_shares.add(decision.share_id)
            else:
                self._withheld[_reason_name(decision.withhold_reason)] += 1

    def delivery(self, record: storage.DeliveryRecord) -> None:
        """One step of a delivery, from the feeds' journal."""
        step = (record.share_id, TRANSPORTS.get(record.transport, "?"))
        self._steps.setdefault(record.event, set()).add(step)
        if record.void_from_seq:
            self._voids.setdefault(record.stream_id, set()).add((record.void_from_seq, record.stream_seq))
        if record.event in _TAKES_A_PLACE and record.stream_seq:
            places = self._places.setdefault(record.stream_id, {})
            if places.setdefault(record.stream_seq, record.share_id) != record.share_id:
                self._note("two shares at one place of a stream", record.share_id)

    def receiver(self, line: Mapping[str, Any]) -> None:
        """One line of a receiver's log."""
        step = (line["share_id"], line["transport"])
        if line.get("duplicate"):
            self._repeats += 1
            return
        if line["kind"] == "withdrawn":
            self._tombstones.add(line["share_id"])
        elif line["verified"]:
            self._verified[step] = self._verified.get(step, 0) + 1

    def _note(self, rule: str, example: str) -> None:
        examples = self._broken.setdefault(rule, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(example)

    def _require(self, rule: str, exceptions: set[str]) -> int:
        for example in sorted(exceptions):
            self._note(rule, example)
        return len(exceptions)

    def result(self) -> AccountResult:
        """Adds up. What is still queued is not lost: it is `outstanding`."""
        lost = self._check_sender() + self._check_deliveries()
        released = set(self._released)
        ssf = {share for share, transports in self._released.items() if SSF in transports}
        done = {name: {s for s, t in self._step(event) if t == SSF} for name, event in _EVENTS.items()}
        settled = done["acknowledged"] | done["withdrawn"] | done["refused"]
        unanswered = {
            share
            for request, answered in self._received.items()
            if not answered
            for share in self._request_shares.get(request, ())
        }
        columns = {
            "received": len(self._received),
            "answered": sum(self._received.values()),
            "refused": sum(self._errors.values()),
            "evaluated": len(self._evaluated),
            "answered_without_evaluation": len(self._answered() - set(self._request_shares)),
            "released": len(released),
            "released_of_labels": len(self._label_shares),
            "withheld_decisions": sum(self._withheld.values()),
            "undetermined": len((self._told_undetermined | unanswered) & released),
            "committed": len(released),
            "enqueued": len(done["enqueued"]),
            "sent": len(self._step(storage.DELIVERY_EVENT_SENT)),
            "acknowledged": len(done["acknowledged"]),
            "refused_by_receiver": len(done["refused"]),
            "outstanding": len(ssf - settled),
            "verified": len(self._verified),
            "duplicates": sum(count - 1 for count in self._verified.values()),
            "repeats_dropped": self._repeats,
            "withdrawn": len(done["withdrawn"]),
            "lost": lost,
        }
        return AccountResult(columns, dict(self._withheld), self._by_transport(), dict(self._broken))

    def _step(self, event: int) -> set[Delivery]:
        """Steps of shares: an order to erase is delivered like one, and is none."""
        return self._steps.get(event, set()) - self._steps.get(storage.DELIVERY_EVENT_NOTICE, set())

    def _check_sender(self) -> int:
        released = set(self._released)
        lost = self._require("told shared, not in the journal", self._told_shared - released)
        evaluated = set(self._request_shares)
        silent = self._answered() - evaluated - self._told_withheld_only
        self._require("answered with a share, not evaluated", silent)
        self._require("evaluated, never sent by the sender", evaluated - set(self._received))
        return lost

    def _answered(self) -> set[str]:
        return {request for request, told in self._received.items() if told}

    def _check_deliveries(self) -> int:
        ssf = {share for share, transports in self._released.items() if SSF in transports}
        enqueued = {
            share for share, transport in self._step(storage.DELIVERY_EVENT_ENQUEUED) if transport == SSF
        }
        acknowledged = {s for s, t in self._step(storage.DELIVERY_EVENT_ACKNOWLEDGED) if t == SSF}
        withdrawn = {s for s, t in self._step(storage.DELIVERY_EVENT_WITHDRAWN) if t == SSF}
        verified = {share for share, transport in self._verified if transport == SSF}
        sent = self._step(storage.DELIVERY_EVENT_SENT)
        lost = self._require("released, never enqueued", ssf - enqueued)
        lost += self._require(
            "acknowledged, not in the receiver's log", acknowledged - verified - withdrawn - self._tombstones
        )
        self._require("enqueued, never released", enqueued - set(self._released))
        pulled = {step for step in self._verified if step[1] in (SSF, "lookup")}
        self._require("left without a record", {f"{s} by {t}" for s, t in pulled - sent})
        by_message = {s for s, t in self._verified if t == "message"}
        self._require("in a message, never released", by_message - set(self._released))
        self._require("doubled in effect", {s for (s, _), count in self._verified.items() if count > 1})
        for stream_id, places in self._places.items():
            gaps = _gaps(sorted(places), sorted(self._voids.get(stream_id, ())))
            self._require("gap in a stream", {f"{stream_id} at {place}" for place in gaps})
        return lost

    def _by_transport(self) -> dict[str, dict[str, int]]:
        rows: dict[str, dict[str, int]] = {}
        for name in TRANSPORTS.values():
            rows[name] = {
                "released": sum(1 for transports in self._released.values() if name in transports),
                **{
                    column: sum(1 for _, transport in self._step(event) if transport == name)
                    for column, event in _EVENTS.items()
                },
                "verified": sum(1 for _, transport in self._verified if transport == name),
            }
        return rows


_TAKES_A_PLACE = (storage.DELIVERY_EVENT_ENQUEUED, storage.DELIVERY_EVENT_NOTICE)

_EVENTS = {
    "enqueued": storage.DELIVERY_EVENT_ENQUEUED,
    "sent": storage.DELIVERY_EVENT_SENT,
    "acknowledged": storage.DELIVERY_EVENT_ACKNOWLEDGED,
    "refused": storage.DELIVERY_EVENT_REFUSED,
    "withdrawn": storage.DELIVERY_EVENT_WITHDRAWN,
}


def _gaps(places: Sequence[int], voids: Sequence[tuple[int, int]]) -> list[int]:
    """First numbers of the holes in 1, 2, 3 ... that neither places nor voids (first and last) fill."""
    gaps: list[int] = []
    turn = 1
    for first, last in sorted([*((place, place) for place in places), *voids]):
        if first > turn:
            gaps.append(turn)
        turn = max(turn, last + 1)
    return gaps


def _reason_name(number: int) -> str:
    try:
        return Reason(number).name.lower()
    except ValueError:
        return "unspecified"
