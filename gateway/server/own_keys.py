"""Our own keys in a process that runs: followed as their file changes, without a restart and off every loop.

What signs follows from the time alone (gateway/sealing/key_ring.py), so that all processes change over alike.
A file that does not open leaves the keys that were opened last in use; that is told in a metric, in the
health of the service `own-keys`, in the log and in `run/<process>.own-keys.json`, which `ein status` reads.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from gateway.backends.embedded.keyfiles import KeyFiles, OwnKeys
from gateway.backends.embedded.passphrase import PassphraseUnwrapper
from gateway.records.errors import GatewayError
from gateway.runtime.clock import MS, Clock
from gateway.runtime.entropy import SystemEntropy
from gateway.runtime.tasks import Stop
from gateway.sealing.key_ring import AT_ONCE_MS, PLAN_MS_MAX
from gateway.sealing.keys import KeyStoreFault, SignatureAlgorithm, Signer, Unwrapper
from gateway.server.key_stores import key_stores
from gateway.server.settings import Settings
from gateway.server.state import StateDir

LOOK_EVERY_S: Final = 1.0
"""A look is one stat. A key is published for longer before it is used: key_ring.AT_ONCE_MS at least."""

RETRY_EVERY_S: Final = 30.0
"""Of a file that did not open and did not change since: a passphrase takes half a second to stretch."""

FOLLOWED_MS: Final = AT_ONCE_MS - PLAN_MS_MAX
"""A key is in the file for so long before it is used: a later look has seen it."""

HEALTH_SERVICE: Final = "own-keys"
"""Name in gRPC health: NOT_SERVING while the file has something that cannot be taken."""

_log = structlog.get_logger("own-keys")


def key_files(settings: Settings, clock: Clock) -> KeyFiles:
    """The keys of an installation, by what its settings say about where they are. Raises KeyStoreFault."""
    entropy = SystemEntropy()
    where = key_stores(settings, clock, entropy)
    return KeyFiles(
        settings.state.keys, unwrapper=where.unwrapper, stores=where.stores, make_in=where.make_in,
        clock=clock, entropy=entropy,
    )  # fmt: skip


def opener(settings: Settings, clock: Clock) -> Unwrapper:
    """What opens the key file by the settings. Raises KeyStoreFault."""
    where = key_stores(settings, clock, SystemEntropy())
    return where.unwrapper or PassphraseUnwrapper(settings.state.keys)


class KeysMixed(KeyStoreFault):
    """The file has another MAC master than the one that pseudonyms were made with so far."""

    code = "key_files"


@dataclass(frozen=True, slots=True)
class KeysTold:
    """What a process signs with, by algorithm, and why it could not take what the file has now."""

    in_use: dict[str, str]
    published: int
    code: str = ""
    public: str = ""


class LiveKeys:
    """Keys as they are now. `look` is for one thread; everything else for any."""

    def __init__(self, files: KeyFiles, clock: Clock) -> None:
        """Opens them. Raises KeyStoreFault; not for one signing key that is missing in its store."""
        self.files = files
        self._clock = clock
        self._latest_ms = 0
        self._looked_ns = clock.monotonic_ns()
        self._mark = files.mark()
        self.current: OwnKeys = files.load()
        """Replaced as a whole."""
        self._fault: GatewayError | None = None
        self._retry_ns = 0
        self._signable = self._in_use_now()
        if self.current.missing is not None:
            self._failed(self.current.missing)

    def _now_ms(self) -> int:
        """Never before what it was: a clock that is set back brings no key back that was stolen."""
        self._latest_ms = max(self._latest_ms, self._clock.wall_ms())
        return self._latest_ms

    def signer(self, alg: SignatureAlgorithm) -> Signer | None:
        """Who signs with `alg` now; None where no key for it is in use yet."""
        return self.current.signer_at(alg, self._now_ms())

    def default(self) -> Signer:
        """Who signs now what names no algorithm: heads of the ledger, certificates, access tokens."""
        return self.current.default_at(self._now_ms())

    def followed(self) -> bool:
        """Whether a key that any process uses by now is known here."""
        late_ns = self._clock.monotonic_ns() - self._looked_ns
        return self._fault is None and late_ns < FOLLOWED_MS * MS

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Our JWK Set: another object once it changed."""
        return self.current.jwks

    def __contains__(self, alg: object) -> bool:
        """Whether there was a key in use for an algorithm at the last look: what has none is withheld.

        Until its time has come another process may not know of it, and would sign with another.
        """
        return alg in self._signable

    def _in_use_now(self) -> frozenset[str]:
        now_ms = self._now_ms()
        return frozenset(alg for alg, held in self.current.signers.items() if held[-1][0] <= now_ms)

    def look(self) -> bool:
        """One look at the file, and at the time; whether the keys changed. Never raises."""
        changed = self._look()
        self._signable = self._in_use_now()
        return changed

    def _look(self) -> bool:
        """Takes what the file has now where it changed; whether it did."""
        mark = None
        now_ns = self._clock.monotonic_ns()
        try:
            mark = self.files.mark()
            if mark == self._mark and (self._fault is None or now_ns < self._retry_ns):
                self._looked_ns = now_ns
                return False
            found = self.files.load()
            if found.mac_keys != self.current.mac_keys:
                raise KeysMixed("the key file is of another installation: put this one's back, or start anew")
        except Exception as fault:
            # Whatever is wrong with a file, a module or a vault must not end what runs on the last good keys.
            self._mark = mark
            self._failed(fault)
            return False
        # The mark of before: what changed while it was read is looked at once more.
        self._mark, self._looked_ns = mark, now_ns
        self.current = found
        if found.missing is None:
            self._fault = None
        else:
            # All else is taken: the JWK Set, epochs and retirements have to follow, and another may sign.
            self._failed(found.missing)
        _log.info("own_keys", published=len(found.ring.keys))
        return True

    def _failed(self, fault: Exception) -> None:
        self._retry_ns = self._clock.monotonic_ns() + int(RETRY_EVERY_S * 1e9)
        told = (
            fault if isinstance(fault, GatewayError) else KeyStoreFault("the keys cannot be read: check them")
        )
        if self._fault is None or self._fault.public != told.public:
            _log.error("own_keys_not_followed", code=told.code, public=told.public)
        self._fault = told

    def told(self) -> KeysTold:
        """For people: what is in use, and what is wrong."""
        current, now_ms = self.current, self._now_ms()
        in_use = {
            str(alg): key.kid for alg in sorted(current.signers) if (key := current.signer_at(alg, now_ms))
        }
        fault = self._fault
        code, public = ("", "") if fault is None else (fault.code, fault.public)
        return KeysTold(in_use, len(current.ring.keys), code, public)


class KeyWatch:
    """Follows the keys of a process, and tells of them."""

    def __init__(
        self, keys: LiveKeys, state: StateDir, process: str, tell: Callable[[KeysTold], None]
    ) -> None:
        """`tell` is given what is to be told whenever that changes."""
        self._keys = keys
        self._path = _path(state, process)
        self._tell = tell
        self._told: KeysTold | None = None

    def step(self) -> None:
        """One look. Never raises."""
        self._keys.look()
        told = self._keys.told()
        if told != self._told:
            self._told = told
            self._tell(told)
            self._show(told)

    def follow(self, stop: Stop) -> None:
        """On a thread of its own."""
        while not stop.wait(LOOK_EVERY_S):
            self.step()
        self.close()

    def close(self) -> None:
        """Nothing is told any more."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _show(self, told: KeysTold) -> None:
        said: dict[str, Any] = {"pid": os.getpid(), "in_use": told.in_use, "published": told.published}
        if told.code:
            said |= {"code": told.code, "fault": told.public}
        temporary = self._path.with_suffix(".new")
        with suppress(OSError):
            temporary.write_text(json.dumps(said))
            temporary.rename(self._path)


def read_told(state: StateDir, process: str) -> dict[str, Any] | None:
    """What a process said last of our keys; None where it has said nothing."""
    try:
        said: dict[str, Any] = json.loads(_path(state, process).read_text())
    except (OSError, ValueError):
        return None
    return said


def _path(state: StateDir, process: str) -> Path:
    return state.run / f"{process}.own-keys.json"
