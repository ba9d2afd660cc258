"""A file that several processes open at once, one of which makes its tables."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from gateway.backends.embedded.consents import SqliteConsents
from gateway.backends.embedded.shared_database import BUSY_TIMEOUT_MS
from gateway.runtime.clock import SimClock


def test_who_opens_a_file_while_another_process_makes_its_tables_waits_until_it_is_over(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "consents.sqlite3")
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("pragma journal_mode = wal")
        other.execute("begin immediate")
        done = threading.Timer(2 * BUSY_TIMEOUT_MS / 1000, lambda: other.execute("rollback"))
        done.start()
        with closing(SqliteConsents(path, SimClock())) as store:
            assert store.epoch() == 0
            # From then on a kill waits for nobody as long as that.
            assert store._db.execute("pragma busy_timeout").fetchone() == (BUSY_TIMEOUT_MS,)
        done.join()
