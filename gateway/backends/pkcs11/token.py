"""One token of a module: sessions for several threads, logged in, opened anew after a loss or a fork.

A login is the application's, not a session's (PKCS #11 v2.40, 2.6): the first session logs in, and is never
closed by itself. What is lost is lost for all sessions: they are given back, and the module begins anew.
"""

import os
import threading
import weakref
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
        self._module = module
        self._label = label
        self._pin = pin
        self._clock = clock
        self._lib: Any = None
        self._token: Any = None
        self._refused_pin: str | None = None
        self._rest: tuple[int, str] = (0, "")
        self._begin_anew()
        _alive.add(self)

    def __repr__(self) -> str:
        return f"Token(module={str(self._module)!r}, label={self._label!r})"

    def _begin_anew(self) -> None:
        self._moved = threading.Condition()
        self._free: list[Held] = []
        self._open = 0
        self._out = 0
        self._lost = True

    def forked(self) -> None:
        """In the child of a fork: sessions and login are the parent's (PKCS #11 v2.40, 2.5.2)."""
        self._begin_anew()
        self._token = None

    def run(self, work: Callable[[Held], T], *, again: bool = True) -> T:
        """`work` with a session; once more on a new one where the token was lost, unless `again` is false.

        Raises KeyStoreFault, and whatever else `work` raises.
        """
        for may_try_again in (again, False):
            held = self._take()
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
                self._give(held, lost=lost)
        raise AssertionError("the second try returns or raises")

    def mechanisms(self) -> set[Any]:
        """What the token can do."""
        return self.run(lambda held: set(self._token.slot.get_mechanisms()))

    def forget(self, kid: str) -> None:
        """No session knows the key any more."""
        with self._moved:
            for held in self._free:
                held.keys.pop(kid, None)

    def _take(self) -> Held:
        with self._moved:
            if not self._moved.wait_for(self._may_take, SESSION_WAIT_S):
                raise KeyStoreFault("the module is too busy: all its sessions are in use")
            if self._lost:
                self._connect()
            if self._free:
                held = self._free.pop()
            else:
                try:
                    held = Held(self._token.open(rw=True))
                except exceptions.PKCS11Error as fault:
                    raise KeyStoreFault(f"the module opens no session: {type(fault).__name__}") from None
                self._open += 1
            self._out += 1
            return held

    def _may_take(self) -> bool:
        if self._lost:
            # The module begins anew for all: not under the hands of somebody.
            return self._out == 0
        return bool(self._free) or self._open < SESSIONS_MAX

    def _give(self, held: Held, *, lost: bool) -> None:
        with self._moved:
            self._out -= 1
            self._lost = self._lost or lost
            self._free.append(held)
            self._moved.notify_all()

    def _connect(self) -> None:
        """Begins the module anew and logs in; under the lock, with no session out. Raises KeyStoreFault."""
        until_ns, text = self._rest
        if self._clock.monotonic_ns() < until_ns:
            raise KeyStoreFault(text)
        pin = self._pin.read()
        if pin == self._refused_pin:
            raise KeyStoreMisconfigured(
                "the module refused this PIN: it is not tried again, so that the token does not lock; set another"
            )
        self._free.clear()
        self._open = 0
        try:
            self._find()
            session = self._token.open(rw=True, user_pin=pin)
        except _PIN_REFUSED as fault:
            self._refused_pin = pin
            raise KeyStoreMisconfigured(f"the module refuses the PIN: {type(fault).__name__}") from None
        except exceptions.PKCS11Error as fault:
            text = f"the token is not to be had: {type(fault).__name__}; see keys.module and keys.token_label"
            self._rest = (self._clock.monotonic_ns() + REST_MS * MS, text)
            raise KeyStoreFault(text) from None
        self._free.append(Held(session))
        self._open = 1
        self._lost = False

    def _find(self) -> None:
        if self._lib is None:
            self._lib = _load(self._module)
        else:
            # Modules look for their tokens when they begin, and not always again.
            self._lib.reinitialize()
        self._token = self._lib.get_token(token_label=self._label)


def _load(module: Path) -> Any:
    try:
        return pkcs11.lib(str(module))
    except (OSError, RuntimeError) as fault:
        if isinstance(fault, exceptions.PKCS11Error):
            raise
        raise KeyStoreMisconfigured(f"keys.module: {module.name} cannot be loaded as a PKCS #11 module") from None


_alive: "weakref.WeakSet[Token]" = weakref.WeakSet()


def _after_fork() -> None:
    for token in list(_alive):
        token.forked()


os.register_at_fork(after_in_child=_after_fork)
