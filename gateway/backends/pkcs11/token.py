"""One token of a module: sessions for several threads, logged in, opened anew after a loss or a fork.

A login is the process's, not a session's (PKCS #11 v2.40, 2.6): the first session logs in, and none is closed
by itself. What is lost is lost for all: when the last session is given back the module begins anew.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import pkcs11
from pkcs11 import exceptions

from gateway.backends.secret_source import KeyStoreMisconfigured, SecretSource
from gateway.runtime.clock import MS, Clock
from gateway.sealing.keys import KeyStoreFault

T = TypeVar("T")

SESSIONS_MAX: Final = 4
"""At once: fan-out, delivery, the ledger and the HTTP side sign. Small modules have room for a few more."""

SESSION_WAIT_S: Final = 5.0
"""A signature takes milliseconds; whoever waits longer for a session behind three others is told so."""

REST_MS: Final = 1_000
"""Between two tries to find a token again: fan-out asks five times a second, and modules take time to begin."""

_LOST: Final = (
    exceptions.SessionHandleInvalid,
    exceptions.SessionClosed,
    exceptions.UserNotLoggedIn,
    exceptions.DeviceError,
    exceptions.DeviceRemoved,
    exceptions.TokenNotPresent,
    exceptions.TokenNotRecognised,
    exceptions.SlotIDInvalid,
    exceptions.ObjectHandleInvalid,
    exceptions.KeyHandleInvalid,
    exceptions.GeneralError,
    exceptions.FunctionFailed,
)
"""After these the sessions, and what they know of keys, are not trusted any more."""

_PIN_REFUSED: Final = (
    exceptions.PinIncorrect,
    exceptions.PinInvalid,
    exceptions.PinLenRange,
    exceptions.PinExpired,
    exceptions.PinLocked,
)


class _Module:
    """A module as this process has it: it begins once, and anew for all of its tokens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lib: Any = None
        self.generation = 0
        """Handles of an earlier one are not ours any more: their numbers may name something else."""
        self.forked()

    def forked(self) -> None:
        """In the child of a fork: sessions and login are the parent's (PKCS #11 v2.40, 2.5.2)."""
        self.moved = threading.Condition()
        self.out = 0
        """Sessions in use."""
        self.generation += 1
        self.stale = self.lib is not None

    def begin(self, *, anew: bool) -> None:
        """Loads it, or lets it begin anew; under the lock, with no session in use."""
        if self.lib is None:
            self.lib = _load(self.path)
        elif anew or self.stale:
            # Modules look for their tokens when they begin, and not always again.
            self.generation += 1
            self.lib.reinitialize()
        self.stale = False


_modules: dict[Path, _Module] = {}
_modules_lock = threading.Lock()


def _module(path: Path) -> _Module:
    with _modules_lock:
        return _modules.setdefault(path, _Module(path))


def _after_fork() -> None:
    global _modules_lock
    _modules_lock = threading.Lock()
    for module in _modules.values():
        module.forked()


os.register_at_fork(after_in_child=_after_fork)


def _load(path: Path) -> Any:
    try:
        return pkcs11.lib(str(path))
    except exceptions.PKCS11Error:
        raise
    except (OSError, RuntimeError):
        raise KeyStoreMisconfigured(f"keys.module: {path.name} cannot be loaded as a PKCS #11 module") from None


@dataclass(slots=True, eq=False)
class Held:
    """A session in one thread's hands, and the handles of the keys that it has found."""

    session: Any
    keys: dict[str, Any] = field(default_factory=dict)


class Token:
    """The token of that label, in the module of that path. From any thread.

    A PIN that was refused is not tried again until it is another one: a few wrong ones lock a token.
    """

    def __init__(self, module: Path, label: str, pin: SecretSource, clock: Clock) -> None:
        self._module = _module(module)
        self._label = label
        self._pin = pin
        self._clock = clock
        self._token: Any = None
        self._sessions: list[Held] = []
        self._free: list[Held] = []
        self._generation = -1
        """Of the module, when we logged in."""
        self._lost = False
        self._refused_pin: str | None = None
        self._rest: tuple[int, str] = (0, "")

    def __repr__(self) -> str:
        return f"Token(module={self._module.path.name!r}, label={self._label!r})"

    def run(self, work: Callable[[Held], T], *, again: bool = True) -> T:
        """`work` with a session; once more on a new one where the token was lost, unless `again` is false.

        Raises KeyStoreFault, and whatever else `work` raises.
        """
        for may_try_again in (again, False):
            held, generation = self._take()
            lost = False
            try:
                return work(held)
            except exceptions.PKCS11Error as fault:
                lost = isinstance(fault, _LOST)
                if not (lost and may_try_again):
                    raise KeyStoreFault(
                        f"the module did not do it: {type(fault).__name__}; see that its token is there"
                    ) from None
            finally:
                self._give(held, generation, lost=lost)
        raise AssertionError("the second try returns or raises")

    def mechanisms(self) -> set[Any]:
        """What the token can do."""
        return self.run(lambda held: set(self._token.slot.get_mechanisms()))

    def forget(self, kid: str) -> None:
        """No session knows the key's handle any more: the module may give its number to another."""
        with self._module.moved:
            for held in self._sessions:
                held.keys.pop(kid, None)

    def _begun(self) -> bool:
        return self._generation == self._module.generation and not self._lost

    def _may_take(self) -> bool:
        if self._begun():
            return bool(self._free) or len(self._sessions) < SESSIONS_MAX
        # The module may begin anew: not under the hands of somebody.
        return self._module.out == 0

    def _take(self) -> tuple[Held, int]:
        moved = self._module.moved
        with moved:
            if not moved.wait_for(self._may_take, SESSION_WAIT_S):
                raise KeyStoreFault("the module is too busy: all its sessions are in use")
            if not self._begun():
                self._connect()
            if self._free:
                held = self._free.pop()
            else:
                held = self._opened()
            self._module.out += 1
            return held, self._generation

    def _give(self, held: Held, generation: int, *, lost: bool) -> None:
        module = self._module
        with module.moved:
            if generation != module.generation:
                return  # of the parent, in the child of a fork
            module.out -= 1
            self._lost = self._lost or lost
            self._free.append(held)
            module.moved.notify_all()

    def _opened(self) -> Held:
        try:
            held = Held(self._token.open(rw=True))
        except exceptions.PKCS11Error as fault:
            self._lost = True
            raise KeyStoreFault(f"the module opens no session: {type(fault).__name__}") from None
        self._sessions.append(held)
        return held

    def _connect(self) -> None:
        """Finds the token and logs in; under the lock, with no session in use. Raises KeyStoreFault."""
        until_ns, text = self._rest
        if self._clock.monotonic_ns() < until_ns:
            raise KeyStoreFault(text)
        pin = self._pin.read()
        if pin == self._refused_pin:
            raise KeyStoreMisconfigured(
                "the module refused this PIN: it is not tried again, so that the token does not lock; set another"
            )
        self._sessions, self._free = [], []
        try:
            self._find()
            held = Held(self._login(pin))
        except _PIN_REFUSED as fault:
            self._refused_pin = pin
            raise KeyStoreMisconfigured(f"the module refuses the PIN: {type(fault).__name__}") from None
        except exceptions.PKCS11Error as fault:
            text = f"the token is not to be had: {type(fault).__name__}; see keys.module and keys.token_label"
            self._rest = (self._clock.monotonic_ns() + REST_MS * MS, text)
            raise KeyStoreFault(text) from None
        self._sessions, self._free = [held], [held]
        self._generation, self._lost = self._module.generation, False

    def _find(self) -> None:
        self._module.begin(anew=self._lost)
        try:
            self._token = self._module.lib.get_token(token_label=self._label)
        except exceptions.NoSuchToken:
            # It may have come since the module began.
            self._module.begin(anew=True)
            self._token = self._module.lib.get_token(token_label=self._label)

    def _login(self, pin: str) -> Any:
        try:
            return self._token.open(rw=True, user_pin=pin)
        except exceptions.UserAlreadyLoggedIn:
            return self._token.open(rw=True)
