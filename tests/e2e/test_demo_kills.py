"""Processes killed in mid-run: nothing lost, nothing doubled in effect."""

import signal
from pathlib import Path

import pytest

from gateway.server.account import build_account
from gateway.server.cli.simulation import Simulation
from simulator.payments import PaymentStream, TraceNumbers
from simulator.traffic import Counters

pytestmark = [pytest.mark.prove, pytest.mark.timeout(300)]
PAYMENTS = 1_500


@pytest.mark.parametrize("victim", ["northgate-bank", "atlas", "gateway", "feeds", "measure"])
def test_a_process_that_is_killed_in_mid_run_loses_and_doubles_nothing(victim: str, tmp_path: Path) -> None:
    simulation = Simulation(tmp_path, seed=11)
    killed: list[int] = []

    def kill(counters: Counters) -> None:
        due = (len(killed) + 1) * PAYMENTS // 4
        if counters.payments < due or len(killed) == 3:
            return
        killed.append(counters.payments)
        if victim in simulation.supervisor.children:
            simulation.supervisor.signal(victim, signal.SIGKILL)
            simulation.supervisor.respawn(victim)
        else:
            child = simulation.issuers["summit-credit-union" if victim == "atlas" else victim]
            child.kill()
            child.start()

    traces = TraceNumbers()
    with simulation:
        result = simulation.run(PaymentStream(11, PAYMENTS, traces), PAYMENTS, traces, kill)
    account = build_account(
        simulation.settings.state,
        sender_lists=[simulation.sender_list],
        receiver_logs=simulation.receiver_logs,
    )
    assert len(killed) == 3
    assert result.drained, result.issuers
    assert account.adds_up, account.broken
    assert (account.columns["lost"], account.columns["duplicates"]) == (0, 0)
    assert account.columns["outstanding"] == 0
    assert result.counters.outcomes_reported == result.counters.attempts
