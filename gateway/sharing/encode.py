"""Answers and journal records, joined from parts that are serialized once."""

from typing import Any

from enrichment.fields import DICTIONARY_VERSION
from enrichment.payment import Assessment, Payment
from enrichment.signals import Signals
from gateway.programs.table import ProgramEntry, Refusals
from gateway.records.reasons import PUBLIC, Reason
from gateway.sealing.body import SCHEMA_VERSION as BODY_SCHEMA_VERSION
from gateway.sharing.decide import Decided
from gateway.sharing.wire import delimited, tag
from issuernetwork.storage.v1 import journal_pb2
from issuernetwork.v1 import common_pb2, enrichment_pb2

SCHEMA_VERSION = BODY_SCHEMA_VERSION
TOKEN_EPOCH = 1
"""Card tokens rotate by epoch; the first has not ended yet."""

EXPIRES_AFTER_MS = 30 * 60 * 1000
"""A recipient finds a share by match key for 30 minutes: twice the window in which attempts match."""

CACHED_PARTS = 4096
"""Serialized parts kept: programs times issuers, and the sets of refusals that regions and tiers give."""

ELEMENT_VALUE_CHARACTERS = 64
"""Longest value of an element: private fields of authorization messages hold little."""

_DECISIONS_OF_ANSWER = tag(7)
_DECISIONS_OF_RECORD = tag(24)
_SHARED = common_pb2.SHARE_STATUS_SHARED
_WITHHELD = common_pb2.SHARE_STATUS_WITHHELD
_UNDETERMINED = common_pb2.SHARE_STATUS_UNDETERMINED
_RELEASED = journal_pb2.DECISION_OUTCOME_RELEASED
_NOT_RELEASED = journal_pb2.DECISION_OUTCOME_WITHHELD
_IN_SHADOW = journal_pb2.DECISION_OUTCOME_SHADOW
_FULL = enrichment_pb2.COMPLETENESS_FULL
_DEGRADED = enrichment_pb2.COMPLETENESS_DEGRADED


def head_of_answer(
    payment: Payment,
    signals: Signals,
    *,
    evaluation_id: str,
    policy_version: int,
    degraded_reason: str,
) -> bytes:
    """Everything of the answer but its decisions. Only our own assessment: the caller's may hold anything."""
    answer = enrichment_pb2.EnrichAuthorizationResponse()
    answer.request_id = payment.request_id
    answer.evaluation_id = evaluation_id
    answer.policy_version = policy_version
    answer.completeness = _DEGRADED if degraded_reason else _FULL
    answer.degraded_reason = degraded_reason
    _set_assessment(answer.assessments.add(), signals.assessment)
    for name, code, mend in payment.field_issues:
        answer.field_issues.add(field=name, code=code, mend=mend)
    for provider, reason in signals.omissions:
        answer.omissions.add(provider=provider, reason=reason)
    return answer.SerializeToString()


def _set_assessment(assessment: common_pb2.Assessment, own: Assessment) -> None:
    assessment.assessor = own.assessor
    assessment.type = own.type
    assessment.model_id = own.model_id
    assessment.value = own.value
    assessment.scale_min = own.scale_min
    assessment.scale_max = own.scale_max
    assessment.high_is_risky = own.high_is_risky
    assessment.normalised = own.normalised
    assessment.reason_codes.extend(own.reason_codes)


class Encoder:
    """Joins answers and records. Keeps the parts that stay the same. One thread: the hot loop's."""

    __slots__ = ("_refusals", "_static", "_withheld")

    def __init__(self) -> None:
        self._static: dict[int, tuple[ProgramEntry, bytes]] = {}
        self._refusals: dict[int, tuple[Refusals, bytes]] = {}
        self._withheld: dict[tuple[str, Reason], bytes] = {}

    def answer(
        self,
        head: bytes,
        decided: list[Decided],
        match_key: str,
        expires_at_ms: int,
        *,
        instead: Reason | None = None,
        undetermined: bool = False,
    ) -> bytes:
        """The serialized answer. `instead`: why what was released is withheld after all."""
        parts = [head]
        for one in decided:
            reason = one.reason
            if reason is None and instead is not None:
                reason = instead
            if reason is not None:
                parts.append(self._withheld_part(one.entry.program, reason))
                continue
            shared = enrichment_pb2.ProgramDecision()
            shared.program = one.entry.program
            shared.status = _UNDETERMINED if undetermined else _SHARED
            shared.share_id = one.share_id
            if not undetermined:
                shared.match_key = match_key
                shared.expires_at_ms = expires_at_ms
                for target, value in one.elements:
                    shared.elements.add(target=target, value=value)
            parts.append(delimited(_DECISIONS_OF_ANSWER, shared.SerializeToString()))
        return b"".join(parts)

    def _withheld_part(self, program: str, reason: Reason) -> bytes:
        part = self._withheld.get((program, reason))
        if part is None:
            decision = enrichment_pb2.ProgramDecision(
                program=program,
                status=_WITHHELD,
                public_reason=PUBLIC[reason],  # type: ignore[arg-type]
            )
            part = delimited(_DECISIONS_OF_ANSWER, decision.SerializeToString())
            _bound(self._withheld)
            self._withheld[program, reason] = part
        return part

    def record(
        self,
        evaluation: journal_pb2.Evaluation,
        decided: list[Decided],
        match_keys: tuple[str, ...],
        expires_at_ms: int,
    ) -> bytes:
        """The serialized record: `evaluation` and its decisions."""
        parts = [evaluation.SerializeToString()]
        parts += [
            delimited(_DECISIONS_OF_RECORD, self._decision(one, match_keys, expires_at_ms)) for one in decided
        ]
        return b"".join(parts)

    def _decision(self, one: Decided, match_keys: tuple[str, ...], expires_at_ms: int) -> bytes:
        static = self._static_part(one.entry)
        release = one.release
        refusals = b"" if release is None else self._refusals_part(release.refusals)
        reason = one.reason
        changing = journal_pb2.Decision()
        changing.arm = one.arm  # type: ignore[assignment]
        if release is not None:
            changing.consent_id = release.consent_id
        if reason is not None:
            changing.outcome = _IN_SHADOW if reason is Reason.SHADOW else _NOT_RELEASED
            changing.withhold_reason = int(reason)  # type: ignore[assignment]
            changing.eligible = one.eligible
        else:
            assert release is not None, "what is released has its fields"
            changing.share_id = one.share_id
            changing.outcome = _RELEASED
            changing.eligible = True
            changing.field_mask = release.mask
            if one.card_token:
                changing.card_token = one.card_token
                changing.token_epoch = TOKEN_EPOCH
            changing.recipient_kid = one.recipient_kid
            changing.payload_sha256 = one.payload_sha256
            changing.sealed = one.sealed
            changing.expires_at_ms = expires_at_ms
            changing.match_keys.extend(match_keys)
        return static + refusals + changing.SerializeToString()

    def _static_part(self, entry: ProgramEntry) -> bytes:
        # By identity: an entry is alive as long as it is kept here, so no other can take its number.
        kept = self._static.get(id(entry))
        if kept is not None:
            return kept[1]
        part = journal_pb2.Decision(
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
        _bound(self._static)
        self._static[id(entry)] = (entry, part)
        return part

    def _refusals_part(self, refusals: Refusals) -> bytes:
        if not refusals:
            return b""
        kept = self._refusals.get(id(refusals))
        if kept is not None:
            return kept[1]
        part = journal_pb2.Decision(
            refusals=[
                journal_pb2.FieldRefusal(field=number, reason=int(reason))  # type: ignore[arg-type]
                for number, reason in refusals
            ]
        ).SerializeToString()
        _bound(self._refusals)
        self._refusals[id(refusals)] = (refusals, part)
        return part


def _bound(cache: dict[Any, Any]) -> None:
    if len(cache) >= CACHED_PARTS:
        cache.clear()


def element_value(value: object) -> str:
    """Text of a field's value in an element of the authorization message."""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text[:ELEMENT_VALUE_CHARACTERS]
