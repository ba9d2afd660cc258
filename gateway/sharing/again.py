"""The answer to a repeat: as given before, but for what may not leave a second time."""

from enrichment.fields import EVERY_BIT
from enrichment.payment import Payment
from gateway.programs.subjects import Subjects
from gateway.programs.switches import SwitchRunner, SwitchView
from gateway.programs.table import ProgramEntry, Query
from gateway.records.reasons import Withhold
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sharing.objecting import card_key_of, unit_key_of
from gateway.sharing.work import Batch
from issuernetwork.v1 import common_pb2, enrichment_pb2


class Repeats:
    """Looks at what stands now: switches, policy, consents, objections."""

    __slots__ = ("_pseudonyms", "_subjects", "_switches")

    def __init__(self, switches: SwitchRunner, subjects: Subjects, pseudonyms: Pseudonyms) -> None:
        self._switches = switches
        self._subjects = subjects
        self._pseudonyms = pseudonyms

    def again(self, batch: Batch, sender_id: str, payment: Payment, answer: bytes) -> bytes:
        """The earlier answer; elements that would be refused now are left out, and read undetermined."""
        response = enrichment_pb2.EnrichAuthorizationResponse.FromString(answer)
        shown = [decision for decision in response.decisions if decision.elements]
        if not shown:
            return answer
        allowed = self._allowed(batch, sender_id, payment)
        changed = False
        for decision in shown:
            if not allowed.get(decision.program, frozenset()).issuperset(
                element.target for element in decision.elements
            ):
                decision.status = common_pb2.SHARE_STATUS_UNDETERMINED
                del decision.elements[:]
                changed = True
        return response.SerializeToString() if changed else answer

    def _allowed(self, batch: Batch, sender_id: str, payment: Payment) -> dict[str, frozenset[str]]:
        """By program, the places of the message that may be filled for this payment now."""
        view = self._switches.watcher.view
        issuer = batch.table.issuer_of(payment.iin)
        if issuer is None or view is None or not self._switches.fresh():
            return {}
        query = self._query(batch, sender_id, payment)
        return {entry.program: _targets(entry, view, query) for entry in issuer.programs}

    def _query(self, batch: Batch, sender_id: str, payment: Payment) -> Query:
        objecting = self._subjects.objecting
        objected = bool(objecting) and any(
            key in objecting
            for key in (
                unit_key_of(self._pseudonyms, payment, sender_id),
                card_key_of(self._pseudonyms, payment, sender_id)[1],
            )
        )
        return Query(
            payment.cardholder_region, payment.merchant_id, payment.platform_id, payment.channel, payment.mcc,
            payment.amount_minor, payment.merchant_country, EVERY_BIT, 0, batch.now_ms, objected,
        )  # fmt: skip


def _targets(entry: ProgramEntry, view: SwitchView, query: Query) -> frozenset[str]:
    if entry.shadow or view.stopped(entry.program, entry.issuer_id) is not None:
        return frozenset()
    released = entry.release(query)
    if isinstance(released, Withhold):
        return frozenset()
    return frozenset(target for target, number in entry.message_elements if released.mask >> number & 1)
