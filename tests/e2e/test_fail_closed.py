"""Fail closed for data, fail open for payments: a fault at each step, and what leaves in real bytes.

Two real processes, one step of them broken at a time (tests/kit/faults_gateway.py, faults_feeds.py). Payments
carry a canary in every personal field, and so does the text of each fault. Here each fault meets one of the
two fronts; `make prove` has all of them meet both (tests/prove/fail_closed.py).
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kit.fail_closed import CANARIES, Bench
from tests.kit.fault_verdict import leak_found, problems, undergo
from tests.kit.faults import Fault
from tests.kit.faults_feeds import FEEDS_FAULTS
from tests.kit.faults_gateway import GATEWAY_FAULTS, REPEAT
from tests.kit.faults_planted import PLANTED_LEAKS

ALL_FAULTS = [
    *(("gateway", fault) for fault in GATEWAY_FAULTS),
    *(("feeds", fault) for fault in FEEDS_FAULTS),
]


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Bench]]:
    fronts = ["grpcio"]
    try:
        import pygrpc_native  # noqa: F401

        fronts.append("native")
    except ImportError:
        pass
    with ExitStack() as running:
        made = [running.enter_context(Bench(tmp_path_factory.mktemp(front), front=front)) for front in fronts]
        yield made
        for one in made:
            assert one.files() == []
            assert one.metrics() == []
            assert one.not_in_ledger() == set()


@pytest.mark.parametrize("number", range(len(ALL_FAULTS)), ids=lambda number: ALL_FAULTS[number][1].name)
def test_what_goes_wrong_lets_nothing_leave_that_is_not_recorded_and_payments_go_on(
    benches: list[Bench], number: int
) -> None:
    process, fault = ALL_FAULTS[number]
    bench = benches[number % len(benches)]
    assert problems(bench, fault, undergo(bench, fault, process)) == []


def test_a_repeat_that_goes_wrong_brings_nothing_of_what_was_shared_before(benches: list[Bench]) -> None:
    for bench in benches:
        first = bench.settle()
        bench.take([])
        with bench.faulty("gateway") as gateway:
            gateway.arm(REPEAT.name)
            again = bench.pay(first)
            gateway.mend()
        left = bench.take(again.texts)
        assert len(again.answers) == len(first.requests)
        assert (left.in_clear, left.transports(set())) == ([], set())


@pytest.mark.parametrize("leak", PLANTED_LEAKS, ids=lambda leak: leak.name)
def test_a_leak_that_is_planted_is_found(benches: list[Bench], leak: Fault) -> None:
    assert leak_found(benches[0], leak)


def test_a_canary_in_a_file_is_found(benches: list[Bench]) -> None:
    planted: Path = benches[0].installation.state.logs / "planted.log"
    planted.write_text(CANARIES["email"])
    assert benches[0].files()
    planted.unlink()
