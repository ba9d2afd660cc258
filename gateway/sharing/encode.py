"""Answers and journal records, joined from parts that are serialized once."""

from collections.abc import Sequence
from typing import Any, Final

from enrichment.fields import DICTIONARY_VERSION
from enrichment.payment import Payment
from enrichment.reader import BEGIN, END
from enrichment.signals import Signals
from gateway.programs.table import ProgramEntry, Refusals
from gateway.records.reasons import PUBLIC, Reason
from gateway.sealing.body import SCHEMA_VERSION as BODY_SCHEMA_VERSION
from gateway.sharing.decide import Decided
from gateway.sharing.share import DECISION, DECISIONS_OF_ANSWER, DECISIONS_OF_RECORD
from gateway.sharing.wire import delimited, make_writer, tag
from issuernetwork.storage.v1 import journal_pb2
from issuernetwork.v1 import common_pb2, enrichment_pb2

SCHEMA_VERSION = BODY_SCHEMA_VERSION

EXPIRES_AFTER_MS = 30 * 60 * 1000
"""A recipient finds a share by match key for 30 minutes: twice the window in which attempts match."""

CACHED_PARTS = 4096
"""Serialized parts kept: programs times issuers, and the sets of refusals that regions and tiers give."""

_WITHHELD = common_pb2.SHARE_STATUS_WITHHELD
_UNDETERMINED = common_pb2.SHARE_STATUS_UNDETERMINED
NOT_RELEASED = journal_pb2.DECISION_OUTCOME_WITHHELD
IN_SHADOW = journal_pb2.DECISION_OUTCOME_SHADOW
_SHADOW = Reason.SHADOW
_FULL = enrichment_pb2.COMPLETENESS_FULL
_DEGRADED = enrichment_pb2.COMPLETENESS_DEGRADED


class Encoder:
    """Joins answers and records. Keeps the parts that stay the same. One thread: the hot loop's."""

    __slots__ = ("_issues", "_standing", "_tails", "_withheld")

    def __init__(self) -> None:
        self._issues: dict[tuple[object, ...], bytes] = {}
        self._tails: dict[tuple[int, str], bytes] = {}
        self._standing: dict[tuple[int, int], tuple[ProgramEntry, Refusals, bytes]] = {}
        self._withheld: dict[tuple[int, Reason], tuple[ProgramEntry, bytes, bytes]] = {}

    def tail(self, policy_version: int, degraded_reason: str) -> bytes:
        """What answers of a policy version have in common."""
        tail = self._tails.get((policy_version, degraded_reason))
        if tail is None:
            tail = enrichment_pb2.EnrichAuthorizationResponse(
                policy_version=policy_version,
                completeness=_DEGRADED if degraded_reason else _FULL,
                degraded_reason=degraded_reason,
            ).SerializeToString()
            _bound(self._tails)
            self._tails[policy_version, degraded_reason] = tail
        return tail

    def answer(
        self, payment: Payment, signals: Signals, evaluation_id: str, tail: bytes, decisions: bytes
    ) -> bytes:
        """The serialized answer. Only our own assessment: the caller's may hold anything."""
        issues = b""
        if payment.field_issues or signals.quality or signals.facts.omissions:
            issues = self.issues(payment, signals)
        told = signals.assessment[:TOLD]
        return ANSWER.write((payment.request_id, evaluation_id, tail, *told, decisions, issues))

    def issues(self, payment: Payment, signals: Signals) -> bytes:
        """What the sender may mend, and what was left out, as fields of the answer."""
        key = (tuple(payment.field_issues), signals.quality, signals.facts.omissions)
        return self._issues.get(key) or self._tell(key, signals)

    def _tell(self, key: tuple[object, ...], signals: Signals) -> bytes:
        """The same faults come again and again: paths, codes and remedies are closed lists."""
        answer = enrichment_pb2.EnrichAuthorizationResponse()
        for name, code, mend in signals.issues:
            answer.field_issues.add(field=name, code=code, mend=mend)
        for provider, reason in signals.facts.omissions:
            answer.omissions.add(provider=provider, reason=reason)
        _bound(self._issues)
        part = self._issues[key] = answer.SerializeToString()
        return part

    def decisions(self, decided: Sequence[Decided]) -> tuple[bytes, bytes]:
        """The decisions as fields of the answer, and as fields of the record."""
        told, recorded = [], []
        for one in decided:
            entry, reason = one.entry, one.reason
            if reason is None:
                told.append(one.told)
                recorded.append(one.recorded)
                continue
            of_answer, of_record = self.withheld(entry, reason)
            told.append(of_answer)
            if one.release is None:
                recorded.append(of_record)
                continue
            _, refusals, consent_id = one.release
            part = self.standing_part(entry, refusals)
            outcome = IN_SHADOW if reason is _SHADOW else NOT_RELEASED
            recorded.append(
                WITHHELD_DECISION.write((part, consent_id, outcome, reason, one.arm, one.eligible))
            )
        return b"".join(told), b"".join(recorded)

    def unshared(self, decided: Sequence[Decided], instead: Reason | None) -> bytes:
        """The decisions as fields of an answer with which nothing may leave: what was released is withheld
        for the reason `instead`, or, without one, undetermined."""
        told = []
        for one in decided:
            reason = one.reason or instead
            if reason is None:
                told.append(DECISION.write((one.entry.program, _UNDETERMINED, one.share_id, "", 0, b"")))
            else:
                told.append(self.withheld(one.entry, reason)[0])
        return b"".join(told)

    def withheld(self, entry: ProgramEntry, reason: Reason) -> tuple[bytes, bytes]:
        """What an answer says of a withheld program, and a record where no field of it was looked at."""
        return (self._withheld.get((id(entry), reason)) or self._keep(entry, reason))[1:]

    def _keep(self, entry: ProgramEntry, reason: Reason) -> tuple[ProgramEntry, bytes, bytes]:
        decision = enrichment_pb2.ProgramDecision(
            program=entry.program,
            status=_WITHHELD,
            public_reason=PUBLIC[reason],  # type: ignore[arg-type]
        )
        told = delimited(tag(DECISIONS_OF_ANSWER), decision.SerializeToString())
        part = self.standing_part(entry, ())
        recorded = WITHHELD_DECISION.write(
            (part, "", IN_SHADOW if reason is _SHADOW else NOT_RELEASED, reason, 0, False)
        )
        _bound(self._withheld)
        # By identity: an entry lives as long as it is kept here, so that no other takes its number.
        kept = self._withheld[id(entry), reason] = entry, told, recorded
        return kept

    def standing_part(self, entry: ProgramEntry, refusals: Refusals) -> bytes:
        """What an entry's decisions have in common in the record, and why fields are refused."""
        kept = self._standing.get((id(entry), id(refusals)))
        if kept is None:
            _bound(self._standing)
            # By identity: both are alive as long as they are kept here, so no others can take their numbers.
            kept = self._standing[id(entry), id(refusals)] = (
                entry, refusals, _static_part(entry) + _refusals_part(refusals),
            )  # fmt: skip
        return kept[2]


def _static_part(entry: ProgramEntry) -> bytes:
    return journal_pb2.Decision(
        program=entry.program,
        enrolment_id=entry.enrolment_id,
        contract_id=entry.contract_id,
        purpose=entry.purpose,  # type: ignore[arg-type]
        variant=entry.variant,
        experiment_id=entry.experiment_id,
        ramp_ppm=entry.ramp_ppm,
        holdout_ppm=entry.holdout_ppm,
        dictionary_version=DICTIONARY_VERSION,
        recipient_id=entry.recipient_id,
        profile=entry.profile if entry.enrolment_id else "",
        transports=entry.transports,  # type: ignore[arg-type]
    ).SerializeToString()


def _refusals_part(refusals: Refusals) -> bytes:
    return journal_pb2.Decision(
        refusals=[
            journal_pb2.FieldRefusal(field=number, reason=int(reason))  # type: ignore[arg-type]
            for number, reason in refusals
        ]
    ).SerializeToString()


_ASSESSMENT: Final = (
    ("assessor", "text"), ("type", "text"), ("model_id", "text"), ("value", "double"),
    ("scale_min", "double"), ("scale_max", "double"),
    ("high_is_risky", "varint"), ("normalised", "varint"), ("reason_codes", "texts"),
)  # fmt: skip
"""Members of v1.Assessment, numbered from 1; what is known beyond them is for recipients."""

TOLD: Final = len(_ASSESSMENT)

ANSWER = make_writer(
    [
        (1, "text"), (2, "text"), (0, "raw"),
        (6, BEGIN), *[(number, kind) for number, (_, kind) in enumerate(_ASSESSMENT, 1)], (0, END),
        (0, "raw"), (0, "raw"),
    ]
)  # fmt: skip
"""v1.EnrichAuthorizationResponse: ids, completeness, assessment, decisions, issues."""

WITHHELD_DECISION = make_writer(
    [(0, "raw"), (5, "text"), (7, "varint"), (8, "varint"), (10, "varint"), (15, "varint")],
    DECISIONS_OF_RECORD,
)
"""storage.v1.Decision of what is withheld, in its record: its static part, its refusals, what changes."""


def _bound(cache: dict[Any, Any]) -> None:
    if len(cache) >= CACHED_PARTS:
        cache.clear()
