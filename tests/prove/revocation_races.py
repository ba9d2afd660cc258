"""Revocations race payments and deliveries: when one has returned, nothing more of that party leaves.

Each race has a party of its own (a merchant, a platform, a program at an issuer, a card whose holder
objects), so that none waits for another to be cleaned up. It is taken back at a random moment of a flow of
payments, repeats, polls and look-ups, in the ways that the commands do it, and by the commands themselves; by
turns on a disk that is slow, which holds every step between what it reads and what it does. Nothing is judged
before all is over: then the journals say whose each share was, and each end's own times whether it came late.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import yaml

from enrichment.masked import Pan
from gateway.backends.embedded.consents import SqliteConsents
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs import switches
from gateway.programs.consents import SETTINGS_A_CALL_MAX, Setting
from gateway.programs.consents import Party as Side
from gateway.programs.model import Tier
from gateway.programs.subjects import CaseKind
from gateway.programs.switches import Stopped
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.server import exit_codes
from gateway.server.policy import read_policy
from gateway.server.verbs.subjects import CardNamed, SubjectDesk
from tests.kit.faults_slow import SLOW
from tests.kit.faulty_process import Faulty, make_faulty
from tests.kit.installation import SAMPLE_POLICY, Installation
from tests.kit.payments import pan
from tests.prove.both_ends import wait_until
from tests.prove.race_load import PROGRAM, RECIPIENT, Load, Party
from tests.prove.race_verdict import Ended, Verdict, judge

AT_ONCE = 4
"""Races under way at a time: each waits most of its time for leases, 50 ms at a time."""

FLOWS_SHARES = 2
"""Payments of a party that were shared before its race ends: there is something to take back."""

MOMENT_S = 0.06
"""The race ends at a random moment of so long a time: more than one round of switches and leases."""

AFTER_PAYMENTS = 3
"""Payments of a party asked for after its race has ended, and answered."""

NOT_YET_MAX_SHARE = 0.05
"""Of the races on a slow disk some take over a second, and say so: its steps come in rows of 350 ms."""

FLOW_LIMIT_S = 30.0
LIMIT_MS = 1_000
KINDS = ("merchant", "card", "platform", "issuer", "merchant")
"""Of five races. A card's is its holder's objection."""

FIRST_CARD = 3_000_000
"""Numbers of the cards that race: beyond those of the payments of others."""

STOPPED = ("gateway stopped", "feeds stopped", "gateway down", "feeds down")
"""What a revocation has to get around, one process at a time."""

GONE_TIERS = (Tier.NONE, Tier.OPTED_OUT)


def policy_with(issuers: Sequence[str]) -> dict[str, str]:
    """The sample policy without holdouts, and more issuers in the program, all of them one recipient's."""
    files = dict(read_policy(SAMPLE_POLICY))
    experiment = yaml.safe_load(files["experiment.yaml"])
    experiment["global_holdout_percent"] = 0
    files["experiment.yaml"] = yaml.safe_dump(experiment)
    program = yaml.safe_load(files[f"programs/{PROGRAM}.yaml"])
    program["holdout_percent"] = 0
    files[f"programs/{PROGRAM}.yaml"] = yaml.safe_dump(program)
    enrolment = {
        **yaml.safe_load(files[f"enrolments/{RECIPIENT}-{PROGRAM}.yaml"]),
        "transports": ["message", "lookup", "ssf"],
        "message_elements": {"DE48.SE71": "score_norm"},
        "protection": "network",
    }
    files[f"enrolments/{RECIPIENT}-{PROGRAM}.yaml"] = yaml.safe_dump(enrolment)
    for number, issuer_id in enumerate(issuers):
        files[f"issuers/{issuer_id}.yaml"] = yaml.safe_dump(
            {
                "issuer_id": issuer_id, "iin_ranges": [iin_of(number)], "region": "US",
                "recipient_id": RECIPIENT,
            }
        )  # fmt: skip
        mine = {**enrolment, "enrolment_id": f"{issuer_id}-{PROGRAM}", "issuer_id": issuer_id}
        files[f"enrolments/{issuer_id}-{PROGRAM}.yaml"] = yaml.safe_dump(mine)
    return files


def _pan(party: Party) -> str:
    assert party.card is not None
    return pan(party.iin, party.card)


def iin_of(number: int) -> str:
    return f"91{number:06d}"


def parties(count: int) -> list[Party]:
    made, issuers = [], 0
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        party = Party(number, kind, f"{kind}-{number:04d}", merchant_id=f"silent-{number:04d}")
        if kind == "merchant":
            party.merchant_id = party.party_id
        elif kind == "platform":
            party.platform_id = party.party_id
        elif kind == "card":
            party.card = FIRST_CARD + number
            # Its holder objects by the number, mostly before anything has joined that to the PAR.
            party.par = f"Q1{number:027d}" if number % 2 else ""
        else:
            party.iin, issuers = iin_of(issuers), issuers + 1
        made.append(party)
    return made


class Races:
    """All that races need of an installation."""

    def __init__(self, installation: Installation, load: Load, seed: int) -> None:
        self.ended: list[Ended] = []
        self.slow: set[int] = set()
        """Races on a slow disk."""

        self._i = installation
        self._load = load
        self._random = random.Random(seed)
        self._clock = SystemClock()
        self._consents = SqliteConsents(str(installation.state.consents_db), self._clock)
        self._policy = SqlitePolicyStore(str(installation.state.policy_db), self._clock)
        self._board = FileLeaseBoard(RealDisk(), str(installation.state.leases))

    def close(self) -> None:
        self._consents.close()
        self._policy.close()

    def agree(self, racing: Sequence[Party]) -> None:
        """Merchants and platforms say yes, before any payment of theirs."""
        said = [self._setting(one, Tier.ENHANCED) for one in racing if one.kind in ("merchant", "platform")]
        for first in range(0, len(said), SETTINGS_A_CALL_MAX):
            epoch = self._consents.put(
                said[first : first + SETTINGS_A_CALL_MAX], actor="prove", reason="before the race"
            )
            assert not self._await(epoch).workers_waiting

    def race(self, party: Party, how: str) -> None:
        """One race: `how` is plain, command or one of STOPPED."""
        moment_s = self._random.uniform(0.0, MOMENT_S)
        tier = self._random.choice(GONE_TIERS)
        self._load.begin(party)
        wait_until(lambda: party.shared >= FLOWS_SHARES, f"shares of race {party.number}", FLOW_LIMIT_S)
        time.sleep(moment_s)
        self._hinder(how)
        began_s = time.monotonic()
        stopped = None
        if how == "command":
            in_effect = self._command(party)
        else:
            stopped = self._take_back(party, tier)
            in_effect = not stopped.workers_waiting
        # The wall clock last: what a record dates later than this began after the return.
        returned_s, returned_wall_ms = time.monotonic(), self._clock.wall_ms()
        self.ended.append(Ended(party, how, began_s, returned_s, returned_wall_ms, stopped, in_effect))
        self._unhinder(how)
        self._see_after(party, returned_s)
        self._load.end(party)

    def _see_after(self, party: Party, returned_s: float) -> None:
        answers, seen, log = 0, len(self._load.log.answers), self._load.log

        def enough() -> bool:
            nonlocal answers, seen
            new = log.answers[seen:]
            seen += len(new)
            answers += sum(1 for one in new if one.party == party.number and one.asked_s > returned_s)
            return answers >= AFTER_PAYMENTS and min(log.polled_s, log.looked_up_s) > returned_s

        wait_until(enough, f"answers after race {party.number}", FLOW_LIMIT_S)

    def _setting(self, party: Party, tier: Tier) -> Setting:
        side = Side.MERCHANT if party.kind == "merchant" else Side.PLATFORM
        return Setting(side, party.party_id, tier, "2026-11", "race", 1)

    def _await(self, epoch: int) -> Stopped:
        return switches.await_epoch(
            self._board, self._clock, time.sleep, epoch,
            since_ns=self._clock.monotonic_ns(), of_consents=True,
        )  # fmt: skip

    def _take_back(self, party: Party, tier: Tier) -> Stopped:
        """As the commands do it, without the start of a process."""
        if party.kind == "issuer":
            write = self._policy.kill if tier is Tier.NONE else self._policy.pause
            return switches.stop(
                write, self._board, self._clock, time.sleep,
                program=PROGRAM, issuer_id=party.party_id, actor="prove", reason="race",
            )  # fmt: skip
        if party.kind == "card":
            desk, card = SubjectDesk(self._i.state, self._clock), CardNamed(pan=Pan(_pan(party)))
            return desk.open([CaseKind.OBJECTION], card, actor="prove", reason="race").effect
        return self._await(self._consents.put([self._setting(party, tier)], actor="prove", reason="race"))

    def _command(self, party: Party) -> bool:
        """By the commands: what they answer, they answer when it is in effect, or they say that it is not."""
        given = ""
        if party.kind == "issuer":
            arguments = ["kill", PROGRAM, "--issuer", party.party_id]
        elif party.kind == "card":
            arguments, given = ["subject", "object", "--pan-stdin"], _pan(party)
        else:
            arguments = ["consent", "revoke", party.party_id, "--party", party.kind]
        done = subprocess.run(
            [
                sys.executable, "-m", "gateway.server.cli.main", *arguments, "--reason", "race",
                "--config", str(self._i.config),
            ],
            check=False, capture_output=True, text=True, input=given, timeout=60,
        )  # fmt: skip
        assert done.returncode in (exit_codes.DONE, exit_codes.CHECK_FAILED), done.stderr
        return done.returncode == exit_codes.DONE

    @contextmanager
    def slow_disk(self) -> Iterator[None]:
        """Both processes have one meanwhile."""
        with ExitStack() as closing:
            for process in ("gateway", "feeds"):
                control = Faulty(self._i.state.run, process)
                closing.callback(control.close)
                control.arm(SLOW.name)
                closing.callback(control.mend)
            yield

    def _hinder(self, how: str) -> None:
        process, _, state = how.partition(" ")
        if state == "stopped":
            self._i.supervisor.signal(process, signal.SIGSTOP)
        elif state == "down":
            self._i.supervisor.signal(process, signal.SIGKILL)
            self._i.supervisor.children[process].popen.wait()  # type: ignore[union-attr]

    def _unhinder(self, how: str) -> None:
        process, _, state = how.partition(" ")
        if state == "stopped":
            self._i.supervisor.signal(process, signal.SIGCONT)
        if state:
            # A stopped worker was ended by the revocation; under `ein up` it would be back by itself.
            self._i.supervisor.respawn(process)


def _hows(count: int, commands: int) -> Iterator[str]:
    every = max(1, count // max(1, commands))
    for number in range(count):
        yield "command" if number % every == every - 1 else "plain"


def _run_all(races: Races, racing: Sequence[Party], *, commands: int, hindered: int) -> None:
    races.agree(racing)
    together, alone = racing[:-hindered], racing[-hindered:]
    hows = list(_hows(len(together), commands))
    half = len(together) // 2
    for chosen, slow in ((slice(0, half), False), (slice(half, None), True)):
        if slow:
            races.slow.update(party.number for party in together[chosen])
        with races.slow_disk() if slow else nullcontext(), ThreadPoolExecutor(AT_ONCE, "race") as pool:
            under_way = [
                pool.submit(races.race, party, how)
                for party, how in zip(together[chosen], hows[chosen], strict=True)
            ]
            for done in under_way:
                done.result()
    for number, party in enumerate(alone):
        races.race(party, STOPPED[number % len(STOPPED)])


def _measured(
    verdict: Verdict, ended: Sequence[Ended], slow: set[int], load: Load, seed: int
) -> dict[str, Any]:
    in_effect = [(one.party.number in slow, one.stopped) for one in ended if one.stopped and one.in_effect]
    return {
        "races": len(ended),
        "by_kind": dict(Counter(one.party.kind for one in ended)),
        "by_way": dict(Counter(one.how for one in ended)),
        "slowest_ms": max(one.effective_after_ms for on_slow, one in in_effect if not on_slow),
        "slowest_on_slow_disk_ms": max(one.effective_after_ms for on_slow, one in in_effect if on_slow),
        "limit_ms": LIMIT_MS,
        "said_not_yet_in_effect": sum(not one.in_effect for one in ended),
        "left_after_return": len(verdict.late),
        "payments_answered": len(load.log.answers),
        "requests_repeated": load.log.repeats,
        "payments_without_answer": load.log.failures,
        "lookups_refused": load.log.lookups_refused,
        "shares": verdict.shares,
        "answers_after_return": verdict.answers_after,
        "races_that_met_a_queue": verdict.races_with_tombstones,
        "tombstones": len(load.log.tombstones),
        "stream_places": len(load.log.places),
        "data_received": len(load.log.received),
        "bytes_received": load.log.bytes_received,
        "seed": seed,
    }


@contextmanager
def _running(folder: Path, issuers: Sequence[str]) -> Iterator[Installation]:
    installation = Installation(folder, processes=("gateway", "feeds"), policy=policy_with(issuers))
    make_faulty(installation.supervisor)
    with installation:
        yield installation


def run(full: bool) -> dict[str, Any]:
    count, commands, hindered = (1_000, 30, 24) if full else (40, 4, 4)
    seed = int(os.environ.get("EIN_FIRST_SEED", "1"))
    print(f"seed {seed}", flush=True)
    racing = parties(count)
    issuers = [party.party_id for party in racing if party.kind == "issuer"]
    with (
        tempfile.TemporaryDirectory(prefix="ein-") as folder,
        _running(Path(folder), issuers) as installation,
    ):
        load = Load(installation, seed)
        races = Races(installation, load, seed)
        load.start()
        try:
            _run_all(races, racing, commands=commands, hindered=hindered)
        finally:
            load.stop()
            races.close()
        verdict = judge(installation.state, races.ended, load.log)
    assert not verdict.late, verdict.late[:10]
    assert not verdict.gaps, f"{len(verdict.gaps)} places of the stream are missing: {verdict.gaps[:10]}"
    assert verdict.races_with_tombstones, "no race met a queue: the check could not fail"
    not_yet = [one for one in races.ended if not one.in_effect]
    quick = [one.party.number for one in not_yet if one.party.number not in races.slow]
    assert not quick, f"not in effect within a second: {quick}"
    assert len(not_yet) <= NOT_YET_MAX_SHARE * len(racing), f"not in effect on a slow disk: {len(not_yet)}"
    return _measured(verdict, races.ended, races.slow, load, seed)
