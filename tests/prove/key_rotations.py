"""Our signing keys change again and again under load, and recipients' keys too: every token is verified.

A real gateway and feeds, four recipients each with an algorithm of its own, receivers of the SDK with the
cooldown that it comes with. Each new key has signed what a receiver verified before the next one is made. At
the end all old keys are retired by themselves (look-ups and the margin are over in seconds here), and the
ledger's heads are good, by whichever key.

`EIN_PLANTED=1` plants what must make it fail: keys that are used before they are published, and receivers
that do not ask again.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import yaml

from gateway.backends.embedded.journal import FileJournalReader
from gateway.records.journal import EVALUATIONS, FIRST
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.sealing.key_ring import KeyRing, KeyState
from gateway.sealing.keys import SignatureAlgorithm
from gateway.server.operators import KEY_ENV
from gateway.server.own_keys import LiveKeys, key_files
from gateway.server.settings import load_settings
from gateway.server.verbs.keys import KeyDesk
from issuernetwork.jwks_cache import JWKS_COOLDOWN_S
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1.common_pb2 import TRANSPORT_SSF
from tests.kit.brief_lookups import make_lookups_brief
from tests.kit.brief_margin import make_margin_brief
from tests.kit.installation import Installation
from tests.kit.operators import key_of, register
from tests.kit.stream_policy import policy
from tests.prove.both_ends import wait_until
from tests.prove.rotation_ends import Ends, since

MAX_AGE_S = 2
"""Of the JWK Set: an hour of rotations in a minute."""

MARGIN_MS = 2_000
ALGORITHMS = tuple(SignatureAlgorithm)
BY_COMMAND, AT_ONCE = 5, 10
"""Every so many rotations one is made by the command itself, and one at once, as after a theft."""

ROOM_KEYS = 24
"""Before another is made: receivers take 32, and retirement looks every ten seconds."""

ENROLLED = "northgate-bank"
VERIFIED_S = 60.0
"""Longer than the cooldown: a token that waits for it is late, and is verified."""

RETIRED_S = 90.0
DRAIN_S = 60.0
LONGER_THAN_THE_RUN_S = 36_000.0


class Rotations:
    """Changes our keys, one algorithm after the other."""

    def __init__(self, installation: Installation, ends: Ends, *, planted: bool) -> None:
        self._i = installation
        self._ends = ends
        self._planted = planted
        self._clock = SystemClock()
        settings = load_settings(installation.config)
        self._live = LiveKeys(key_files(settings, self._clock), self._clock)
        self.desk = KeyDesk.of(settings, self._live.files, self._clock)
        self.at_once = 0
        self.by_command = 0
        self.most_published = 0

    def rotate(self, number: int) -> None:
        alg = ALGORITHMS[number % len(ALGORITHMS)]
        wait_until(lambda: self._verified(alg), f"a token by the key of {alg} in use", VERIFIED_S)
        wait_until(lambda: len(self._ring().keys) <= ROOM_KEYS, "room among the published keys", RETIRED_S)
        at_once, command = number % AT_ONCE == AT_ONCE - 1, number % BY_COMMAND == BY_COMMAND - 1
        if self._planted:
            # Nobody could have it: not published before it is used.
            self.desk.files.add_key(alg, lambda ring, kid: self._clock.wall_ms())
        elif command:
            how = ["--now", "--reason", "stolen, in a drill"] if at_once else ["--ahead", f"{MAX_AGE_S}s"]
            ein(self._i, "keys", "rotate", str(alg), *how)
            self.by_command += 1
        else:
            self.desk.rotate(alg, ahead_ms=MAX_AGE_S * 1000, by="prove", reason="rotation")
        self.at_once += at_once and command
        self.most_published = max(self.most_published, len(self._ring().keys))

    def _ring(self) -> KeyRing:
        self._live.look()
        return self._live.current.ring

    def _verified(self, alg: SignatureAlgorithm) -> bool:
        """Whether the newest key of `alg` is in use, and a receiver has verified something by it."""
        ring = self._ring()
        newest = ring.of(alg)[-1]
        used = ring.state(newest, self._clock.wall_ms()) is KeyState.IN_USE
        return used and self._ends.kids()[newest.kid] > 0

    def all_verified(self) -> None:
        for alg in ALGORITHMS:
            wait_until(lambda alg=alg: self._verified(alg), f"a token by the last key of {alg}", VERIFIED_S)  # type: ignore[misc]

    def all_retired(self) -> None:
        wait_until(lambda: len(self._ring().keys) == len(ALGORITHMS), "retirement of all old keys", RETIRED_S)


class KeyChanges(threading.Thread):
    """One recipient enrols, and then changes its own keys by its tool; two people approve."""

    def __init__(self, installation: Installation, ends: Ends, count: int) -> None:
        super().__init__(name="key-changes", daemon=True)
        self._i = installation
        self._ends = ends
        self._count = count
        self.done = 0
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            for name in ("ada", "bo"):
                register(self._i.settings, name, "approver")
            invitation = self._i.folder / "invite"
            invitation.write_text(ein(self._i, "issuer", "invite", ENROLLED, "--reason", "drill", by="ada"))
            self._change("change-0", "enrol", "--token-file", str(invitation))
            for number in range(1, self._count + 1):
                signed_by = self._i.folder / f"change-{number - 1}-sig.jwk"
                self._change(f"change-{number}", "rotate", "--signed-by", str(signed_by))
                self.done += 1
        except BaseException as fault:
            self.fault = fault

    def _change(self, name: str, command: str, *more: str) -> None:
        folder = self._i.folder
        for use in ("enc", "sig"):
            tool(
                "keys", "new", "--kid", f"{name}-{use}", "--use", use,
                "--private", str(folder / f"{name}-{use}.jwk"), "--public", str(folder / f"{name}.jwks"),
            )  # fmt: skip
        # A receiver has its key before anybody seals to it.
        self._ends.receivers[ENROLLED].add_key(json.loads((folder / f"{name}-enc.jwk").read_text()))
        tool(
            command, "--transmitter", self._i.address("feeds", "http"), "--recipient-id", ENROLLED,
            "--iss", self._i.settings.issuer_url, "--private", str(folder / f"{name}-enc.jwk"),
            "--signing", str(folder / f"{name}-sig.jwk"), *more,
        )  # fmt: skip
        waiting = json.loads(ein(self._i, "approvals", "--json"))["approvals"]
        ein(self._i, "approve", str(waiting[-1]["approval_id"]), by="bo")


def ein(installation: Installation, *arguments: str, by: str = "") -> str:
    """The command's output. From the first operator on, whoever acts does so by a key."""
    acts = by or ("ada" if key_of(installation.settings, "ada").exists() else "")
    key = str(key_of(installation.settings, acts)) if acts else ""
    return _done(
        "gateway.server.cli.main", *arguments, "--config", str(installation.config), env={KEY_ENV: key}
    )


def tool(*arguments: str) -> str:
    return _done("issuernetwork.issuer_cli", *arguments)


def _done(module: str, *arguments: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments[0]} {arguments[1]}: {done.stderr}"
    return done.stdout.strip()


def _on_streams(installation: Installation) -> dict[str, set[str]]:
    """Ids of all shares that were released to streams, by recipient: the gateway's own record."""
    reader = FileJournalReader(RealDisk(), str(installation.state.gateway_journal))
    found: dict[str, set[str]] = {}
    after = FIRST
    while entries := reader.read(EVALUATIONS, after, 1000):
        for entry in entries:
            for decision in storage.Evaluation.FromString(entry.payload).decisions:
                released = decision.outcome == storage.DECISION_OUTCOME_RELEASED
                if released and TRANSPORT_SSF in decision.transports:
                    found.setdefault(decision.recipient_id, set()).add(decision.share_id)
        after = entries[-1].position
    return found


def _settings(installation: Installation) -> None:
    document = yaml.safe_load(installation.config.read_text())
    document["keys"] = {"jwks_max_age_s": MAX_AGE_S}
    installation.config.write_text(yaml.safe_dump(document))


def _lost(installation: Installation, ends: Ends) -> int:
    shared = _on_streams(installation)
    return sum(len(ids - ends.received[recipient_id]) for recipient_id, ids in shared.items())


def _rotated(
    installation: Installation, ends: Ends, rotations: int, changes: int, planted: bool
) -> dict[str, Any]:
    began_s = time.monotonic()
    rotating, changing = (
        Rotations(installation, ends, planted=planted),
        KeyChanges(installation, ends, changes),
    )
    try:
        changing.start()
        for number in range(rotations):
            rotating.rotate(number)
        rotating.all_verified()
        changing.join(600)
        assert changing.fault is None, changing.fault
        ends.paid_up()
        wait_until(lambda: not _lost(installation, ends), "delivery of every share", DRAIN_S)
        rotated_s = since(began_s)
        rotating.all_retired()
        ring = rotating.desk.files.load().ring
        return {
            "rotations": rotations, "at_once": rotating.at_once, "by_command": rotating.by_command,
            "recipients_key_changes": changing.done, "rotated_s": rotated_s,
            "published_at_most": rotating.most_published, "published_at_the_end": len(ring.keys),
            "retired_by_themselves": len(ring.retired),
        }  # fmt: skip
    finally:
        rotating.desk.close()


def run(full: bool) -> dict[str, Any]:
    # An issuer submits keys eight times an hour at most: once to enrol, and these.
    rotations, changes = (100, 6) if full else (10, 2)
    planted = os.environ.get("EIN_PLANTED") == "1"
    with tempfile.TemporaryDirectory(prefix="ein-") as folder:
        installation = Installation(Path(folder), processes=("gateway", "feeds"), policy=policy())
        _settings(installation)
        make_lookups_brief(installation.supervisor)
        make_margin_brief(installation.supervisor, MARGIN_MS)
        with installation:
            cooldown_s = LONGER_THAN_THE_RUN_S if planted else JWKS_COOLDOWN_S
            ends = Ends(installation, cooldown_s=cooldown_s, follows_rules=not planted)
            ends.start()
            assert ends.ready.wait(30)
            try:
                measured = _rotated(installation, ends, rotations, changes, planted)
            finally:
                ends.close()
            # The heads too, signed by one key after the other, most of them retired by now.
            ledger = json.loads(ein(installation, "audit", "verify", "--json"))
    kids, shares = ends.kids(), sum(map(len, ends.received.values()))
    assert not ends.refused, f"tokens that a receiver refused, by code: {dict(ends.refused)}"
    assert len(kids) == rotations + len(ALGORITHMS), f"keys that signed what was verified: {len(kids)}"
    assert measured["retired_by_themselves"] == rotations
    assert ledger["intact"], ledger["findings"]
    assert ends.looked_up, "nothing was looked up"
    return {
        **measured,
        "payments": ends.payments, "calls_without_answer": ends.failures,
        "tokens_verified": sum(kids.values()), "keys_that_signed": len(kids), "failed_verifications": 0,
        "shares_received": shares, "shares_lost": 0, "looked_up": len(ends.looked_up),
        "left_for_later": sum(poll.counts.deferred for poll in ends.polls),
        "poll_faults": sum(poll.counts.poll_faults for poll in ends.polls),
        "heads": ledger["heads"],
    }  # fmt: skip
