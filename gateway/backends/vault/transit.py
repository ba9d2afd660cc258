"""Calls of Vault's Transit engine: bounded in time and tries, on a connection of each thread's own.

Never run against a real Vault: its documented requests and replies are what tests hold it to.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import hvac
import hvac.exceptions
import requests

from gateway.backends.secret_source import KeyStoreMisconfigured, SecretSource
from gateway.runtime.clock import MS, Clock
from gateway.sealing.keys import KeyStoreFault

CONNECT_TIMEOUT_S: Final = 0.5
"""Within a site: a vault further away is no place for what signs each share."""

READ_TIMEOUT_S: Final = 1.0
"""A signature takes milliseconds. What fan-out plans, and a revocation behind it, waits so long for a try."""

TRIES_MAX: Final = 3
"""A standby takes over within a second; after that what is to be signed waits in its journal."""

PAUSES_S: Final = (0.05, 0.2)
"""Before the second and the third try."""

REST_MS: Final = 1_000
"""After a call that failed at every try the next ones fail at once: fan-out asks five times a second."""

_AGAIN: Final = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    hvac.exceptions.RateLimitExceeded,
    hvac.exceptions.InternalServerError,
    hvac.exceptions.BadGateway,
    hvac.exceptions.VaultDown,
    hvac.exceptions.VaultNotInitialized,
)
"""What may pass by itself: the network, and statuses 429, 500, 501, 502 and 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultPlace:
    """Where the engine is, and what proves us to it."""

    address: str
    mount: str
    token: SecretSource = field(repr=False)
    ca: Path | None = None
    """PEM: who signed the vault's certificate; None for those that the system trusts."""
    namespace: str = ""


class NoSuchVaultKey(KeyStoreFault):
    """The engine has no key of that name."""


class Transit:
    """The engine at one mount. From any thread."""

    def __init__(self, place: VaultPlace, clock: Clock, wait: Callable[[float], None] = time.sleep) -> None:
        self._place = place
        self._clock = clock
        self._wait = wait
        self._local = threading.local()
        self._rest: tuple[int, str] = (0, "")

    def __repr__(self) -> str:
        return f"Transit(address={self._place.address!r}, mount={self._place.mount!r})"

    def key(self, name: str) -> dict[str, Any]:
        """What the engine tells of a key. Raises NoSuchVaultKey, KeyStoreFault."""
        mount = self._place.mount
        return self._data(lambda client: client.secrets.transit.read_key(name, mount_point=mount), "read")

    def create(self, name: str, kind: str) -> None:
        """Makes a key that can be neither exported nor backed up in clear."""
        mount = self._place.mount
        self._call(
            lambda client: client.secrets.transit.create_key(
                name, key_type=kind, exportable=False, allow_plaintext_backup=False, mount_point=mount
            ),
            "create",
        )

    def sign(self, name: str, data: str, members: Mapping[str, object]) -> str:
        """The signature as the engine writes it. `members`: those of the documented call beside its input."""
        mount = self._place.mount
        return self._member(
            lambda client: client.secrets.transit.sign_data(
                name, hash_input=data, mount_point=mount, **members
            ),
            "sign",
            "signature",
        )

    def encrypt(self, name: str, plaintext: str) -> str:
        mount = self._place.mount
        return self._member(
            lambda client: client.secrets.transit.encrypt_data(name, plaintext=plaintext, mount_point=mount),
            "encrypt",
            "ciphertext",
        )

    def decrypt(self, name: str, ciphertext: str) -> str:
        mount = self._place.mount
        return self._member(
            lambda client: client.secrets.transit.decrypt_data(
                name, ciphertext=ciphertext, mount_point=mount
            ),
            "decrypt",
            "plaintext",
        )

    def destroy(self, name: str) -> None:
        """Ends a key with all its versions. Raises NoSuchVaultKey."""
        mount = self._place.mount
        self.key(name)
        self._call(
            lambda client: client.secrets.transit.update_key_configuration(
                name, deletion_allowed=True, mount_point=mount
            ),
            "update",
        )
        self._call(lambda client: client.secrets.transit.delete_key(name, mount_point=mount), "delete")

    def _member(self, call: Callable[[Any], Any], act: str, member: str) -> str:
        found = self._data(call, act).get(member)
        if not isinstance(found, str):
            raise KeyStoreFault(
                "the vault's answer is not one of its Transit engine: check address and mount"
            )
        return found

    def _data(self, call: Callable[[Any], Any], act: str) -> dict[str, Any]:
        answer = self._call(call, act)
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            raise KeyStoreFault(
                "the vault's answer is not one of its Transit engine: check address and mount"
            )
        return data

    def _call(self, call: Callable[[Any], Any], act: str) -> Any:
        until_ns, text = self._rest
        if self._clock.monotonic_ns() < until_ns:
            raise KeyStoreFault(text)
        for pause_s in (*PAUSES_S[: TRIES_MAX - 1], None):
            try:
                return self._once(call, act)
            except _AGAIN as fault:
                if pause_s is None:
                    text = f"the vault did not {act}: {type(fault).__name__}; it is tried again"
                    self._rest = (self._clock.monotonic_ns() + REST_MS * MS, text)
                    raise KeyStoreFault(text) from None
                self._wait(pause_s)
            except requests.exceptions.RequestException as fault:
                raise KeyStoreMisconfigured(
                    f"the vault cannot be asked: {type(fault).__name__}; check keys.address and keys.ca"
                ) from None
        raise AssertionError("the last try returns or raises")

    def _once(self, call: Callable[[Any], Any], act: str) -> Any:
        client = self._client()
        for renewed in (False, True):
            try:
                return _answer(call(client))
            except _AGAIN:
                raise
            except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized):
                # Whoever renews the token may have written another one since.
                token = self._place.token.read()
                if renewed or token == client.token:
                    raise KeyStoreFault(
                        f"the vault refuses our token to {act} at mount {self._place.mount}: it ran out, or"
                        " its policy lacks it"
                    ) from None
                client.token = token
            except hvac.exceptions.InvalidPath:
                raise NoSuchVaultKey(f"the vault has no such key at mount {self._place.mount}") from None
            except hvac.exceptions.VaultError as fault:
                raise KeyStoreFault(
                    f"the vault did not {act}: {type(fault).__name__}; the key is missing or of another type"
                ) from None
        raise AssertionError("the second try returns or raises")

    def _client(self) -> Any:
        client = getattr(self._local, "client", None)
        if client is None:
            place = self._place
            session = requests.Session()
            # Neither a proxy nor a .netrc of the environment: the token goes to the settings' address alone.
            session.trust_env = False
            session.verify = True if place.ca is None else str(place.ca)
            client = hvac.Client(
                url=place.address,
                token=place.token.read(),
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                verify=session.verify,
                session=session,
                # A redirect of a standby would carry the token elsewhere.
                allow_redirects=False,
                namespace=place.namespace or None,
            )
            self._local.client = client
        return client


def _answer(found: Any) -> Any:
    """What a call gave: a document, or a response without one. Raises KeyStoreFault for a redirect."""
    if isinstance(found, requests.Response) and not 200 <= found.status_code < 300:
        raise KeyStoreFault(
            "the vault sends us elsewhere: name its active node or a load balancer in keys.address"
        )
    return found
