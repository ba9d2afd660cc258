"""Faults of a whole running installation under light load: every payment is answered in its deadline, and
nothing is shared that may not be.

A trouble is a row of a table: how it is put and mended, and what callers may see of it. While it stands
payments go on, one each 10 ms, each with a canary in every personal field; what left is read from the bytes
that the servers sent, and held against the journals on disk.
"""

import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.runtime.clock import SystemClock
from gateway.server.gateway.models import MANIFEST, board_path
from gateway.server.policy_follower import read_board
from tests.canaries import scan_bytes
from tests.kit.fail_closed import CANARIES, Bench, policy
from tests.kit.faults import STREAM
from tests.prove.both_ends import wait_until
from tests.prove.flood_edges import edges
from tests.prove.light_load import DEADLINE_MS, LightLoad, Told
from tests.unit.score.kit import MODEL, copied, with_model

FRONTS = ("native", "grpcio")
STANDS_S = 1.0
"""Of each trouble: 100 payments; a lease runs out within it."""

CALM_S = 0.3
"""Behind each: its last payments, and what is waited for."""

POLICY_S = 10.0
"""For a policy to be taken up: a second, and more where the machine does something else."""

CLIENT_MS = 25
"""What the client's own event loop may be behind when an answer or its timer is there."""

ANSWERED_LEAST = 0.99
"""Of the payments under a trouble that leaves the gateway running; the rest is the client's own fallback: a
machine that is shared stalls for longer than the stand-in's margin now and then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """`stands`: puts it, and mends it at its end; gives the number of a policy that holds every card out,
    where it brought one. `shares`: whether anything may be told as shared meanwhile. `served`: whether the
    gateway answers, or the client has to by itself. `omits`: provider and reason that whole answers name
    meanwhile."""

    name: str
    stands: Callable[[Bench], Any]
    shares: bool = True
    served: bool = True
    omits: tuple[str, str] | None = None


def _armed(name: str) -> Callable[[Bench], Any]:
    @contextmanager
    def stands(bench: Bench) -> Iterator[None]:
        with bench.faulty("gateway") as control:
            control.arm(name)
            try:
                yield
            finally:
                control.mend()

    return stands


@contextmanager
def _reloading(bench: Bench) -> Iterator[int]:
    """A policy that holds all cards out, in the middle of the payments, and the one of before again."""
    store = SqlitePolicyStore(str(bench.installation.state.policy_db), SystemClock())
    changed = policy()
    changed["experiment.yaml"] = changed["experiment.yaml"].replace(
        "global_holdout_percent: 0", "global_holdout_percent: 100"
    )
    assert changed != policy()
    try:
        version = store.apply(changed, actor="prove", reason="in flight")
        wait_until(lambda: _acts_on(bench) == version, "policy", POLICY_S)
        yield version
    finally:
        store.apply(policy(), actor="prove", reason="as before")
        store.close()


def _acts_on(bench: Bench) -> int | None:
    """The policy that the gateway says it follows."""
    board = read_board(bench.installation.state, "gateway")
    return None if board is None else board["policy_version"]


@contextmanager
def _corrupt_model(bench: Bench) -> Iterator[None]:
    """A model of no content under its right hash: the one of before serves on, and the gateway says so."""
    manifest = _manifest(bench)
    whole = (manifest.parent / MODEL).read_bytes()
    with_model(manifest, b"")
    try:
        wait_until(lambda: "refused" in board_path(bench.installation.state).read_text(), "refusal", 5.0)
        yield
    finally:
        with_model(manifest, whole)


def _manifest(bench: Bench) -> Path:
    return bench.installation.folder / "models" / MANIFEST


def _give_model(bench: Bench) -> None:
    """A model of its own, which can be damaged."""
    copied(_manifest(bench).parent)
    config = bench.installation.config
    document = yaml.safe_load(config.read_text())
    document["score"] = {"model": f"models/{MANIFEST}"}
    config.write_text(yaml.safe_dump(document))


@contextmanager
def _killed(bench: Bench) -> Iterator[None]:
    supervisor = bench.installation.supervisor
    supervisor.signal("gateway", signal.SIGKILL)
    supervisor.children["gateway"].popen.wait()  # type: ignore[union-attr]
    supervisor.respawn("gateway")
    yield


def _callers(kind: str) -> Callable[[Bench], Any]:
    def stands(bench: Bench) -> Any:
        return edges(kind, _address(bench), bench.installation.tokens["payments"])

    return stands


def _address(bench: Bench) -> str:
    return bench.installation.address("gateway", "grpc")


TROUBLES = (
    Trouble(name="slow provider", stands=_armed("slow provider")),
    Trouble(name="dead provider", stands=_armed("dead provider")),
    Trouble(name="slow velocity store", stands=_armed("slow velocity store")),
    Trouble(
        name="late velocity store",
        stands=_armed("late velocity store"),
        omits=("velocity", "over_budget"),
    ),
    Trouble(name="dead velocity store", stands=_armed("velocity"), omits=("velocity", "unavailable")),
    Trouble(name="corrupt model", stands=_corrupt_model),
    Trouble(name="disk full", stands=_armed("disk full"), shares=False),
    Trouble(name="journal stalled", stands=_armed("journal stalled")),
    Trouble(name="key store down", stands=_armed("key store"), shares=False),
    Trouble(name="config reload in flight", stands=_reloading),
    Trouble(name="worker killed", stands=_killed, served=False),
    Trouble(name="clock jump", stands=_armed("clock jump")),
    # Every payment is from an hour ahead then, which the contract refuses.
    Trouble(name="clock jump back", stands=_armed("clock jump back"), shares=False, served=False),
    Trouble(name="giant batch", stands=_callers("giant_batches")),
    Trouble(name="slow client", stands=_callers("slow_clients")),
    Trouble(name="thousand idle streams", stands=_callers("idle_streams")),
)


def _undergo(bench: Bench, load: LightLoad, trouble: Trouble) -> tuple[list[str], list[str], dict[str, Any]]:
    """What came late, what was shared that may not be, and figures."""
    began_s = time.monotonic()
    with trouble.stands(bench) as holding_out:
        put_s = time.monotonic()
        time.sleep(STANDS_S)
        ended_s = time.monotonic()
    time.sleep(CALM_S)
    told = load.between(began_s, time.monotonic() - DEADLINE_MS / 1000)
    stood = [one for one in told if put_s <= one.asked_s <= ended_s]
    # What was asked at the very end may have been evaluated once it was mended.
    whole = [one for one in stood if one.asked_s + one.took_ms / 1e3 < ended_s]
    late = [f"{trouble.name}: {text}" for text in _late(trouble, told)]
    # What comes slowly has many payments around it, which must not hide those in its midst.
    late += [f"{trouble.name}, while it stands: {text}" for text in _late(trouble, stood)]
    wrong = *_leaks(trouble, whole), *_held_out(holding_out, told), *_not_omitted(trouble, told)
    leaks = [f"{trouble.name}: {text}" for text in wrong]
    figures = {
        "payments": len(told),
        "full": sum(one.result.answered and not one.degraded for one in told),
        "degraded": dict(Counter(one.degraded for one in told if one.degraded)),
        "by_client": dict(Counter(one.result.reason for one in told if not one.result.answered)),
        "slowest_ms": round(max(one.took_ms for one in told), 1),
        "shared": sum(bool(one.result.shared_ids()) for one in told),
    }
    return late, leaks, figures


def _late(trouble: Trouble, told: list[Told]) -> Iterator[str]:
    late = [round(one.took_ms) for one in told if one.took_ms > DEADLINE_MS + CLIENT_MS]
    if late:
        yield f"{len(late)} of {len(told)} payments waited up to {max(late)} ms, deadline {DEADLINE_MS}"
    answered = sum(one.result.answered for one in told) / len(told)
    if trouble.served and answered < ANSWERED_LEAST:
        reasons = Counter(one.result.reason for one in told if not one.result.answered)
        yield f"the gateway answered {answered:.1%} of {len(told)}, else {dict(reasons)}"


def _leaks(trouble: Trouble, stood: list[Told]) -> Iterator[str]:
    if not trouble.shares:
        shared = [one for one in stood if one.result.shared_ids() or one.result.elements()]
        if shared:
            yield f"{len(shared)} of {len(stood)} payments were told as shared"


def _not_omitted(trouble: Trouble, told: list[Told]) -> Iterator[str]:
    if trouble.omits is None:
        return
    answers = [one.result.response for one in told if one.result.response is not None and not one.degraded]
    named = (one for answer in answers for one in answer.omissions)
    if trouble.omits not in {(one.provider, one.reason) for one in named}:
        yield f"none of {len(answers)} whole answers omits {' '.join(trouble.omits)}"


def _held_out(policy_version: int | None, told: list[Told]) -> Iterator[str]:
    """Payments that were evaluated by a policy which holds every card out: some are, and none is shared."""
    if policy_version is None:
        return
    by_it = [
        one.result
        for one in told
        if one.result.response is not None and one.result.response.policy_version == policy_version
    ]
    if not by_it:
        yield f"no payment was evaluated by policy {policy_version}, which was applied"
    if shared := sum(bool(one.shared_ids() or one.elements()) for one in by_it):
        yield f"{shared} of {len(by_it)} payments were told as shared, and all cards are held out"


def _left(bench: Bench, load: LightLoad) -> list[str]:
    """What left in all, against the journals as they are on disk."""
    bench.settle()
    left, durable = bench.take([]), bench.durable()
    told = {share_id for one in load.told for share_id in one.result.shared_ids()}
    answers = b"".join(
        one.result.response.SerializeToString() for one in load.told if one.result.response is not None
    )
    found = [*left.in_clear, *(f"{leak.canary} in an answer" for leak in scan_bytes("", answers, CANARIES))]
    if told - durable["released"]:
        found.append(f"{len(told - durable['released'])} shares were told without a durable record")
    if left.shares[STREAM] - durable["released"]:
        found.append("shares left by the stream without a durable record")
    if not told & left.shares[STREAM]:
        found.append("no share that was told was found in the stream: nothing is seen there")
    return found


def _front(front: str, seed: int) -> tuple[list[str], list[str], dict[str, Any]]:
    table = list(TROUBLES)
    random.Random(seed).shuffle(table)
    late: list[str] = []
    found: list[str] = []
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ein-") as folder:
        bench = Bench(Path(folder), front=front)
        _give_model(bench)
        with bench:
            load = LightLoad(lambda: _address(bench), bench.installation.tokens["payments"])
            load.start()
            try:
                for trouble in table:
                    slow, leaks, figures[trouble.name] = _undergo(bench, load, trouble)
                    late += slow
                    found += leaks
            finally:
                load.stop()
            found += _left(bench, load)
            found += [f"metrics: {canary}" for canary in bench.metrics()]
        found += bench.files()
    return late, found, figures


def run(full: bool) -> dict[str, Any]:
    seed = int(os.environ.get("EIN_FIRST_SEED", "1"))
    print(f"seed {seed}", flush=True)
    late: list[str] = []
    found: list[str] = []
    fronts: dict[str, Any] = {}
    for front in FRONTS if full else FRONTS[:1]:
        slow, leaks, fronts[front] = _front(front, seed)
        late += [f"{front}: {text}" for text in slow]
        found += [f"{front}: {text}" for text in leaks]
    return {
        "deadline_ms": DEADLINE_MS,
        "faults": len(TROUBLES),
        "fronts": fronts,
        "seed": seed,
        "late": late,
        # A neighbour's load moves what is late: the reduced counts judge what left.
        "shortfalls": found + late if full else found,
    }
