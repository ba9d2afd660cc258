"""`ein feeds` without the native library: look-ups through grpc.aio."""

import time
from pathlib import Path
from typing import Any

from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs import switches
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import feed_pb2 as v1
from tests.e2e.test_feeds_process import BANK, Feeds
from tests.kit.installation import Installation
from tests.unit.feeds.records import LOOKUP, references


def test_look_ups_without_the_native_front_find_record_and_stop_as_with_it(tmp_path: Path) -> None:
    with Installation(tmp_path, front="grpcio", processes=("feeds",)) as installation:
        feeds = Feeds(installation)
        shared, stopped = feeds.pay(2, BANK)

        def look_up(refs: Any) -> Any:
            return feeds.call("Lookup", v1.LookupRequest(match=refs), BANK)

        # At once: what is paid is fanned out before the answer.
        found = look_up(references(shared))
        assert (found.match, found.shares[0].share_id) == (v1.MATCH_RESULT_UNIQUE, f"share-{shared}")
        composite = references(shared)
        composite.acquiring_institution_id = ""
        assert look_up(composite).match == v1.MATCH_RESULT_UNIQUE
        sent = [one for one in feeds.deliveries(BANK) if one.event == storage.DELIVERY_EVENT_SENT]
        assert [(one.share_id, one.transport) for one in sent] == 2 * [(f"share-{shared}", LOOKUP)]
        clock = SystemClock()
        policy = SqlitePolicyStore(str(feeds.state.policy_db), clock)
        board = FileLeaseBoard(RealDisk(), str(feeds.state.leases))
        switches.stop(policy.kill, board, clock, time.sleep, program="risk-score", actor="t", reason="t")
        policy.close()
        assert look_up(references(stopped)).match == v1.MATCH_RESULT_NOT_MATCHED
        workers = [lease.worker_id.rpartition("-")[0] for lease in board.read_all()]
        assert workers == ["feeds"], "it was the native front"
        feeds.close()
