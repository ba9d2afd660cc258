"""Where our own keys are, by the settings: in files, in a module, in a vault. Their libraries are extras."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never

from gateway.backends.secret_source import KeyStoreMisconfigured, SecretSource
from gateway.runtime.clock import Clock
from gateway.runtime.entropy import Entropy
from gateway.sealing.key_ring import IN_FILE
from gateway.sealing.keys import SigningStore, Unwrapper
from gateway.server.settings import FilesKeys, Pkcs11Keys, Settings, VaultKeys

PIN_ENV: Final = "EIN_PKCS11_PIN"
PIN_CREDENTIAL: Final = "pkcs11-pin"
PIN_FILE: Final = "pkcs11-pin"
TOKEN_ENV: Final = "EIN_VAULT_TOKEN"  # noqa: S105 - the name of the variable
TOKEN_CREDENTIAL: Final = "vault-token"  # noqa: S105 - the name of the credential
TOKEN_FILE: Final = "vault-token"  # noqa: S105 - the name of the file


@dataclass(frozen=True, slots=True)
class KeyStores:
    """What the key file is opened with, and who signs."""

    unwrapper: Unwrapper | None = None
    """None: the passphrase, as ever."""
    stores: Mapping[str, SigningStore] = field(default_factory=dict)
    """By the name that the key file has for them."""
    make_in: str = IN_FILE
    """The store that a new signing key is made in."""


def key_stores(settings: Settings, clock: Clock, entropy: Entropy) -> KeyStores:
    """Those of the settings; nothing is asked of them yet. Raises KeyStoreMisconfigured without the extra."""
    keys = settings.keys
    match keys:
        case FilesKeys():
            return KeyStores()
        case Pkcs11Keys():
            return _pkcs11(settings, keys, clock, entropy)
        case VaultKeys():
            return _vault(settings, keys, clock)
        case _:
            assert_never(keys)


def _pkcs11(settings: Settings, keys: Pkcs11Keys, clock: Clock, entropy: Entropy) -> KeyStores:
    try:
        from gateway.backends.pkcs11.store import Pkcs11Store
        from gateway.backends.pkcs11.token import Token
        from gateway.backends.pkcs11.unwrapper import Pkcs11Unwrapper
    except ImportError:
        raise _without("pkcs11", "hsm") from None
    pin = SecretSource("PIN", PIN_ENV, PIN_CREDENTIAL, settings.state.keys / PIN_FILE)
    # One for both: a module begins once in a process, and a login is the process's.
    token = Token(settings.source.parent / keys.module, keys.token_label, pin, clock)
    unwrapper = Pkcs11Unwrapper(token, keys.wrapping_key, entropy)
    return KeyStores(unwrapper, {keys.store: Pkcs11Store(token)}, keys.store)


def _vault(settings: Settings, keys: VaultKeys, clock: Clock) -> KeyStores:
    try:
        from gateway.backends.vault.store import VaultStore
        from gateway.backends.vault.transit import Transit, VaultPlace
        from gateway.backends.vault.unwrapper import VaultUnwrapper
    except ImportError:
        raise _without("vault", "vault") from None
    place = VaultPlace(
        address=keys.address,
        mount=keys.mount,
        token=SecretSource(
            "token for the vault", TOKEN_ENV, TOKEN_CREDENTIAL, settings.state.keys / TOKEN_FILE
        ),
        ca=None if keys.ca is None else settings.source.parent / keys.ca,
        namespace=keys.namespace,
    )
    transit = Transit(place, clock)
    return KeyStores(
        VaultUnwrapper(transit, keys.wrapping_key), {keys.store: VaultStore(transit)}, keys.store
    )


def _without(store: str, extra: str) -> KeyStoreMisconfigured:
    return KeyStoreMisconfigured(
        f"keys.store is {store}, and its library is missing: pip install 'issuernetwork[server,{extra}]'"
    )
