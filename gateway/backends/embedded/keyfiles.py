"""Our own keys in one encrypted file: the ring of signing keys, the MAC master, the epochs of card tokens.

Private halves stand in the file, or in a store that the ring names and that they never leave.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway.backends.embedded.in_file import InFile
from gateway.backends.embedded.mac_keys import HkdfMacKeys
from gateway.backends.embedded.own_file import OWN_KEYS_FILE, OwnFile
from gateway.backends.embedded.passphrase import (
    DAMAGED,
    DAMAGED_TEXT,
    PASSPHRASE_FILE,
    SCRYPT_LOG2_N,
    PassphraseUnwrapper,
    has_passphrase,
)
from gateway.backends.embedded.private_files import KeyFileError, Mark, alone, mark_of, write_new
from gateway.backends.embedded.recipient_files import RECIPIENTS_DIR
from gateway.runtime.clock import MS, Clock, SystemClock
from gateway.runtime.entropy import Entropy, SystemEntropy
from gateway.sealing import base64url, jwk
from gateway.sealing.key_ring import IN_FILE, PLAN_MS_MAX, KeyRing, KeyState, RetiredKey, RingKey
from gateway.sealing.keys import (
    BadKey,
    KeyStoreFault,
    SignatureAlgorithm,
    Signer,
    SigningStore,
    Unwrapper,
)
from gateway.sealing.signer import LateSigner
from gateway.sealing.token_epochs import TokenEpochs, parse_epochs

T = TypeVar("T")

DEFAULT_ALGORITHM: Final = SignatureAlgorithm.ES256
"""Of the ledger, of certificates and access tokens, and of streams that name no other."""


LOCK_WAIT_S: Final = 10.0
"""A change of keys takes a second: who waits longer is told that another command hangs."""


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """What a key file holds, opened. `LiveKeys` (gateway/server/own_keys.py) follows it as it changes."""

    ring: KeyRing
    mac_keys: HkdfMacKeys
    token_epochs: TokenEpochs
    jwks: dict[str, list[dict[str, str]]]
    """Our JWK Set, for receivers."""
    signers: Mapping[SignatureAlgorithm, tuple[tuple[int, Signer], ...]]
    """By algorithm: from when each signs, the latest first. Those that will not sign again are left out."""
    missing: KeyStoreFault | None = None
    """Why a key that is to sign does not open in its store. Its signer raises, and tries again each time."""

    def signer_at(self, alg: SignatureAlgorithm, now_ms: int) -> Signer | None:
        """Who signs with `alg` at wall time `now_ms`; None where no key for it is in use yet."""
        for use_from_ms, signer in self.signers.get(alg, ()):
            if use_from_ms <= now_ms:
                return signer
        return None

    def default_at(self, now_ms: int) -> Signer:
        """Of the ledger, of certificates, and of streams that name no algorithm."""
        alg = DEFAULT_ALGORITHM if DEFAULT_ALGORITHM in self.signers else self.ring.keys[0].alg
        # Where the clock is before all keys the first of them signs: something has to.
        return self.signer_at(alg, now_ms) or self.signers[alg][-1][1]


@dataclass(slots=True)
class Held:
    """What the file holds, to be changed and written again."""

    ring: KeyRing
    private: dict[str, dict[str, str]] = field(repr=False)
    mac_master: bytes = field(repr=False)
    token_epochs: TokenEpochs

    def as_json(self) -> dict[str, object]:
        return {
            "signing": [
                {
                    "jwk": {**key.public, **self.private.get(key.kid, {})}, "made_at_ms": key.made_at_ms,
                    "use_from_ms": key.use_from_ms, **({"store": key.store} if key.store else {}),
                }
                for key in self.ring.keys
            ],
            "retired": [
                {
                    "jwk": dict(key.public), "retired_at_ms": key.retired_at_ms,
                    "after_head": key.after_head,
                    **({"store": key.store} if key.store else {}),
                }
                for key in self.ring.retired
            ],
            "mac_master": base64url.encode(self.mac_master).decode(),
            "token_epochs": self.token_epochs.as_json(),
        }  # fmt: skip


class KeyFiles:
    """The folder of keys: opens our own, and changes them one command at a time. For any thread.

    `stores` are those that a ring may name beside the file itself; new keys are made in `make_in`.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        unwrapper: Unwrapper | None = None,
        stores: Mapping[str, SigningStore] | None = None,
        make_in: str = IN_FILE,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        self.directory = Path(directory)
        self._stores = dict(stores or {})
        self._make_in = make_in
        self._clock = clock or SystemClock()
        self._entropy = entropy or SystemEntropy()
        self._signers: Mapping[str, LateSigner] = {}
        self._file = OwnFile(
            directory, unwrapper or PassphraseUnwrapper(directory, entropy=self._entropy), self._entropy
        )

    def mark(self) -> Mark | None:
        """Changes with the file; None where there is none."""
        return mark_of(self._file.path)

    def load(self) -> OwnKeys:
        """Raises KeyStoreFault."""
        return self._opened(_held(self._file.read()[0]))

    def create(self) -> OwnKeys:
        """Makes the first signing key and the MAC master. Raises KeyStoreFault: none is overwritten."""
        (self.directory / RECIPIENTS_DIR).mkdir(mode=0o700, parents=True, exist_ok=True)
        exist = KeyFileError("keys exist already: they are never overwritten; move them away first")
        if self._file.path.exists():
            raise exist
        held = Held(KeyRing(()), {}, self._entropy.bytes(32), TokenEpochs())
        kid = self.new_kid()
        public = self._store(self._make_in, held.private).create(kid, DEFAULT_ALGORITHM)
        held.ring = held.ring.added(self._made(kid, DEFAULT_ALGORITHM, public, use_from_ms=0))
        try:
            self._file.write(held.as_json(), new=True)
        except FileExistsError:
            raise exist from None
        return self._opened(held)

    def change(self, work: Callable[[Held], T]) -> T:
        """Runs `work` on what the file holds now, alone, and puts what that comes to in place.

        Nothing is written where `work` raises, or changes nothing. Raises KeyStoreFault.
        """
        # Once without the lock: what opens the file may be a module or a vault that takes its time.
        self._file.read()
        with _alone(self._file.path):
            clear, unwrap = self._file.read()
            held = _held(clear)
            before = held.as_json()
            found = work(held)
            after = held.as_json()
            if after != before:
                self._file.write(after, unwrap)
        return found

    def new_kid(self) -> str:
        return "sig-" + self._entropy.bytes(8).hex()

    def add_key(self, alg: SignatureAlgorithm, plan: Callable[[KeyRing, str], int | None]) -> RingKey | None:
        """Makes a key that is used from when `plan` says, told the ring and the new id; None for no key.

        What `plan` raises ends it, and the key with it. It is made first, and without the lock: a module may
        take longer than other processes have until the key signs.
        """
        kid, private, planned = self.new_kid(), dict[str, dict[str, str]](), False
        store = self._store(self._make_in, private)
        public = store.create(kid, alg)

        def work(held: Held) -> RingKey | None:
            nonlocal planned
            began_ns = self._clock.monotonic_ns()
            use_from_ms = plan(held.ring, kid)
            if use_from_ms is None:
                return None
            if self._clock.monotonic_ns() - began_ns > PLAN_MS_MAX * MS:
                raise KeyStoreFault("this machine is too slow just now: no key was made; try again")
            made = self._made(kid, alg, public, use_from_ms=use_from_ms)
            held.ring = held.ring.added(made)
            held.private |= private
            planned = True
            return made

        try:
            return self.change(work)
        finally:
            # Not where the file may have it. One that is left behind is in no ring: it never signs.
            if not planned:
                with suppress(KeyStoreFault):
                    store.destroy(kid)

    def retire_key(self, kid: str, check: Callable[[KeyRing], None], after_head: int = 0) -> RetiredKey:
        """Takes a key out of the JWK Set and ends its private half. What `check` raises ends it.

        Out of the ring first: where the store does not answer (KeyStoreFault), or the process dies in
        between, nothing counts on a key that is gone, and `end_retired` ends what is left of it.
        """

        def work(held: Held) -> RetiredKey:
            held.ring.key(kid)
            check(held.ring)
            held.ring = held.ring.without(kid, self._clock.wall_ms(), after_head)
            held.private.pop(kid, None)
            return held.ring.retired[-1]

        gone = self.change(work)
        if gone.store:
            self.end_retired()
        return gone

    def end_retired(self) -> list[RetiredKey]:
        """Ends private halves of retired keys that stores still have; which. Raises KeyStoreFault.

        Without the lock while the stores are asked. Of two that do it at a time one is told of each key.
        """
        retired = _held(self._file.read()[0]).ring.retired
        left = [key for key in retired if key.store in self._stores]
        for key in left:
            self._stores[key.store].destroy(key.kid)

        def work(held: Held) -> list[RetiredKey]:
            ended = [key for key in left if key in held.ring.retired]
            for key in ended:
                held.ring = held.ring.ended(key.kid)
            return ended

        return self.change(work) if left else []

    def change_epochs(self, change: Callable[[TokenEpochs], TokenEpochs]) -> TokenEpochs:
        """Raises what `change` raises."""

        def work(held: Held) -> TokenEpochs:
            held.token_epochs = change(held.token_epochs)
            return held.token_epochs

        return self.change(work)

    def _made(
        self, kid: str, alg: SignatureAlgorithm, public: Mapping[str, str], *, use_from_ms: int
    ) -> RingKey:
        return RingKey(kid, alg, public, self._clock.wall_ms(), use_from_ms, self._make_in)

    def _store(self, name: str, private: dict[str, dict[str, str]]) -> SigningStore:
        if name == IN_FILE:
            return InFile(private, self._entropy)
        if name not in self._stores:
            raise KeyStoreFault(f"a signing key is in the store {name}, which the settings do not name")
        return self._stores[name]

    def _opened(self, held: Held) -> OwnKeys:
        ring, now_ms = held.ring, self._clock.wall_ms()
        # What is not to sign again may be gone from its store.
        signing = [key for key in ring.keys if ring.state(key, now_ms) is not KeyState.SUPERSEDED]
        # A change of one key leaves the others as they were opened.
        made = {key.kid: self._signers.get(key.kid) or self._signer(key, held) for key in signing}
        self._signers = made
        missing = None
        for key in signing:
            # What a store has lost is to be told before it is to sign; what is in the file is there.
            try:
                if key.store:
                    made[key.kid].open()
            except KeyStoreFault as fault:
                missing = fault
        signers = {
            alg: tuple((key.use_from_ms, made[key.kid]) for key in reversed(ring.of(alg)) if key in signing)
            for alg in ring.algorithms
        }
        try:
            jwks = ring.jwks()
        except (*DAMAGED, BadKey):
            raise KeyFileError(DAMAGED_TEXT) from None
        return OwnKeys(ring, HkdfMacKeys(held.mac_master), held.token_epochs, jwks, signers, missing)

    def _signer(self, key: RingKey, held: Held) -> LateSigner:
        own = {key.kid: held.private[key.kid]} if key.kid in held.private else {}
        return LateSigner(key.kid, key.alg, partial(self._open, key, own))

    def _open(self, key: RingKey, private: dict[str, dict[str, str]]) -> Signer:
        return self._store(key.store, private).signer(key.kid, key.alg)


def create_keys(
    directory: str | Path,
    entropy: Entropy,
    *,
    make_passphrase: bool = False,
    scrypt_log2_n: int = SCRYPT_LOG2_N,
) -> OwnKeys:
    """Makes keys under the passphrase; `make_passphrase` makes that where there is none. Never overwrites."""
    base = Path(directory)
    (base / RECIPIENTS_DIR).mkdir(mode=0o700, parents=True, exist_ok=True)
    if make_passphrase and not has_passphrase(base) and not (base / OWN_KEYS_FILE).exists():
        write_new(base / PASSPHRASE_FILE, base64url.encode(entropy.bytes(32)) + b"\n")
    unwrapper = PassphraseUnwrapper(base, entropy=entropy, scrypt_log2_n=scrypt_log2_n)
    return KeyFiles(base, unwrapper=unwrapper, entropy=entropy).create()


def load_keys(
    directory: str | Path,
    *,
    unwrapper: Unwrapper | None = None,
    stores: Mapping[str, SigningStore] | None = None,
) -> OwnKeys:
    """Opens the keys once, as they are now. Raises KeyStoreFault."""
    return KeyFiles(directory, unwrapper=unwrapper, stores=stores).load()


def add_signing_keys(files: KeyFiles, algorithms: Iterable[SignatureAlgorithm]) -> list[RingKey]:
    """Makes a key for each algorithm that has none yet; keys that are there stay as they are."""

    def made(alg: SignatureAlgorithm) -> RingKey | None:
        # Used from the beginning: no other has to be published before it.
        return files.add_key(alg, lambda ring, kid: None if alg in ring.algorithms else 0)

    there = files.load().ring.algorithms
    wanted = [alg for alg in dict.fromkeys(algorithms) if alg not in there]
    return [key for key in map(made, wanted) if key is not None]


def rewrap(directory: str | Path, before: Unwrapper, after: Unwrapper) -> None:
    """Puts the file under another unwrapper, with a new key; keys themselves stay. Raises KeyStoreFault."""
    entropy = SystemEntropy()
    with _alone(Path(directory) / OWN_KEYS_FILE):
        clear, _ = OwnFile(directory, before, entropy).read()
        OwnFile(directory, after, entropy).write(clear)


def _alone(path: Path) -> AbstractContextManager[None]:
    busy = KeyFileError("another command is changing the keys; try again")
    return alone(path, busy, wait_s=LOCK_WAIT_S)


def _held(clear: dict[str, Any]) -> Held:
    """Of a file of version 2, or of before: there an algorithm had one key, used from the beginning."""
    try:
        rows = [row if "jwk" in row else {"jwk": row} for row in clear["signing"]]
        keys = tuple(_ring_key(row) for row in rows)
        if not keys:
            raise KeyFileError(DAMAGED_TEXT)
        private = {
            key.kid: dict(row["jwk"]) for key, row in zip(keys, rows, strict=True) if key.store == IN_FILE
        }
        retired = tuple(
            RetiredKey(
                str(row["jwk"]["kid"]),
                row["jwk"],
                int(row["retired_at_ms"]),
                str(row.get("store", IN_FILE)),
                int(row.get("after_head", 0)),
            )
            for row in clear.get("retired", ())
        )
        master = base64url.decode(clear["mac_master"].encode())
        HkdfMacKeys(master).unit()
        return Held(KeyRing(keys, retired), private, master, parse_epochs(clear.get("token_epochs", {})))
    except (*DAMAGED, BadKey):
        raise KeyFileError(DAMAGED_TEXT) from None


def _ring_key(row: Mapping[str, Any]) -> RingKey:
    document, store = row["jwk"], str(row.get("store", IN_FILE))
    public = jwk.public_half(document)
    return RingKey(
        str(public["kid"]), SignatureAlgorithm(public["alg"]), public,
        int(row.get("made_at_ms", 0)), int(row.get("use_from_ms", 0)), store,
    )  # fmt: skip
