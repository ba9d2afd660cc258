"""Keys in a module: SoftHSM2, with tokens of the test's own. Skipped where it is not installed."""

import json
import multiprocessing
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.backends.secret_source import KeyStoreMisconfigured, SecretSource
from gateway.backends.signature_proof import verify
from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing.keys import KeyStoreFault, SignatureAlgorithm
from tests.kit.softhsm import PIN, SoftHsm, needs_softhsm, why_not
from tests.unit.key_stores.kit import public_of

pytestmark = needs_softhsm
if not why_not():
    from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, exceptions

    from gateway.backends.pkcs11 import token as module
    from gateway.backends.pkcs11.store import Pkcs11Store
    from gateway.backends.pkcs11.token import REST_MS, Held, Token
    from gateway.backends.pkcs11.unwrapper import Pkcs11Unwrapper

ES256 = SignatureAlgorithm.ES256
LABEL = "ein-test"


class Hsm:
    """A token of its own, a store and an unwrapper over it."""

    def __init__(self, soft: SoftHsm, folder: Path, label: str) -> None:
        self.soft, self.label = soft, label
        self.kept_in = soft.make_token(label)
        self.pin_file = folder / "pkcs11-pin"
        self.write_pin(PIN)
        self.clock = SimClock()
        self.token = self.another()
        self.store = Pkcs11Store(self.token)
        self.unwrapper = Pkcs11Unwrapper(self.token, "file-key", UnsafeSeededEntropy(7))

    def another(self) -> "Token":
        """As another process would have it."""
        source = SecretSource("the PIN", "EIN_PKCS11_PIN", "pkcs11-pin", self.pin_file)
        return Token(self.soft.module, self.label, source, self.clock)

    def write_pin(self, pin: str) -> None:
        self.pin_file.touch(mode=0o600)
        self.pin_file.write_text(pin + "\n")

    def remove(self) -> Path:
        """As who pulls it out; where it is now."""
        away = self.kept_in.with_name(f"{self.kept_in.name}.away")
        away = self.soft.tokens.parent / away.name
        self.kept_in.rename(away)
        return away


@pytest.fixture(scope="module")
def soft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    # One for all: a module reads where its tokens are when it begins, once in a process.
    made = SoftHsm(tmp_path_factory.mktemp("softhsm"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment.items():
            patch.setenv(name, value)
        patch.delenv("EIN_PKCS11_PIN", raising=False)
        patch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        yield made


@pytest.fixture
def hsm(soft: SoftHsm, tmp_path: Path) -> Hsm:
    return Hsm(soft, tmp_path, f"ein-{os.urandom(6).hex()}")


@pytest.mark.parametrize("alg", SignatureAlgorithm)
def test_a_key_that_is_made_there_signs_as_the_rfc_wants_it(hsm: Hsm, alg: SignatureAlgorithm) -> None:
    jwk = hsm.store.create("sig-1", alg)
    assert (jwk["kid"], jwk["alg"], jwk["use"]) == ("sig-1", alg, "sig")
    data = b"header.payload" * 100
    verify(public_of(jwk), alg, hsm.store.signer("sig-1", alg).sign(data), data)
    elsewhere = Pkcs11Store(hsm.another()).signer("sig-1", alg)
    verify(public_of(jwk), alg, elsewhere.sign(data), data)


def test_a_private_key_is_sensitive_not_extractable_and_only_signs(hsm: Hsm) -> None:
    hsm.store.create("sig-1", ES256)

    def look(held: "Held") -> None:
        [key] = held.session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: "sig-1"})
        assert key[Attribute.SENSITIVE]
        assert key[Attribute.PRIVATE]
        assert key[Attribute.TOKEN]
        assert not key[Attribute.EXTRACTABLE]
        assert key[Attribute.NEVER_EXTRACTABLE]
        assert key[Attribute.ALWAYS_SENSITIVE]
        assert not key[Attribute.DECRYPT]
        assert not key[Attribute.UNWRAP]
        with pytest.raises(exceptions.PKCS11Error):
            key[Attribute.VALUE]

    hsm.token.run(look)


def test_an_algorithm_that_the_module_lacks_is_refused_by_name_and_nothing_is_made(hsm: Hsm) -> None:
    held = hsm.token.run(lambda held: held)
    held.mechanisms = held.mechanisms - {Mechanism.EDDSA}
    with pytest.raises(KeyStoreFault, match="no keys for EdDSA"):
        hsm.store.create("sig-1", SignatureAlgorithm.EDDSA)
    with pytest.raises(KeyStoreFault, match="no such signing key"):
        hsm.store.signer("sig-1", SignatureAlgorithm.EDDSA)


def test_a_kid_that_is_taken_is_refused_and_its_key_stays(hsm: Hsm) -> None:
    first = hsm.store.create("sig-1", ES256)
    with pytest.raises(KeyStoreFault, match="already"):
        hsm.store.create("sig-1", ES256)
    verify(public_of(first), ES256, hsm.store.signer("sig-1", ES256).sign(b"x"), b"x")


def test_a_key_of_another_type_or_none_is_no_signer(hsm: Hsm) -> None:
    hsm.store.create("sig-1", ES256)
    with pytest.raises(KeyStoreFault, match="not of the type"):
        Pkcs11Store(hsm.another()).signer("sig-1", SignatureAlgorithm.RS256)
    with pytest.raises(KeyStoreFault, match="no such signing key"):
        hsm.store.signer("sig-2", ES256)
    with pytest.raises(KeyStoreFault, match="ASCII"):
        hsm.store.signer("../sig", ES256)


def test_what_is_destroyed_signs_no_more_anywhere_and_may_be_destroyed_again(hsm: Hsm) -> None:
    hsm.store.create("sig-1", ES256)
    here, elsewhere = hsm.store.signer("sig-1", ES256), Pkcs11Store(hsm.another()).signer("sig-1", ES256)
    elsewhere.sign(b"x")
    hsm.store.destroy("sig-1")
    hsm.store.destroy("sig-1")
    for signer in (here, elsewhere):
        with pytest.raises(KeyStoreFault):
            signer.sign(b"x")


def test_eight_threads_sign_at_once_and_each_gets_its_own_signature(hsm: Hsm) -> None:
    jwk = hsm.store.create("sig-1", ES256)
    signer, faults = hsm.store.signer("sig-1", ES256), list[BaseException]()

    def sign(number: int) -> None:
        try:
            for turn in range(25):
                data = f"{number}.{turn}".encode()
                verify(public_of(jwk), ES256, signer.sign(data), data)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=sign, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def _sign_in_child(signer: object, pipe: "multiprocessing.connection.Connection") -> None:
    try:
        pipe.send(signer.sign(b"from the child"))  # type: ignore[attr-defined]
    except BaseException as fault:
        pipe.send(repr(fault))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_the_child_of_a_fork_begins_anew_and_the_parent_goes_on(hsm: Hsm) -> None:
    jwk = hsm.store.create("sig-1", ES256)
    signer = hsm.store.signer("sig-1", ES256)
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    child = fork.Process(target=_sign_in_child, args=(signer, theirs))
    with hsm.token._module.turn():  # of a thread that the child does not have
        child.start()
    assert ours.poll(20), "the child did not sign"
    signature = ours.recv()
    child.join(20)
    assert isinstance(signature, bytes), signature
    verify(public_of(jwk), ES256, signature, b"from the child")
    verify(public_of(jwk), ES256, signer.sign(b"x"), b"x")


def test_a_token_that_is_gone_is_a_typed_fault_and_signs_again_once_it_is_back(hsm: Hsm) -> None:
    jwk = hsm.store.create("sig-1", ES256)
    signer = hsm.store.signer("sig-1", ES256)
    hsm.clock.advance_ms(REST_MS)
    away = hsm.remove()
    for _ in range(3):
        with pytest.raises(KeyStoreFault):
            signer.sign(b"x")
    away.rename(hsm.kept_in)
    with pytest.raises(KeyStoreFault):
        signer.sign(b"x")  # not looked for again so soon
    hsm.clock.advance_ms(REST_MS)
    verify(public_of(jwk), ES256, signer.sign(b"x"), b"x")


def test_a_module_that_fails_at_every_call_is_not_begun_anew_at_every_call(
    hsm: Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    hsm.token.run(lambda held: None)
    hsm.clock.advance_ms(REST_MS)
    begun, begin = list[bool](), hsm.token._module.begun
    monkeypatch.setattr(hsm.token._module, "begun", lambda *, anew: (begun.append(anew), begin(anew=anew))[1])

    def fails(held: "Held") -> None:
        raise exceptions.GeneralError

    for _ in range(5):
        with pytest.raises(KeyStoreFault, match="GeneralError"):
            hsm.token.run(fails)
    assert begun == [True]
    hsm.token.run(lambda held: None)  # what is asked for else is not held up


def test_a_module_that_begins_anew_under_us_is_logged_in_again(hsm: Hsm) -> None:
    jwk = hsm.store.create("sig-1", ES256)
    signer = hsm.store.signer("sig-1", ES256)
    hsm.clock.advance_ms(REST_MS)
    # As when a connection to a module in the network was cut: no session of before is good.
    with hsm.token._module.turn():
        hsm.token._module._lib.reinitialize()
    verify(public_of(jwk), ES256, signer.sign(b"x"), b"x")


def test_a_pin_that_was_refused_is_tried_once_and_the_next_one_is_taken_up(
    hsm: Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    hsm.write_pin("0000-wrong")
    token, tries = hsm.another(), list[str]()
    login = token._login
    monkeypatch.setattr(token, "_login", lambda found, pin: (tries.append(pin), login(found, pin))[1])
    for _ in range(3):
        with pytest.raises(KeyStoreMisconfigured, match="PIN"):
            token.run(lambda held: None)
    assert len(tries) == 1, "a token locks after a few"
    assert "0000-wrong" not in vars(token).values(), "it may be right at another token"
    hsm.write_pin(PIN)
    token.run(lambda held: None)
    assert tries == ["0000-wrong", PIN]


def test_no_fault_and_no_repr_shows_the_pin(hsm: Hsm, tmp_path: Path) -> None:
    told = [repr(hsm.token), repr(hsm.store), repr(hsm.unwrapper), repr(hsm.token._pin)]
    hsm.remove()
    with pytest.raises(KeyStoreFault) as caught:
        hsm.store.signer("sig-1", ES256)
    told += [str(caught.value)]
    assert caught.value.__cause__ is None
    assert not any(PIN in one for one in told)


def test_a_module_that_cannot_be_loaded_and_a_token_that_is_not_there_are_told_apart(
    hsm: Hsm, tmp_path: Path
) -> None:
    pin = SecretSource("the PIN", "EIN_PKCS11_PIN", "pkcs11-pin", hsm.pin_file)
    text = tmp_path / "module.so"
    text.write_text("no module")
    with pytest.raises(KeyStoreMisconfigured, match=r"module\.so cannot be loaded"):
        Token(text, LABEL, pin, hsm.clock).run(lambda held: None)
    with pytest.raises(KeyStoreFault, match="NoSuchToken"):
        Token(hsm.soft.module, "nobody", pin, hsm.clock).run(lambda held: None)


def test_the_file_key_is_wrapped_by_a_key_that_stays_there(hsm: Hsm) -> None:
    secret = bytes(range(32))
    wrapped = json.loads(json.dumps(hsm.unwrapper.wrap(secret)))
    assert wrapped["mechanism"] == "AES-GCM"
    assert secret.hex() not in json.dumps(wrapped)
    again = Pkcs11Unwrapper(hsm.another(), "other-key", UnsafeSeededEntropy(8))
    assert again.unwrap(wrapped) == secret, "the file says by which key"

    def look(held: "Held") -> None:
        [key] = held.session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY})
        assert key[Attribute.SENSITIVE]
        assert not key[Attribute.EXTRACTABLE]

    hsm.token.run(look)


def test_an_rsa_key_of_the_operators_wraps_it_too(hsm: Hsm) -> None:
    hsm.token.run(
        lambda held: held.session.generate_keypair(
            KeyType.RSA, 2048, label="file-key", store=True,
            capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
        )
    )  # fmt: skip
    secret = bytes(range(32))
    wrapped = hsm.unwrapper.wrap(secret)
    assert str(wrapped["mechanism"]).startswith("RSA-OAEP")
    assert hsm.unwrapper.unwrap(wrapped) == secret


@pytest.mark.parametrize(
    "broken",
    [{"key": "gone"}, {"mechanism": "ROT13"}, {"nonce": "z"}, {"ciphertext": "A" * 64}, {"ciphertext": 5}],
)
def test_what_was_changed_does_not_open_and_says_nothing_of_it(hsm: Hsm, broken: dict[str, object]) -> None:
    wrapped = hsm.unwrapper.wrap(bytes(32))
    with pytest.raises(KeyStoreFault) as caught:
        hsm.unwrapper.unwrap({**wrapped, **broken})
    assert str(wrapped["ciphertext"]) not in str(caught.value)
    assert hsm.unwrapper.unwrap(wrapped) == bytes(32)


def test_who_waits_behind_a_module_that_hangs_is_told_so_in_the_end(
    hsm: Hsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN_WAIT_S", 0.01)
    signer = hsm.store.create("sig-1", ES256) and hsm.store.signer("sig-1", ES256)
    with hsm.token._module.turn(), pytest.raises(KeyStoreFault, match="hangs"):
        signer.sign(b"x")
    assert len(signer.sign(b"x")) == 64
