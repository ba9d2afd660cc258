"""A worker process of the switch tests: renews its lease, and notes each share with the time it left."""

import sys
import time

from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs.switches import POLL_MS, SwitchRunner
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk


def main(policy_db: str, leases: str, worker_id: str) -> None:
    clock = SystemClock()
    runner = SwitchRunner(
        SqlitePolicyStore(policy_db, clock), FileLeaseBoard(RealDisk(), leases), clock, worker_id
    )
    while True:
        runner.step()
        view = runner.begin()
        print(int(runner.fresh()), view.epoch if view else -1, flush=True)
        time.sleep(POLL_MS / 1000)


if __name__ == "__main__":
    main(*sys.argv[1:])
