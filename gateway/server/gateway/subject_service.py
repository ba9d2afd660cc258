"""`SubjectService`: what cardholders may ask for, written down and answered by operators."""

from collections.abc import Mapping
from typing import Any, Final

from enrichment.masked import Pan
from gateway.ledger.access import Disclosure
from gateway.programs.subjects import CaseEvent, CaseKind, CaseState
from gateway.programs.switches import Stopped
from gateway.server.beside import Beside
from gateway.server.gate import caller
from gateway.server.gateway.acts import check_reason, everywhere
from gateway.server.grpc_common import InvalidArgument
from gateway.server.verbs.subjects import CardNamed, Opened, SubjectDesk
from issuernetwork.v1 import subjects_pb2 as v1
from issuernetwork.v1 import subjects_pb2_grpc as rpc

SERVICE: Final = v1.DESCRIPTOR.services_by_name["SubjectService"].full_name

THREADS: Final = 1
"""Cardholders ask now and then, and the hot loop needs the interpreter."""

CALLS_INSIDE_MAX: Final = 32
"""Some 60 ms each where nobody hangs: who is last of these waits two seconds."""

DISCLOSURES_MAX: Final = 1_000
"""Of one answer: some 700 KB of the 4 MiB that clients take."""

_KINDS: Final[Mapping[CaseKind, int]] = {
    CaseKind.OBJECTION: v1.SUBJECT_CASE_KIND_OBJECTION,
    CaseKind.ERASURE: v1.SUBJECT_CASE_KIND_ERASURE,
}
_STATES: Final[Mapping[CaseState, int]] = {
    CaseState.RECEIVED: v1.SUBJECT_CASE_STATE_RECEIVED,
    CaseState.UPHELD: v1.SUBJECT_CASE_STATE_UPHELD,
    CaseState.REFUSED: v1.SUBJECT_CASE_STATE_REFUSED,
    CaseState.CERTIFIED: v1.SUBJECT_CASE_STATE_CERTIFIED,
}
_DECISIONS: Final = {_STATES[state]: state for state in (CaseState.UPHELD, CaseState.REFUSED)}


def card_of(sent: v1.SubjectCard) -> CardNamed:
    """The card that is meant. Raises InvalidArgument."""
    named = sent.WhichOneof("name")
    if named is None:
        raise InvalidArgument("card: give one of pan, par, card_ref, card_token")
    if named == "card_ref":
        return CardNamed(card_ref=sent.card_ref.card_ref, sender_id=sent.card_ref.sender_id)
    if named == "pan":
        return CardNamed(pan=Pan(sent.pan))
    return CardNamed(**{named: getattr(sent, named)})


def step_message(one: CaseEvent) -> v1.SubjectCaseStep:
    """A step of a case, as it is sent."""
    return v1.SubjectCaseStep(
        case_id=one.case_id, kind=_KINDS[one.kind], state=_STATES[one.state],  # type: ignore[arg-type]
        actor=one.actor, reason=one.reason, at_ms=one.at_ms,
    )  # fmt: skip


def disclosure_message(one: Disclosure) -> v1.Disclosure:
    """A share, as it is told."""
    told = one.as_json()
    found = v1.Disclosure(
        share_id=one.share_id,
        fields=told["fields"],
        **{
            name: told[name]
            for name in (
                "program", "issuer_id", "recipient_id", "sender_id", "purpose", "consent_id", "contract_id",
                "policy_version", "decided_at_ms",
            )
            if told[name] is not None
        },
    )  # fmt: skip
    left = {way.transport: way.at_ms for way in one.left}
    states = {way.transport: way.state for way in one.deliveries}
    for transport in sorted({*left, *states}):
        found.ways.add(
            transport=transport, left_at_ms=left.get(transport, 0), state=states.get(transport, "")
        )
    return found


class SubjectService(rpc.SubjectServiceServicer):
    """Operators and approvers write, auditors read."""

    def __init__(self, *, desk: SubjectDesk, iss: str) -> None:
        self._desk = desk
        self._iss = iss
        # What stops sharing waits for no question.
        self._beside = Beside("subjects", threads=THREADS, inside_max=CALLS_INSIDE_MAX)
        self._asked = Beside("subject-questions", threads=THREADS, inside_max=CALLS_INSIDE_MAX)

    def close(self) -> None:
        self._beside.close()
        self._asked.close()

    async def GetSubject(self, request: v1.GetSubjectRequest, context: Any) -> v1.GetSubjectResponse:  # noqa: N802
        card = card_of(request.card)
        found, steps = await self._asked.run(lambda: self._desk.show(card))
        return v1.GetSubjectResponse(
            disclosures=[disclosure_message(one) for one in found.disclosures[-DISCLOSURES_MAX:]],
            disclosures_total=len(found.disclosures),
            steps=[step_message(one) for one in steps],
        )

    async def RecordObjection(  # noqa: N802
        self, request: v1.RecordObjectionRequest, context: Any
    ) -> v1.RecordObjectionResponse:
        opened = await self._open([CaseKind.OBJECTION], request)
        return v1.RecordObjectionResponse(case_id=opened.case_ids[0], effect=_effect(opened))

    async def RequestErasure(  # noqa: N802
        self, request: v1.RequestErasureRequest, context: Any
    ) -> v1.RequestErasureResponse:
        opened = await self._open([CaseKind.OBJECTION, CaseKind.ERASURE], request)
        objection, erasure = opened.case_ids
        return v1.RequestErasureResponse(case_id=erasure, objection_case_id=objection, effect=_effect(opened))

    async def DecideObjection(  # noqa: N802
        self, request: v1.DecideObjectionRequest, context: Any
    ) -> v1.DecideObjectionResponse:
        actor = caller().principal_id
        state = _DECISIONS.get(request.state)
        if state is None:
            raise InvalidArgument("state: an objection is upheld or refused")
        reason = check_reason(request.reason)
        opened = await self._beside.run(
            lambda: self._desk.decide(request.case_id, state, actor=actor, reason=reason)
        )
        return v1.DecideObjectionResponse(effect=_effect(opened))

    async def RecordRecipientTold(  # noqa: N802
        self, request: v1.RecordRecipientToldRequest, context: Any
    ) -> v1.RecordRecipientToldResponse:
        actor = caller().principal_id
        reason = check_reason(request.reason)
        told = await self._beside.run(
            lambda: self._desk.told(
                request.case_id, request.recipient_id, evidence=request.evidence, actor=actor, reason=reason
            )
        )
        return v1.RecordRecipientToldResponse(effect=_effect(told))

    async def GetErasure(self, request: v1.GetErasureRequest, context: Any) -> v1.GetErasureResponse:  # noqa: N802
        found, signed = await self._asked.run(lambda: self._desk.certificate(request.case_id, iss=self._iss))
        return v1.GetErasureResponse(
            asked_at_ms=found["asked_at_ms"],
            recipients=[
                v1.ErasureRecipient(recipient_id=recipient_id, **row)
                for recipient_id, row in found["recipients"].items()
            ],
            forgotten_at_ms=found["forgotten_at_ms"],
            sealed_bodies_gone_by_ms=found["sealed_bodies_gone_by_ms"],
            certified_at_ms=found["certified_at_ms"],
            certificate=signed,
        )

    async def _open(
        self,
        kinds: list[CaseKind],
        request: v1.RecordObjectionRequest | v1.RequestErasureRequest,
    ) -> Opened:
        actor = caller().principal_id
        card, reason = card_of(request.card), check_reason(request.reason)
        return await self._beside.run(lambda: self._desk.open(kinds, card, actor=actor, reason=reason))


def _effect(opened: Opened) -> v1.SubjectEffect:
    cases = " and ".join(f"case {case_id}" for case_id in opened.case_ids)
    effect: Stopped = everywhere(opened.effect, cases)
    return v1.SubjectEffect(
        consent_epoch=effect.epoch,
        effective_after_ms=effect.effective_after_ms,
        workers_acknowledged=len(effect.workers_acknowledged),
        workers_expired=len(effect.workers_expired),
    )
