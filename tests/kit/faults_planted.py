"""Faults that let data leave, on purpose: a proof that finds none of them could not fail."""

from typing import Any, Final

from gateway.feeds.delivery import Record
from gateway.records.errors import GatewayError
from gateway.records.journal import DELIVERIES, EVALUATIONS
from gateway.server.feeds.engine import FeedsEngine
from gateway.sharing import gateway as gateway_module
from gateway.sharing.commit import Committer
from gateway.sharing.items import unevaluated
from tests.kit.faults import Fault
from tests.kit.faults_gateway import disk_full
from tests.kit.faulty_process import Patches


def _answers_before_the_append(patches: Patches) -> None:
    disk_full(EVALUATIONS)(patches)
    patches.put(Committer, "_unshared", lambda committer, work, instead: work.answer)


def _replies_without_a_record(patches: Patches) -> None:
    disk_full(DELIVERIES)(patches)
    carry_out = FeedsEngine._carry_out

    def careless(engine: Any, actions: Any) -> Any:
        try:
            return carry_out(engine, actions)
        except GatewayError:
            return carry_out(engine, [one for one in actions if not isinstance(one, Record)])

    patches.put(FeedsEngine, "_carry_out", careless)


def _looks_up_without_a_record(patches: Patches) -> None:
    patches.put(FeedsEngine, "journal_lookup", lambda engine, event: None)


def _tells_the_fault(patches: Patches) -> None:
    patches.put(patches.live["gateway"], "_names", patches.broken)
    told = str(patches.fault())
    patches.put(gateway_module, "unevaluated", lambda request_id, reason: unevaluated(request_id, told))


PLANTED_LEAKS: Final = (
    Fault(name="planted: answers before the append", put=_answers_before_the_append),
    Fault(name="planted: tells the fault", put=_tells_the_fault),
    Fault(name="planted: replies without a record", put=_replies_without_a_record, queued=True),
    Fault(name="planted: looks up without a record", put=_looks_up_without_a_record, queued=True),
)
