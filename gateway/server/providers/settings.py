"""Settings of the providers: which are on, how long each may take, what they look things up in."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from enrichment.provider import BUDGET_US

OTHERS_MAX: Final = 8
"""Providers of third parties: each has a thread, and each may keep a payment waiting."""

BESIDE_BUDGET_MS: Final = 5
"""Of a provider of a third party: callers set deadlines of 50 to 200 ms, and a batch takes 20."""

BESIDE_BUDGET_MS_MAX: Final = 25
"""More would leave callers with a deadline of 50 ms without an answer."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProviderSettings(_Strict):
    """A provider of ours."""

    enabled: bool = True
    budget_us: int = Field(default=BUDGET_US, ge=100, le=20_000)


class VelocitySettings(_Strict):
    """The velocity store, which is always asked."""

    budget_us: int = Field(default=BUDGET_US, ge=100, le=20_000)


class LocalLists(_Strict):
    """Files of networks, one a line; `#` begins a comment. What is listed has this `ip_anonymised`."""

    none: Path | None = None
    vpn: Path | None = None
    proxy: Path | None = None
    tor: Path | None = None
    hosting: Path | None = None


class NetworkSettings(ProviderSettings):
    """Databases in MaxMind's format. With none of them, and no list, the provider is not asked."""

    country: Path | None = None
    asn: Path | None = None
    anonymity: Path | None = None
    lists: LocalLists = LocalLists()


class MerchantSettings(ProviderSettings):
    """`rates`: a CSV or Parquet file, see docs/reference/providers.md."""

    rates: Path | None = None


class IinSettings(ProviderSettings):
    """`table`: a CSV or Parquet file, see docs/reference/providers.md. Else the provider is not asked."""

    table: Path | None = None


class OtherSettings(_Strict):
    """A provider of a third party: the entry point of this name in the group `issuernetwork.providers`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    budget_ms: int = Field(default=BESIDE_BUDGET_MS, ge=1, le=BESIDE_BUDGET_MS_MAX)
    may_see: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")], ...] = ()
    options: dict[str, str | int | float | bool] = Field(default_factory=dict, max_length=32)


class ProvidersSettings(_Strict):
    """What is asked about a payment."""

    velocity: VelocitySettings = VelocitySettings()
    network: NetworkSettings = NetworkSettings()
    contact: ProviderSettings = ProviderSettings()
    device: ProviderSettings = ProviderSettings()
    amounts: ProviderSettings = ProviderSettings()
    authentication: ProviderSettings = ProviderSettings()
    merchant: MerchantSettings = MerchantSettings()
    iin: IinSettings = IinSettings()
    card_testing: ProviderSettings = ProviderSettings()
    others: tuple[OtherSettings, ...] = Field(default=(), max_length=OTHERS_MAX)
