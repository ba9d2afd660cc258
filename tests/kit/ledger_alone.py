"""The ledger's thread in a process of its own, and nothing else of the feeds: so its cost can be told.

`python -m tests.kit.ledger_alone SETTINGS` says `ready` and runs until its standard input ends.
"""

import sys
import threading
from pathlib import Path

from gateway.backends.embedded.journal import FileJournalReader
from gateway.backends.embedded.ledger import SqliteLedgerStore
from gateway.backends.embedded.ledger_acts import StoredActs
from gateway.backends.embedded.ledger_heads import AppendedHeads
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.server.feeds.ledger import LedgerKeeper, LedgerParts
from gateway.server.feeds.metrics import FeedsMetrics
from gateway.server.own_keys import LiveKeys, key_files
from gateway.server.settings import load_settings


def main(config: Path) -> None:
    settings, clock, disk = load_settings(config), SystemClock(), RealDisk()
    state, stop = settings.state, threading.Event()
    keeper = LedgerKeeper(
        LedgerParts(
            store=SqliteLedgerStore(state.ledger_db),
            gateway_journal=FileJournalReader(disk, str(state.gateway_journal)),
            own_journal=FileJournalReader(disk, str(state.feeds_journal)),
            acts=StoredActs(state.policy_db, state.consents_db),
            heads=AppendedHeads(disk, state.ledger_heads),
            signer=LiveKeys(key_files(settings, clock), clock).default,
            iss=settings.issuer_url,
            clock=clock,
        )
    )
    thread = threading.Thread(target=keeper.run, args=(FeedsMetrics(), stop))
    thread.start()
    print("ready", flush=True)
    sys.stdin.read()
    stop.set()
    thread.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
