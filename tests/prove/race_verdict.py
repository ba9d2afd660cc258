"""What came too late in a race, by the ends' own times and by what the journals say."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from gateway.backends.embedded.journal import FileJournalReader
from gateway.programs.switches import Stopped
from gateway.records.journal import DELIVERIES, EVALUATIONS, FIRST
from gateway.runtime.disk import RealDisk
from gateway.server.state import StateDir
from issuernetwork.storage.v1 import journal_pb2 as storage
from tests.prove.race_load import PROGRAM, Log, Party

GRACE_S = 0.25
"""What was asked before the return and written in time may still wait in a busy Python receiver."""

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Ended:
    """One race when its revocation has returned. `stopped` is None of a command, which tells by itself."""

    party: Party
    how: str
    began_s: float
    returned_s: float
    returned_wall_ms: int
    stopped: Stopped | None
    in_effect: bool
    """False where the command said that it is not yet, and of which worker: it promised nothing."""

    @property
    def in_effect_by_leases(self) -> bool:
        """Whether every worker had acknowledged: none had run out and may have written a record since."""
        return self.stopped is not None and not self.stopped.workers_expired


@dataclass(slots=True)
class Verdict:
    """What the logs and journals come to."""

    late: list[str] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    shares: int = 0
    answers_after: int = 0
    races_with_tombstones: int = 0


def _records(journal: str, topic: str) -> Iterator[bytes]:
    reader, after = FileJournalReader(RealDisk(), journal), FIRST
    while entries := reader.read(topic, after, PAGE):
        yield from (entry.payload for entry in entries)
        after = entries[-1].position


def judge(state: StateDir, ended: Sequence[Ended], log: Log) -> Verdict:
    """Reads the journals, and holds every time against the return of its race."""
    verdict = Verdict()
    of_party = {one.party.number: one if one.in_effect else _never(one) for one in ended}
    race_of = _decided(state, of_party, verdict)
    verdict.shares = len(race_of)
    _answered(of_party, log, verdict)
    for one in log.received:
        race = race_of.get(one.share_id)
        if race is not None and _too_late(one.asked_s, one.came_s, race):
            verdict.late.append(
                f"{_name(race)}: data by {one.transport} {_ms(one.came_s, race)} after the return, asked for"
                f" {_ms(one.asked_s, race)} after it; {race.stopped}"
            )
    _delivered(state, race_of, verdict)
    _whole_stream(race_of, log, verdict)
    return verdict


def _never(race: Ended) -> Ended:
    """A race that has not ended: only the stream is held against it."""
    return replace(race, returned_s=math.inf, returned_wall_ms=1 << 62)


def _name(race: Ended) -> str:
    return f"race {race.party.number} ({race.party.kind}, {race.how})"


def _ms(at_s: float, race: Ended) -> str:
    return f"{1e3 * (at_s - race.returned_s):.0f} ms"


def _too_late(asked_s: float, came_s: float, race: Ended) -> bool:
    return asked_s > race.returned_s or came_s > race.returned_s + GRACE_S


def _decided(state: StateDir, of_party: dict[int, Ended], verdict: Verdict) -> dict[str, Ended]:
    """Whose each share is. A share decided after the return is one too many."""
    race_of: dict[str, Ended] = {}
    for raw in _records(str(state.gateway_journal), EVALUATIONS):
        record = storage.Evaluation.FromString(raw)
        race = of_party[int(record.request_id.split("-")[1])]
        for decision in record.decisions:
            if decision.program != PROGRAM or decision.outcome != storage.DECISION_OUTCOME_RELEASED:
                continue
            race_of[decision.share_id] = race
            if record.decided_at_ms > race.returned_wall_ms:
                after_ms = record.decided_at_ms - race.returned_wall_ms
                verdict.late.append(f"{_name(race)}: a new share decided {after_ms} ms after the return")
    return race_of


def _answered(of_party: dict[int, Ended], log: Log, verdict: Verdict) -> None:
    for one in log.answers:
        race = of_party[one.party]
        verdict.answers_after += one.asked_s > race.returned_s
        if one.shared and _too_late(one.asked_s, one.came_s, race):
            after_ms = 1e3 * (one.came_s - race.returned_s)
            verdict.late.append(f"{_name(race)}: an answer with a share {after_ms:.0f} ms after the return")


def _delivered(state: StateDir, race_of: dict[str, Ended], verdict: Verdict) -> None:
    """No delivery of a consent's data is even begun after the return.

    A switch is looked at again when a reply is written, behind the record of its step: there the ends judge.
    """
    for raw in _records(str(state.feeds_journal), DELIVERIES):
        record = storage.DeliveryRecord.FromString(raw)
        race = race_of.get(record.share_id)
        if (
            race is None
            or race.party.kind == "issuer"
            or not race.in_effect_by_leases
            or record.event != storage.DELIVERY_EVENT_SENT
            or record.jti != record.share_id
        ):
            continue
        if record.at_ms > race.returned_wall_ms:
            after_ms = record.at_ms - race.returned_wall_ms
            verdict.late.append(f"{_name(race)}: a delivery begun {after_ms} ms after the return")


def _whole_stream(race_of: dict[str, Ended], log: Log, verdict: Verdict) -> None:
    """Each share has its place, as data or as a tombstone, and no place is missing."""
    verdict.gaps = sorted(set(range(1, max(log.places, default=0) + 1)) - set(log.places))
    came = {one.share_id for one in log.received if one.transport == "poll"} | set(log.tombstones)
    missing = Counter(_name(race) for share_id, race in race_of.items() if share_id not in came)
    verdict.late += [f"{name}: {count} shares have no place on the stream" for name, count in missing.items()]
    tombstones: dict[int, int] = defaultdict(int)
    for share_id in log.tombstones:
        if share_id in race_of:
            tombstones[race_of[share_id].party.number] += 1
    verdict.races_with_tombstones = len(tombstones)
