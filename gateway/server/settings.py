"""Settings of the processes: one YAML file, checked whole before anything starts."""

import errno
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.records.errors import GatewayError
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


class FeedsSettings(_Strict):
    """`ein feeds`."""

    listen_grpc: str = HostPort
    listen_http: str = HostPort
    metrics: str = HostPort


class MeasureSettings(_Strict):
    """`ein measure`."""

    listen_grpc: str = HostPort
    metrics: str = HostPort


class TlsSettings(_Strict):
    """TLS of every port. Paths are relative to the file."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class Settings(_Strict):
    """Everything that the processes need besides policy and keys. Paths are relative to the file."""

    state_dir: Path
    issuer_url: str = Field(pattern=r"^https?://\S+$", description="`iss` of what we sign: our transmitter")
    gateway: GatewaySettings
    feeds: FeedsSettings
    measure: MeasureSettings
    tls: TlsSettings | None = None
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
