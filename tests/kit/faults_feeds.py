"""Each step of the feeds from a journal's record to what a recipient gets, and how it goes wrong."""

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from gateway.backends.embedded.consents import ConsentStoreUnavailable, SqliteConsents
from gateway.backends.embedded.delivery import SqliteDeliveryReader, SqliteDeliveryStore
from gateway.backends.embedded.journal import FileJournalReader
from gateway.backends.embedded.ledger import SqliteLedgerStore
from gateway.backends.embedded.ledger_heads import AppendedHeads
from gateway.backends.embedded.policy import PolicyStoreUnavailable, SqlitePolicyStore
from gateway.feeds import fanout
from gateway.feeds.delivery import DeliveryCore
from gateway.feeds.ports import StoreUnavailable
from gateway.ledger.collect import Collector
from gateway.ledger.ports import LedgerUnavailable
from gateway.records.journal import DELIVERIES, EVALUATIONS, JournalUnavailable
from gateway.server.feeds import lookup, service, ssf_http
from gateway.server.feeds.engine import FeedsEngine
from tests.kit.faults import ALL, LOOKUP, MESSAGE, STREAM, Fault, raising
from tests.kit.faults_gateway import STALE_AFTER_MS, UNHEARD_AFTER_MS, disk_full, sync_fails, who_calls
from tests.kit.faulty_process import Patches

Put = Callable[[Patches], None]
TOLD: Final = frozenset({MESSAGE})
"""What the gateway does while the feeds are broken: it has nothing of them in its way."""


def _of(*steps: tuple[Any, str]) -> Put:
    def put(patches: Patches) -> None:
        for owner, name in steps:
            patches.put(owner, name, patches.broken)

    return put


def _unavailable(owner: Any, name: str, fault: BaseException) -> Put:
    return lambda patches: patches.put(owner, name, raising(fault))


def _no_evaluations(patches: Patches) -> None:
    read = FileJournalReader.read

    def failing(reader: Any, topic: str, *args: Any, **options: Any) -> Any:
        if topic == EVALUATIONS:
            raise JournalUnavailable("broken")
        return read(reader, topic, *args, **options)

    patches.put(FileJournalReader, "read", failing)


def _later(name: str, put: Put, *, leaves: frozenset[str] = TOLD, **more: Any) -> Fault:
    """Nothing is lost by it: what is recorded leaves when it is mended."""
    return Fault(name=name, put=put, leaves=leaves, leaves_after=ALL, **more)


def _queued(name: str, put: Put, *, leaves: frozenset[str] = TOLD, **more: Any) -> Fault:
    return _later(name, put, leaves=leaves, queued=True, **more)


_STORE: Final = StoreUnavailable("broken")
_LEDGER: Final = LedgerUnavailable("broken")
_FAN_OUT: Final = (
    _later("fan-out: journal", _no_evaluations),
    _later("fan-out: places", _unavailable(SqliteDeliveryStore, "next_seq", _STORE)),
    _later("fan-out: signature", _unavailable(fanout, "share_set", _STORE)),
    _later("fan-out: signature, unforeseen", _of((fanout, "share_set")), ends_process=True),
    _later("fan-out: store", _unavailable(SqliteDeliveryStore, "commit_fan_out", _STORE)),
    _later("fan-out: record", disk_full(DELIVERIES)),
)
_DELIVERY: Final = (
    _queued("who polls or looks up", who_calls),
    _queued(
        "delivery: pending", _unavailable(SqliteDeliveryStore, "pending", _STORE), leaves=TOLD | {LOOKUP}
    ),
    _queued("delivery: step", _of((DeliveryCore, "on"))),
    _queued("delivery: disk full", disk_full(DELIVERIES)),
    _queued("delivery: short write", disk_full(DELIVERIES, short=True)),
    _queued("delivery: sync", sync_fails(DELIVERIES)),
    _queued("delivery: store", _unavailable(SqliteDeliveryStore, "apply", _STORE), leaves=TOLD | {LOOKUP}),
    _queued("delivery: last look", _of((ssf_http.SsfApp, "_write")), leaves=TOLD | {LOOKUP}),
    _queued("delivery: body", _of((ssf_http, "_body")), leaves=TOLD | {LOOKUP}),
    _queued(
        "delivery: connection",
        _unavailable(web.StreamResponse, "write", ConnectionResetError("broken")),
        leaves=TOLD | {LOOKUP},
    ),
    _queued("look-up: find", _of((lookup, "find"), (service, "find")), leaves=TOLD | {STREAM}),
    _queued("look-up: store", _of((SqliteDeliveryReader, "lookup")), leaves=TOLD | {STREAM}),
    _queued(
        "look-up: record",
        _of((FeedsEngine, "journal_lookup")),
        leaves=TOLD | {STREAM},
    ),
    _queued("look-up: answer", _of((lookup, "response"), (service, "response")), leaves=TOLD | {STREAM}),
    _queued(
        "registry of consents, feeds",
        _unavailable(SqliteConsents, "epoch", ConsentStoreUnavailable("broken")),
        takes_ms=UNHEARD_AFTER_MS,
    ),
    _queued(
        "switches, feeds",
        _unavailable(SqlitePolicyStore, "view", PolicyStoreUnavailable("broken")),
        takes_ms=STALE_AFTER_MS,
    ),
)
# Off the way of deliveries: what leaves is in the journals, and the ledger has it when it is mended.
_LEDGER_FAULTS: Final = (
    _later("ledger: store", _unavailable(SqliteLedgerStore, "commit", _LEDGER), leaves=ALL),
    _later("ledger: heads", _unavailable(AppendedHeads, "append", _LEDGER), leaves=ALL),
    _later("ledger: collector", _unavailable(Collector, "plan", _LEDGER), leaves=ALL),
)
FEEDS_FAULTS: Final = (*_FAN_OUT, *_DELIVERY, *_LEDGER_FAULTS)
