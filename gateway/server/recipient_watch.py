"""Watches the keys that data is sealed to: one that ran out, was revoked or was never approved is an alert.

Nothing is sealed without a usable key (`key_unavailable`); this is about people hearing of it.
"""

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from gateway.backends.embedded.recipient_files import recipient_path
from gateway.runtime.clock import Clock
from gateway.runtime.tasks import Stop
from gateway.sealing import jwk
from gateway.sealing.keys import BadKey, KeyUnavailable
from gateway.server.state import StateDir

LOOK_EVERY_S: Final = 2.0
"""An alert is for people; sharing itself stops within half a second."""

SOON_MS: Final = 14 * 24 * 3_600_000
"""Two weeks: time for an issuer to submit another key, and for a person to approve it."""

HEALTH_SERVICE: Final = "recipient-keys"
BOARD: Final = "recipient-keys.json"

_log = structlog.get_logger("recipient-keys")


@dataclass(frozen=True, slots=True)
class KeyState:
    """`state`: ok, ends_soon, expired, missing, or not_usable (revoked, not approved, damaged)."""

    state: str
    until_ms: int = 0

    def shown(self) -> dict[str, Any]:
        return {"state": self.state, **({"until_ms": self.until_ms} if self.until_ms else {})}

    @property
    def usable(self) -> bool:
        return self.state in ("ok", "ends_soon")


class RecipientWatch:
    """Looks at the keys of all recipients in force. For one thread."""

    def __init__(
        self,
        state: StateDir,
        clock: Clock,
        *,
        recipients: Callable[[], Iterable[str]],
        check: Callable[[str, str], None],
        tell: Callable[[int, int], None],
    ) -> None:
        """`tell` is given how many have no usable key, and how many keys end soon."""
        self._keys = state.keys
        self._board = state.run / BOARD
        self._clock = clock
        self._recipients = recipients
        self._check = check
        self._tell = tell
        self._told: dict[str, KeyState] = {}
        self._read: dict[str, tuple[Any, KeyState]] = {}

    def follow(self, stop: Stop) -> None:
        """On a thread of its own."""
        while True:
            self.step()
            if stop.wait(LOOK_EVERY_S):
                break
        with suppress(OSError):
            self._board.unlink(missing_ok=True)

    def step(self) -> dict[str, KeyState]:
        """What is to be told of: every key that is not simply good."""
        now_ms = self._clock.wall_ms()
        found = {one: self._state(one, now_ms) for one in sorted(set(self._recipients()))}
        told = {recipient_id: state for recipient_id, state in found.items() if state.state != "ok"}
        if told != self._told:
            for recipient_id in told.keys() - self._told.keys():
                _log.warning("recipient_key", recipient_id=recipient_id, state=told[recipient_id].state)
            self._told = told
        self._write(told, checked=len(found))
        lost = sum(not state.usable for state in told.values())
        self._tell(lost, len(told) - lost)
        return told

    def _state(self, recipient_id: str, now_ms: int) -> KeyState:
        try:
            path = recipient_path(self._keys, recipient_id)
            status = path.stat()
            mark = (status.st_mtime_ns, status.st_ino, status.st_size)
            held = self._read.get(recipient_id)
            if held is None or held[0] != mark:
                held = (mark, self._look(path, recipient_id))
                self._read[recipient_id] = held
        except (OSError, KeyUnavailable):
            return KeyState("missing")
        known = held[1]
        if not known.usable or not known.until_ms:
            return known
        if now_ms >= known.until_ms:
            return KeyState("expired", known.until_ms)
        return KeyState("ends_soon" if known.until_ms - now_ms <= SOON_MS else "ok", known.until_ms)

    def _look(self, path: Path, recipient_id: str) -> KeyState:
        """Without the time, which passes while the file stays. The first key is the one that is sealed to."""
        try:
            text = path.read_text()
            keys = jwk.recipient_keys(recipient_id, text)
            self._check(recipient_id, text)
        except (ValueError, BadKey):
            return KeyState("not_usable")
        if not keys:
            return KeyState("not_usable")
        return KeyState("ok", keys[0].expires_at_ms or 0)

    def _write(self, told: dict[str, KeyState], *, checked: int) -> None:
        shown = {
            "pid": os.getpid(), "checked": checked,
            "alerts": {name: one.shown() for name, one in told.items()},
        }  # fmt: skip
        temporary = self._board.with_suffix(".new")
        with suppress(OSError):
            temporary.write_text(json.dumps(shown))
            temporary.rename(self._board)


def read_watch(state: StateDir) -> dict[str, Any] | None:
    """What the gateway last told of recipients' keys; None where it does not run."""
    try:
        found: dict[str, Any] = json.loads((state.run / BOARD).read_text())
    except (OSError, ValueError):
        return None
    return found
