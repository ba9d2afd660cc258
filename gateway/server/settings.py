"""Settings of the processes: one YAML file, checked whole before anything starts."""

import errno
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from gateway.records.errors import GatewayError
from gateway.server.providers.settings import ProvidersSettings
from gateway.server.state import StateDir
from gateway.server.tls import Tls

_PORT = r"(\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])"
HostPort = Field(pattern=rf"^[^\s:]+:{_PORT}$", description="host:port; port 0 takes a free one")


class SettingsInvalid(GatewayError):
    """The settings file cannot be used; the text names each field at fault."""

    code = "settings_invalid"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GatewaySettings(_Strict):
    """`ein gateway`."""

    listen: str = HostPort
    metrics: str = HostPort
    front: Literal["auto", "native", "grpcio"] = "auto"

    velocity_max_keys: int = Field(default=1_000_000, ge=1_000, le=67_000_000)
    """180 bytes each once there are so many: 180 MB. The most are what the engine can number."""

    hot_loop_core: int | None = Field(default=None, ge=0)
    """Where the hot loop runs, and no other thread of the process does."""


class FeedsSettings(_Strict):
    """`ein feeds`."""

    listen_grpc: str = HostPort
    listen_http: str = HostPort
    metrics: str = HostPort


class MeasureSettings(_Strict):
    """`ein measure`."""

    listen_grpc: str = HostPort
    metrics: str = HostPort


class ScoreSettings(_Strict):
    """Who assesses payments. Paths are relative to the file."""

    model: Literal["points", "simulated"] | Path = "points"
    """The points, the model that we ship (it has learnt from simulated payments alone), or a manifest."""

    shadow: Path | None = None
    """Manifest of a model whose scores are compared and never shared."""

    shadow_rows: int = Field(default=1_000, ge=0, le=100_000)
    """Sampled payments that a model which is to replace another scores beside it first; 0: none."""

    shadow_agreement: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of these that both have to judge alike, or the one that serves goes on."""

    library: Path | None = None
    """LightGBM's C library, where it is not that of the installed package."""

    @model_validator(mode="after")
    def _rows_to_agree_on(self) -> "ScoreSettings":
        if self.shadow_agreement and not self.shadow_rows:
            raise ValueError("shadow_agreement needs shadow_rows above 0: it is a share of them")
        return self


RETIRE_MARGIN_S_MIN: Final = 660
"""An access token's life, and how far clocks may differ (oauth/access_tokens.py). What fan-out has signed and
not committed yet, which no look finds, is long in the store by then.
"""


class KeysSettings(_Strict):
    """Our own keys, wherever they are."""

    jwks_max_age_s: int = Field(default=60, ge=1, le=86_400)
    """How long receivers may act on the JWK Set that they have: a key is published for so long before use."""

    retire_margin_s: int = Field(default=86_400, ge=RETIRE_MARGIN_S_MIN, le=31_536_000)
    """A day: a receiver that verifies what it has written down does so by then."""


class TlsSettings(_Strict):
    """TLS of every port. Paths are relative to the file."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


WrappingKey = Field(
    default="ein-file-key",
    pattern=r"^[A-Za-z0-9_-]{1,64}$",
    description="the key there that the file of secrets is wrapped by; made where there is none",
)


class FilesKeys(KeysSettings):
    """Our own keys in an encrypted file, which a passphrase opens."""

    store: Literal["files"] = "files"


class Pkcs11Keys(KeysSettings):
    """Our own keys in a module. The PIN is no setting: see `gateway.server.key_stores`."""

    store: Literal["pkcs11"]
    module: Path
    # CK_TOKEN_INFO has 32 octets for it (PKCS #11 v2.40, 3.2).
    token_label: str = Field(min_length=1, max_length=32)
    wrapping_key: str = WrappingKey


class VaultKeys(KeysSettings):
    """Our own keys in Vault's Transit engine. The token is no setting: see `gateway.server.key_stores`."""

    store: Literal["vault"]
    # The token goes there with each call: in clear to this machine alone.
    address: str = Field(pattern=r"^(https://[^\s/]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?)/?$")
    mount: str = Field(default="transit", pattern=r"^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64})*$")
    wrapping_key: str = WrappingKey
    ca: Path | None = None
    namespace: str = Field(default="", pattern=r"^[A-Za-z0-9_/-]{0,128}$")


def _with_store(given: object) -> object:
    """Keys are in files unless something else is said."""
    return {"store": "files", **given} if isinstance(given, dict) else given


class Settings(_Strict):
    """Everything that the processes need besides policy and keys. Paths are relative to the file."""

    state_dir: Path
    issuer_url: str = Field(pattern=r"^https?://\S+$", description="`iss` of what we sign: our transmitter")
    gateway: GatewaySettings
    feeds: FeedsSettings
    measure: MeasureSettings
    tls: TlsSettings | None = None
    score: ScoreSettings = ScoreSettings()
    keys: Annotated[
        FilesKeys | Pkcs11Keys | VaultKeys, Field(discriminator="store"), BeforeValidator(_with_store)
    ] = FilesKeys()
    providers: ProvidersSettings = ProvidersSettings()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    source: Path = Field(default=Path("ein.yaml"), exclude=True)

    @field_validator("source")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.absolute()

    @property
    def state(self) -> StateDir:
        return StateDir((self.source.parent / self.state_dir).resolve())


def open_tls(settings: Settings) -> Tls | None:
    """What the ports speak TLS with; None where they speak clear text. Raises TlsInvalid."""
    if settings.tls is None:
        return None
    folder, named = settings.source.parent, settings.tls
    client_ca = None if named.client_ca is None else folder / named.client_ca
    return Tls(folder / named.certificate, folder / named.key, client_ca).check()


def load_settings(path: Path) -> Settings:
    """Reads and checks `path`. Raises SettingsInvalid with all faults at once, never with a value."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsInvalid(f"{path}: no such file; name one with --config") from None
    except OSError as fault:
        name = errno.errorcode.get(fault.errno or 0, "")
        raise SettingsInvalid(f"{path}: cannot be read ({name}); check its owner and mode") from None
    # The YAML reader also lets out what its constructors raise: a day that does not exist, a deep nesting.
    except (yaml.YAMLError, ValueError, RecursionError):
        raise SettingsInvalid(f"{path}: not readable as YAML") from None
    if not isinstance(document, dict):
        raise SettingsInvalid(f"{path}: expected a mapping of settings")
    try:
        return Settings.model_validate({**document, "source": path})
    except ValidationError as refused:
        faults = [
            f"{path}: {'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
            for error in refused.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise SettingsInvalid("\n".join(faults)) from None
