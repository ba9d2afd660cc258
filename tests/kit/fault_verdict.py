"""One fault undergone, and what speaks against it."""

import time
from dataclasses import dataclass

from tests.kit.fail_closed import SETTLE_S, Asked, Bench, Left
from tests.kit.faults import FED, MESSAGE, Fault

MIN_TOLD = 4
"""Three payments by themselves and a batch: where the batch is refused as a whole, it is so once."""


@dataclass(slots=True)
class Outcome:
    """What came of one fault."""

    asked: Asked
    while_it_stood: Left
    afterwards: Left


def undergo(bench: Bench, fault: Fault, process: str) -> Outcome:
    """Payments under a fault, and everything that leaves, until it is mended and all has settled."""
    bench.drain(time.monotonic() + SETTLE_S)
    bench.take([])
    asked = bench.pay() if fault.queued else Asked()
    with bench.faulty(process) as control:
        if fault.queued:
            bench.await_fan_out()
        control.arm(fault.name)
        time.sleep(fault.takes_ms / 1000)
        if not fault.queued:
            asked = bench.pay()
            if fault.leaves & FED:
                bench.await_fan_out()
        if fault.ends_process:
            bench.await_end(process)
        bench.poll_all()
        bench.look_up(asked)
        if not fault.ends_process:
            control.mend()
    while_it_stood = bench.take(asked.texts)
    if fault.ends_process:
        bench.start_again(process)
    bench.settle()
    bench.look_up(asked)
    return Outcome(asked, while_it_stood, bench.take(asked.texts))


def problems(bench: Bench, fault: Fault, outcome: Outcome) -> list[str]:
    """All that speaks against what the fault may let leave, and against payments that have no answer."""
    asked, stood, after = outcome.asked, outcome.while_it_stood, outcome.afterwards
    found = [*stood.in_clear, *after.in_clear]
    told = asked.refused if fault.refused else asked.answers
    if len(told) < MIN_TOLD or (asked.refused and not fault.refused):
        found.append(f"payments were not answered: {asked.refused}")
    if fault.refused and set(asked.refused) != {fault.refused}:
        found.append(f"payments were refused otherwise than by {fault.refused}: {asked.refused}")
    by = stood.transports(bench.known)
    if by != set(fault.leaves):
        found.append(f"while it stood data left by {sorted(by)}, not by {sorted(fault.leaves)}")
    # Payments between the faults have elements too: of the message only what came while it stood counts.
    by = (by | after.transports(bench.known)) & FED | by & {MESSAGE}
    if by != set(fault.leaves_after):
        found.append(f"in the end data had left by {sorted(by)}, not by {sorted(fault.leaves_after)}")
    durable = bench.durable()
    for transport in FED:
        left = stood.shares[transport] | after.shares[transport]
        if left - durable["released"] or left - durable[transport]:
            found.append(f"data left by {transport} without a durable record")
    if asked.shared() - durable["released"]:
        found.append("the message had data without a durable record")
    return found


def leak_found(bench: Bench, leak: Fault) -> bool:
    """Whether a planted leak is told as data that left, and not as something else that it breaks."""
    process = "feeds" if leak.queued else "gateway"
    found = problems(bench, leak, undergo(bench, leak, process))
    return any("data left" in one or "pan-" in one for one in found)
