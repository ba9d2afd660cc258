"""Where our own keys are, by the settings."""

import builtins
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.backends.secret_source import KeyStoreMisconfigured, SecretSource
from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing.keys import KeyStoreFault
from gateway.server import exit_codes
from gateway.server.install import write_settings
from gateway.server.key_stores import key_stores
from gateway.server.settings import Settings, SettingsInvalid, load_settings

ROOT = Path(__file__).resolve().parents[3]
PKCS11 = {"store": "pkcs11", "module": "/usr/lib/module.so", "token_label": "ein"}
VAULT = {"store": "vault", "address": "https://vault.example:8200"}


def settings(folder: Path, keys: dict[str, object] | None) -> Settings:
    path = write_settings(folder)
    document = yaml.safe_load(path.read_text())
    if keys is not None:
        document["keys"] = keys
    path.write_text(yaml.safe_dump(document))
    return load_settings(path)


@pytest.mark.parametrize("keys", [None, {}, {"store": "files"}])
def test_keys_are_in_files_unless_a_store_is_named(tmp_path: Path, keys: dict[str, object] | None) -> None:
    stores = key_stores(settings(tmp_path, keys), SimClock(), UnsafeSeededEntropy(1))
    assert (stores.unwrapper, stores.stores, stores.make_in) == (None, {}, "")


@pytest.mark.parametrize(
    ("keys", "needs"),
    [(PKCS11, "pkcs11"), (VAULT, "hvac"), ({**VAULT, "address": "http://127.0.0.1:8200"}, "hvac")],
)
def test_a_store_that_is_named_is_made_without_asking_it_anything(
    tmp_path: Path, keys: dict[str, object], needs: str
) -> None:
    pytest.importorskip(needs, reason="the extra is not installed")
    stores = key_stores(settings(tmp_path, keys), SimClock(), UnsafeSeededEntropy(1))
    assert stores.unwrapper is not None
    assert stores.unwrapper.kind == keys["store"] == stores.make_in
    assert list(stores.stores) == [keys["store"]]


@pytest.mark.parametrize(
    "keys",
    [
        {**PKCS11, "pin": "4711-0815"},
        {**VAULT, "token": "hvs.secret"},
        {**PKCS11, "address": "https://vault.example"},
        {"store": "pkcs11", "module": "/usr/lib/module.so"},
        {**PKCS11, "token_label": "x" * 33},
        {**PKCS11, "wrapping_key": "a key"},
        {**VAULT, "address": "http://vault.example:8200"},
        {**VAULT, "address": "https://vault.example/v1/../"},
        {**VAULT, "mount": "../sys"},
        {"store": "elsewhere"},
        {"module": "/usr/lib/module.so"},
    ],
)
def test_what_cannot_be_meant_is_refused_and_no_value_is_told(
    tmp_path: Path, keys: dict[str, object]
) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        settings(tmp_path, keys)
    assert "keys" in str(refused.value)
    assert not any(secret in str(refused.value) for secret in ("4711", "hvs.secret"))


@pytest.mark.parametrize(("keys", "library", "extra"), [(PKCS11, "pkcs11", "hsm"), (VAULT, "hvac", "vault")])
def test_a_library_that_is_missing_is_named_by_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, object], library: str, extra: str
) -> None:
    named, really = settings(tmp_path, keys), builtins.__import__

    def without(name: str, *arguments: Any, **members: Any) -> Any:
        if name.startswith(f"gateway.backends.{keys['store']}") or name.split(".")[0] == library:
            raise ModuleNotFoundError(name)
        return really(name, *arguments, **members)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(KeyStoreMisconfigured, match=rf"\[server,{extra}\]") as refused:
        key_stores(named, SimClock(), UnsafeSeededEntropy(1))
    assert exit_codes.of(refused.value) == exit_codes.CONFIG
    assert exit_codes.of(KeyStoreFault("away")) == exit_codes.FAULT


@pytest.mark.parametrize("extra", ["hsm", "vault"])
def test_what_an_extra_asks_for_is_what_its_hashed_requirements_are_made_of(extra: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    lines = (ROOT / "requirements" / f"{extra}.in").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == extras[extra]
    locked = (ROOT / "requirements" / f"{extra}.txt").read_text()
    assert all(f"\n{one.split('>')[0]}==" in f"\n{locked}" for one in extras[extra])


def source(file: Path) -> SecretSource:
    return SecretSource("the PIN", "EIN_TEST_PIN", "test-pin", file)


def test_a_secret_comes_from_the_environment_then_a_credential_then_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    file = tmp_path / "pin"
    file.touch(mode=0o600)
    file.write_text("of the file\n")
    assert source(file).read() == "of the file"
    (tmp_path / "test-pin").write_text("of the credential\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert source(file).read() == "of the credential"
    monkeypatch.setenv("EIN_TEST_PIN", "of the environment")
    assert source(file).read() == "of the environment"


def test_a_secret_that_is_missing_empty_or_open_to_others_is_refused_without_its_value(
    tmp_path: Path,
) -> None:
    file = tmp_path / "pin"
    with pytest.raises(KeyStoreMisconfigured, match="set EIN_TEST_PIN"):
        source(file).read()
    file.write_text("12345678")
    file.chmod(0o640)
    with pytest.raises(KeyStoreMisconfigured, match="chmod 600") as refused:
        source(file).read()
    assert "12345678" not in str(refused.value)
    file.chmod(0o600)
    for wrong in (b"\n", b"\xff\xfe"):
        file.write_bytes(wrong)
        with pytest.raises(KeyStoreMisconfigured):
            source(file).read()
