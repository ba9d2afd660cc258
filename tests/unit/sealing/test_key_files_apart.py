"""Our key file, and stores of keys beside it: slow, away, or asked by two at a time."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded import keyfiles, private_files
from gateway.backends.embedded.in_file import InFile
from gateway.backends.embedded.keyfiles import KeyFiles, add_signing_keys, create_keys
from gateway.backends.embedded.own_file import OwnFile
from gateway.backends.embedded.passphrase import PASSPHRASE_ENV
from gateway.backends.embedded.private_files import KeyFileError
from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.key_ring import AT_ONCE_MS, PLAN_MS_MAX, KeyRing, RetiredKey, use_from_ms
from gateway.sealing.keys import KeyRefused, KeyStoreFault, SignatureAlgorithm, Signer
from tests.unit.sealing.test_keyfiles import NOW_MS, Elsewhere

ES256, RS256 = SignatureAlgorithm.ES256, SignatureAlgorithm.RS256


class Module(InFile):
    """A store of keys that may be slow, or away."""

    away = False
    meanwhile: Callable[[], object] = staticmethod(lambda: None)
    """What happens elsewhere while it makes or ends a key."""

    def create(self, kid: str, alg: SignatureAlgorithm) -> dict[str, str]:
        self.meanwhile()
        return InFile.create(self, kid, alg)

    def signer(self, kid: str, alg: SignatureAlgorithm) -> Signer:
        if self.away:
            raise KeyStoreFault("the module does not answer")
        return InFile.signer(self, kid, alg)

    def destroy(self, kid: str) -> None:
        self.meanwhile()
        InFile.destroy(self, kid)


class Rig:
    """A key file, and a module in which new keys are made."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, SimClock(wall_ms=NOW_MS)
        self.module = Module({}, SystemEntropy())
        create_keys(folder, SystemEntropy(), make_passphrase=True, scrypt_log2_n=4)
        self.files = self.process()

    def process(self) -> KeyFiles:
        """As another process opens them."""
        return KeyFiles(self.folder, stores={"module": self.module}, make_in="module", clock=self.clock)

    def at_once(self, ring: KeyRing, kid: str) -> int:
        now_ms = self.clock.wall_ms()
        return use_from_ms(ring, ES256, now_ms=now_ms, ahead_ms=0, max_age_ms=60_000, at_once=True)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.delenv(PASSPHRASE_ENV, raising=False)
    return Rig(tmp_path)


def test_every_process_has_a_key_in_time_however_long_its_store_takes_to_make_it(rig: Rig) -> None:
    rig.module.meanwhile = lambda: rig.clock.advance_ms(60_000)
    made = rig.files.add_key(ES256, rig.at_once)
    assert made is not None
    assert made.use_from_ms == rig.clock.wall_ms() + AT_ONCE_MS
    assert list(rig.module.private) == [made.kid]


def test_a_time_that_was_planned_too_long_ago_is_not_taken(rig: Rig) -> None:
    def plan(ring: KeyRing, kid: str) -> int:
        planned = rig.at_once(ring, kid)
        # As where the act cannot be recorded for a while.
        rig.clock.advance_ms(PLAN_MS_MAX + 1)
        return planned

    with pytest.raises(KeyStoreFault, match="try again"):
        rig.files.add_key(ES256, plan)
    assert len(rig.files.load().ring.keys) == 1
    assert rig.module.private == {}


def test_a_key_that_is_refused_after_it_was_made_is_not_left_in_its_store(rig: Rig) -> None:
    def refuse(ring: KeyRing, kid: str) -> int:
        assert kid in rig.module.private
        raise KeyRefused("no")

    with pytest.raises(KeyRefused, match="no"):
        rig.files.add_key(ES256, refuse)
    assert rig.files.add_key(ES256, lambda ring, kid: None) is None
    assert rig.module.private == {}
    assert len(rig.files.load().ring.keys) == 1


def test_a_file_is_not_locked_while_a_store_makes_ends_or_opens_a_key(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def lock(path: Path) -> None:
        asked.append(path)
        with private_files.alone(path, KeyFileError("held")):
            pass

    class Asked(Elsewhere):
        def unwrap(self, wrapped: Mapping[str, Any]) -> bytes:
            lock(tmp_path / "other" / "own.json")
            return super().unwrap(wrapped)

    monkeypatch.setattr(keyfiles, "LOCK_WAIT_S", 0.05)
    rig.module.meanwhile = lambda: lock(rig.folder / "own.json")
    made = rig.files.add_key(ES256, rig.at_once)
    assert made is not None
    rig.files.retire_key(made.kid, lambda ring: None)
    assert rig.module.private == {}
    assert [one.store for one in rig.files.load().ring.retired] == [""]
    KeyFiles(tmp_path / "other", unwrapper=Elsewhere()).create()
    opened = KeyFiles(tmp_path / "other", unwrapper=Asked())
    assert opened.change_epochs(lambda epochs: epochs) is not None
    assert len(asked) == 3


def test_of_two_that_end_a_key_at_a_time_one_is_told(rig: Rig) -> None:
    made = rig.files.add_key(ES256, rig.at_once)
    assert made is not None
    # As where the store did not answer when the key was retired.
    KeyFiles(rig.folder, clock=rig.clock).retire_key(made.kid, lambda ring: None)
    told: list[list[RetiredKey]] = []

    def another() -> None:
        rig.module.meanwhile = lambda: None
        told.append(rig.process().end_retired())

    rig.module.meanwhile = another
    told.append(rig.files.end_retired())
    assert [[one.kid for one in some] for some in told] == [[made.kid], []]
    assert rig.files.end_retired() == []


def test_a_key_is_opened_by_its_first_signature_and_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    files = KeyFiles(rig.folder, clock=rig.clock)
    add_signing_keys(files, [RS256])
    opened: list[SignatureAlgorithm] = []
    open_key = InFile.signer

    def watched(self: InFile, kid: str, alg: SignatureAlgorithm) -> Signer:
        opened.append(alg)
        return open_key(self, kid, alg)

    monkeypatch.setattr(InFile, "signer", watched)
    own = files.load()
    assert opened == []
    for held in (own, files.load()):
        signer = held.signer_at(RS256, NOW_MS)
        assert signer is not None
        assert len(signer.sign(b"x")) == 256
        assert repr(signer) == f"LateSigner(kid={signer.kid!r}, alg='RS256')"
    assert opened == [RS256]


@pytest.mark.parametrize("looks", range(4))
def test_what_opens_one_file_never_encrypts_another(tmp_path: Path, looks: int) -> None:
    class Raced(OwnFile):
        """Another thread opens another file after so many looks at what is kept."""

        looks = 0
        kept: tuple[str, bytes] | None = None

        @property
        def _opened(self) -> tuple[str, bytes] | None:
            self.looks += 1
            return self.kept if self.looks <= looks else ('{"held": "00"}', b"of the other file")

        @_opened.setter
        def _opened(self, value: tuple[str, bytes] | None) -> None:
            self.kept = value

    secret = bytes(range(32))
    unwrap = {"kind": Elsewhere.kind, **Elsewhere().wrap(secret)}
    file = Raced(tmp_path, Elsewhere(), SystemEntropy())
    assert file._secret(unwrap) == secret
    file.looks = 0
    assert file._secret(unwrap) == secret
