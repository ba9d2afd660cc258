"""Each process killed with SIGKILL in mid-run, again and again: nothing lost, nothing doubled in effect."""

import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gateway.server.account import build_account
from gateway.server.cli.simulation import RunResult, Simulation
from gateway.server.supervisor import PROCESSES
from simulator.payments import PaymentStream, SimulatedPayment, TraceNumbers

SEED = 5
PAUSE_S = 0.6
"""Between a process's return and the next kill: payments flow again, and queues hold something."""


class _Killer(threading.Thread):
    """Kills one process after the other while payments flow, and starts it again."""

    def __init__(self, simulation: Simulation, names: list[str]) -> None:
        super().__init__(name="killer", daemon=True)
        self._simulation = simulation
        self._names = names
        self.killed: dict[str, int] = {}
        self.fault: BaseException | None = None
        self.payments_done = 0
        self.done = False

    def run(self) -> None:
        try:
            for name in self._names:
                self._wait_for_flow()
                self._kill(name)
                self.killed[name] = self.killed.get(name, 0) + 1
        except BaseException as fault:
            self.fault = fault
        finally:
            self.done = True

    def _wait_for_flow(self) -> None:
        seen, deadline = self.payments_done, time.monotonic() + 60
        while self.payments_done <= seen:
            assert time.monotonic() < deadline, "no payment got through within a minute"
            time.sleep(0.05)
        time.sleep(PAUSE_S)

    def _kill(self, name: str) -> None:
        supervisor = self._simulation.supervisor
        if name in supervisor.children:
            popen = supervisor.children[name].popen
            assert popen is not None
            popen.kill()
            popen.wait()
            supervisor.respawn(name)
        else:
            child = self._simulation.issuers[name]
            child.kill()
            child.start()
            child.wait_ready()


MAX_PAYMENTS = 100_000
"""The payments go on until the last kill has been survived, and no further than this."""


def _until(payments: Iterable[SimulatedPayment], killer: _Killer) -> Iterator[SimulatedPayment]:
    for payment in payments:
        if killer.done:
            return
        yield payment


def run(full: bool) -> dict[str, Any]:
    times = 5 if full else 1
    with tempfile.TemporaryDirectory(prefix="ein-") as folder:
        traces = TraceNumbers()
        simulation = Simulation(Path(folder), seed=SEED)
        with simulation:
            names = [name for _ in range(times) for name in (*PROCESSES, *simulation.issuers)]
            killer = _Killer(simulation, names)

            def progress(counters: Any) -> None:
                killer.payments_done = counters.payments

            killer.start()
            stream = PaymentStream(SEED, MAX_PAYMENTS, traces)
            result: RunResult = simulation.run(_until(stream, killer), MAX_PAYMENTS, traces, progress)
            killer.join(1)
        assert killer.fault is None, killer.fault
        account = build_account(
            simulation.settings.state,
            sender_lists=[simulation.sender_list],
            receiver_logs=simulation.receiver_logs,
        )
    assert set(killer.killed) == set(names), f"the payments ran out after {killer.killed}"
    assert all(count >= times for count in killer.killed.values()), killer.killed
    assert result.drained, account.as_json()
    assert account.adds_up, account.broken
    columns = account.columns
    assert columns["lost"] == 0, columns
    assert columns["duplicates"] == 0, columns
    return {
        "seed": SEED,
        "payments": killer.payments_done,
        "killed": killer.killed,
        "account": account.as_json(),
    }
