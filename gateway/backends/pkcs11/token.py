"""One token of a module: logged in, and opened anew after it was lost or the process was forked.

python-pkcs11 begins a module without locks (C_Initialize with no arguments, PKCS #11 v2.40, 5.4) and lets
other threads run during a call. So threads take turns here: a process makes one call at a time.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

import pkcs11
from pkcs11 import exceptions

from gateway.backends.secret_source import KeyStoreMisconfigured, SecretSource
from gateway.runtime.clock import MS, Clock
from gateway.sealing.keys import KeyStoreFault

T = TypeVar("T")

TURN_WAIT_S: Final = 5.0
"""A signature takes milliseconds, and few threads sign: whoever waits longer meets a module that hangs."""

REST_MS: Final = 1_000
"""Between two logins: fan-out asks five times a second, and modules begin slowly."""

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


def _sha256(pin: str) -> bytes:
    # Of the environment it may be no UTF-8.
    return sha256(pin.encode(errors="surrogateescape")).digest()


def _is_lost(fault: exceptions.PKCS11Error) -> bool:
    # Of no class of its own: not begun, or a code of the vendor's.
    return isinstance(fault, _LOST) or type(fault) is exceptions.PKCS11Error


class _Module:
    """A module as this process has it: it begins once, and anew for all of its tokens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lib: Any = None
        self._forked = False
        self.generation = 0
        """Handles of an earlier one are not ours any more: their numbers may name something else."""
        self._turns = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Alone with the module. Raises KeyStoreFault where it does not come about."""
        # The one that was taken is given back, whatever a fork has put in its place.
        turns = self._turns
        if not turns.acquire(timeout=TURN_WAIT_S):
            raise KeyStoreFault("the module hangs in another call: see what it says itself")
        try:
            yield
        finally:
            turns.release()

    def forked(self) -> None:
        """In the child of a fork: handles and login are the parent's (PKCS #11 v2.40, 5.4, C_Initialize)."""
        self._turns = threading.Lock()
        self.generation += 1
        self._forked = self._lib is not None

    def begun(self, *, anew: bool) -> Any:
        """The module, in one's turn; `anew`: it begins again, since many look for tokens only then."""
        if self._lib is None:
            self._lib = _load(self.path)
        elif anew or self._forked:
            self.generation += 1
            # A child's own has not begun, or it lost its device: it begins below all the same.
            with suppress(exceptions.PKCS11Error):
                self._lib.finalize()
            self._lib.initialize()
        self._forked = False
        return self._lib


_modules: dict[Path, _Module] = {}


def _module(path: Path) -> _Module:
    return _modules.setdefault(path, _Module(path))


def _after_fork() -> None:
    for module in _modules.values():
        module.forked()


os.register_at_fork(after_in_child=_after_fork)


def _load(path: Path) -> Any:
    try:
        return pkcs11.lib(str(path))
    except (OSError, RuntimeError) as fault:
        if isinstance(fault, exceptions.PKCS11Error) and type(fault) is not exceptions.PKCS11Error:
            raise
        # Of no class of its own: the loader's, whose text has the whole path.
        raise KeyStoreMisconfigured(
            f"keys.module: {path.name} cannot be loaded as a PKCS #11 module"
        ) from None


@dataclass(slots=True, eq=False)
class Held:
    """The session, and the handles of the keys that were found in it."""

    session: Any
    mechanisms: frozenset[Any]
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
        self._held: Held | None = None
        """None before the first call, and after what it had was lost."""
        self._generation = -1
        """Of the module, when we logged in."""
        self._logged_in_ns = 0
        self._lost = False
        self._refused_sha256 = b""
        """Of the PIN that was refused: it may be right at another token, and is not kept in clear."""
        self._rest: tuple[int, str] = (0, "")

    def __repr__(self) -> str:
        return f"Token(module={self._module.path.name!r}, label={self._label!r})"

    def run(self, work: Callable[[Held], T], *, again: bool = True) -> T:
        """`work` with the session; once more on a new one where the token was lost, unless `again` is false.

        Raises KeyStoreFault, and whatever else `work` raises.
        """
        with self._module.turn():
            for may_try_again in (again, False):
                held = self._session()
                try:
                    return work(held)
                except exceptions.PKCS11Error as fault:
                    # On a session so young it is what was asked for, and beginning anew would mend nothing.
                    old = self._clock.monotonic_ns() >= self._logged_in_ns + REST_MS * MS
                    self._lost = old and _is_lost(fault)
                    if not (self._lost and may_try_again):
                        raise KeyStoreFault(
                            f"the module did not do it: {type(fault).__name__}; see that its token is there"
                        ) from None
        raise AssertionError("the second try returns or raises")

    def _session(self) -> Held:
        """The one there is, or a new one, logged in. Raises KeyStoreFault."""
        if self._held is not None and not self._lost and self._generation == self._module.generation:
            return self._held
        until_ns, text = self._rest
        if self._clock.monotonic_ns() < until_ns:
            raise KeyStoreFault(text)
        pin = self._pin.read()
        if _sha256(pin) == self._refused_sha256:
            raise KeyStoreMisconfigured(
                "the module refused this PIN: it is not tried again, lest the token locks; set another"
            )
        try:
            held = self._opened(pin)
        except _PIN_REFUSED as fault:
            self._refused_sha256 = _sha256(pin)
            raise KeyStoreMisconfigured(f"the module refuses the PIN: {type(fault).__name__}") from None
        except exceptions.PKCS11Error as fault:
            text = f"the token is not to be had: {type(fault).__name__}; see keys.module and keys.token_label"
            self._lost = True
            self._rest = (self._clock.monotonic_ns() + REST_MS * MS, text)
            raise KeyStoreFault(text) from None
        self._held, self._generation, self._lost = held, self._module.generation, False
        self._logged_in_ns = self._clock.monotonic_ns()
        return held

    def _opened(self, pin: str) -> Held:
        lib = self._module.begun(anew=self._lost)
        try:
            found = lib.get_token(token_label=self._label)
        except exceptions.PKCS11Error:
            if self._lost:
                raise
            # It may have come, and another gone, since the module began.
            found = self._module.begun(anew=True).get_token(token_label=self._label)
        return Held(self._login(found, pin), frozenset(found.slot.get_mechanisms()))

    def _login(self, found: Any, pin: str) -> Any:
        try:
            return found.open(rw=True, user_pin=pin)
        except exceptions.UserAlreadyLoggedIn:
            # A login is the process's (PKCS #11 v2.40, 2.6).
            return found.open(rw=True)
