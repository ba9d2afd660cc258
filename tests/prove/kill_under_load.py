"""`kill` under load: within a second, nothing leaves after it returned, and tombstones keep the places.

Rounds differ in what the kill has to get around: nothing, a gateway or feeds process that is stopped
(SIGSTOP), a gateway that is down. What leaves is judged at the receiving ends alone.
"""

import os
import random
import signal
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs import switches
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from issuernetwork.v1 import common_pb2 as common
from issuernetwork.v1 import enrichment_pb2 as v1
from issuernetwork.v1 import feed_pb2 as feed
from tests.kit.installation import Installation
from tests.kit.payments import payment
from tests.prove.both_ends import Answered, BothEnds, claims_of, wait_until

PROGRAM, ISSUER = "risk-score", "northgate-bank"
LIMIT_MS = 1_000
GRACE_S = 0.1
"""What was written to a socket before the kill returned may still be on its way to a busy Python receiver."""

WATCH_S = 0.25
FLOW_AGAIN_S = 15.0


@dataclass(slots=True)
class _Seen:
    """One thing that arrived: when it was asked for, when it came, whether it carried data of the program."""

    asked_s: float
    came_s: float
    data: bool


@dataclass(slots=True)
class _Ends:
    """What the caller and the recipient saw, appended by the load's thread and read by the main one."""

    answers: list[_Seen] = field(default_factory=list)
    polls: list[_Seen] = field(default_factory=list)
    lookups: list[_Seen] = field(default_factory=list)
    places: dict[int, str] = field(default_factory=dict)
    failures: int = 0

    def after(self, returned_s: float) -> list[str]:
        """What left although the kill had returned."""
        late = []
        for name, seen in (("answer", self.answers), ("poll", self.polls), ("lookup", self.lookups)):
            late += [
                f"{name} {1e3 * (one.came_s - returned_s):.0f} ms after the kill returned"
                for one in seen[-4_000:]
                if one.data and (one.asked_s > returned_s or one.came_s > returned_s + GRACE_S)
            ]
        return late


class _Load(BothEnds):
    """Payments of any card, and what the recipient gets of the program."""

    RECIPIENT = ISSUER
    PAYMENTS_PER_S = 150
    POLL_MAX_EVENTS = 20
    POLL_PAUSE_S = (0.01, 0.01)
    LOOKUP_PAUSE_S = 0.005

    def __init__(self, installation: Installation, ends: _Ends, seed: int) -> None:
        super().__init__(installation, seed)
        self._ends = ends
        self._newest: v1.EnrichAuthorizationRequest | None = None
        self._number = 0

    def next_payment(self) -> tuple[v1.EnrichAuthorizationRequest, Answered]:
        self._number += 1
        request = payment(self._number)
        return request, partial(self._answered, request)

    def payment_failed(self) -> None:
        self._ends.failures += 1

    def _answered(
        self, request: v1.EnrichAuthorizationRequest, answer: v1.EnrichAuthorizationResponse, asked_s: float
    ) -> None:
        shared = any(
            one.program == PROGRAM and one.status == common.SHARE_STATUS_SHARED for one in answer.decisions
        )
        self._ends.answers.append(_Seen(asked_s, time.monotonic(), shared))
        if shared:
            self._newest = request

    def polled(self, content: bytes, sets: dict[str, str], asked_s: float) -> None:
        came_s, data = time.monotonic(), False
        for token in sets.values():
            for uri, event in claims_of(token)["events"].items():
                withdrawn = "withdrawn" in uri
                data = data or (event["program"] == PROGRAM and not withdrawn)
                self._ends.places[event["stream_seq"]] = "withdrawn" if withdrawn else "data"
        self._ends.polls.append(_Seen(asked_s, came_s, data))

    def next_lookup(self) -> v1.EnrichAuthorizationRequest | None:
        return self._newest

    def lookup_failed(self) -> None:
        self._ends.failures += 1

    def looked_up(self, found: feed.LookupResponse, asked_s: float) -> None:
        data = any(share.program == PROGRAM for share in found.shares)
        self._ends.lookups.append(_Seen(asked_s, time.monotonic(), data))


class _Rounds:
    def __init__(self, installation: Installation, seed: int) -> None:
        self._i = installation
        self._random = random.Random(seed)
        clock = SystemClock()
        self._clock = clock
        self._store = SqlitePolicyStore(str(installation.state.policy_db), clock)
        self._board = FileLeaseBoard(RealDisk(), str(installation.state.leases))
        self.ends = _Ends()
        self.took_ms: dict[str, list[int]] = {}
        self.late: list[str] = []
        self.expired = 0
        self.fenced = 0

    def _flows(self) -> None:
        """Waits until shares reach the caller, the stream and look-ups again."""
        since = time.monotonic()
        for name in ("answers", "polls", "lookups"):
            wait_until(
                lambda name=name: any(s.data and s.asked_s > since for s in getattr(self.ends, name)[-500:]),  # type: ignore[misc]
                f"data in {name}",
                FLOW_AGAIN_S,
            )

    def round(self, variant: str) -> None:
        self._flows()
        time.sleep(self._random.uniform(0.0, 0.05))
        self._before(variant)
        stopped = switches.stop(
            self._store.kill, self._board, self._clock, time.sleep,
            program=PROGRAM, issuer_id=ISSUER, actor="prove", reason="kill under load",
        )  # fmt: skip
        returned = time.monotonic()
        self.took_ms.setdefault(variant, []).append(stopped.effective_after_ms)
        self.expired += len(stopped.workers_expired)
        assert not stopped.workers_waiting, stopped
        if variant in ("gateway stopped", "feeds stopped"):
            # Only now: what it does next, it does behind the kill's back.
            time.sleep(GRACE_S)
            self.fenced += len(stopped.workers_fenced)
        self._after(variant)
        time.sleep(WATCH_S)
        self.late += [f"{variant}: {text}" for text in self.ends.after(returned)]
        self._store.revive(PROGRAM, ISSUER, actor="prove", approver="second person", reason="next round")

    def _before(self, variant: str) -> None:
        if variant == "gateway stopped":
            self._i.supervisor.signal("gateway", signal.SIGSTOP)
        elif variant == "feeds stopped":
            self._i.supervisor.signal("feeds", signal.SIGSTOP)
        elif variant == "gateway down":
            self._i.supervisor.signal("gateway", signal.SIGKILL)
            self._i.supervisor.children["gateway"].popen.wait()  # type: ignore[union-attr]

    def _after(self, variant: str) -> None:
        name = variant.partition(" ")[0]
        if variant.endswith("stopped"):
            self._i.supervisor.signal(name, signal.SIGCONT)
        if variant != "plain":
            # A stopped worker was ended by the kill; under `ein up` it would be back by itself.
            self._i.supervisor.respawn(name)

    def close(self) -> None:
        self._store.close()


VARIANTS = ("plain", "plain", "plain", "gateway stopped", "plain", "plain", "feeds stopped", "plain", "plain")


def run(full: bool) -> dict[str, Any]:
    rounds = 200 if full else 20
    down_every = 10
    seed = int(os.environ.get("EIN_FIRST_SEED", "1"))
    with (
        tempfile.TemporaryDirectory(prefix="ein-") as folder,
        Installation(Path(folder), processes=("gateway", "feeds")) as installation,
    ):
        trial = _Rounds(installation, seed)
        load = _Load(installation, trial.ends, seed)
        load.start()
        try:
            for number in range(1, rounds + 1):
                down = number % down_every == 0
                trial.round("gateway down" if down else VARIANTS[number % len(VARIANTS)])
        finally:
            load.stop()
            trial.close()
        places = trial.ends.places
    slowest = {variant: max(took) for variant, took in trial.took_ms.items()}
    assert max(slowest.values()) <= LIMIT_MS, slowest
    assert not trial.late, trial.late[:10]
    missing = set(range(1, max(places) + 1)) - set(places)
    assert not missing, f"{len(missing)} places of the stream are missing"
    withdrawn = sum(kind == "withdrawn" for kind in places.values())
    assert withdrawn, "nothing was withdrawn: the kills met no queue"
    return {
        "rounds": rounds,
        "slowest_ms": slowest,
        "limit_ms": LIMIT_MS,
        "left_after_return": len(trial.late),
        "leases_run_out": trial.expired,
        "stopped_workers_ended": trial.fenced,
        "answers": len(trial.ends.answers),
        "calls_without_answer": trial.ends.failures,
        "stream_places": len(places),
        "tombstones": withdrawn,
        "seed": seed,
    }
