"""What merchants and platforms agreed to, as facts that change while the product runs. Pure.

What the registry knows of a party stands in place of what the documents of a policy say of it. The effective
tier is the stricter of merchant and platform, which the release table holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from gateway.programs.model import FOREVER_MS, Tier
from gateway.programs.release import Consent
from gateway.records.errors import GatewayError
from gateway.records.reasons import Reason

ID_CHARACTERS_MAX: Final = 64
"""As requests have merchants' and platforms' ids."""

TEXT_CHARACTERS_MAX: Final = 256
"""Of a version of terms, and of a reference to evidence."""

SETTINGS_A_CALL_MAX: Final = 1_000
"""In one transaction: some milliseconds, so that no kill waits for it. More go by import."""


class ConsentRefused(GatewayError):
    """The setting cannot be taken as it is. Names the member and how to mend it, never its value."""

    code = "invalid_argument"


class Party(StrEnum):
    """Whose word it is."""

    MERCHANT = "merchant"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Setting:
    """What one party said. Valid until is exclusive; times are UTC epoch milliseconds."""

    party: Party
    party_id: str
    tier: Tier
    terms_version: str
    evidence: str
    valid_from_ms: int
    valid_until_ms: int = FOREVER_MS

    @property
    def consent(self) -> Consent:
        """As a release asks for it."""
        consent_id = f"{self.party}/{self.party_id}/{self.terms_version}"
        return int(self.tier), self.valid_from_ms, self.valid_until_ms, consent_id


@dataclass(frozen=True, slots=True)
class Said:
    """A setting in force, with who wrote it down, why and when. `epoch` orders all of them."""

    setting: Setting
    epoch: int
    actor: str
    reason: str
    at_ms: int


def check_setting(setting: Setting) -> Setting:
    """The setting itself. Raises ConsentRefused."""
    for name, text, longest in (
        (f"{setting.party}_id", setting.party_id, ID_CHARACTERS_MAX),
        ("terms_version", setting.terms_version, TEXT_CHARACTERS_MAX),
        ("evidence", setting.evidence, TEXT_CHARACTERS_MAX),
    ):
        if not text.strip() or len(text) > longest or not text.isprintable():
            raise ConsentRefused(f"{name}: takes 1 to {longest} printable characters")
    if not 0 <= setting.valid_from_ms < setting.valid_until_ms <= FOREVER_MS:
        raise ConsentRefused("valid_until: it is not after valid_from; correct one of them")
    if setting.tier is Tier.OPTED_OUT and setting.valid_until_ms != FOREVER_MS:
        raise ConsentRefused("valid_until: an opt-out does not run out by itself; leave it empty")
    return setting


@dataclass(slots=True)
class Consents:
    """What a worker knows of the registry: rows by party, as of an epoch. Changed by one thread, in place."""

    epoch: int = 0
    merchants: dict[str, Consent] = field(default_factory=dict)
    platforms: dict[str, Consent] = field(default_factory=dict)

    def take(self, said: Sequence[Said]) -> None:
        """Later ones stand in place of earlier ones. The caller sets the epoch, when all are taken."""
        for one in said:
            setting = one.setting
            rows = self.merchants if setting.party is Party.MERCHANT else self.platforms
            rows[setting.party_id] = setting.consent


def lapsed(
    merchants: Mapping[str, Consent],
    platforms: Mapping[str, Consent],
    *,
    merchant_id: str,
    platform_id: str,
    consent_id: str,
) -> Reason | None:
    """Why what was shared under a consent may not leave any more; None where it may.

    Under another consent than the one that covered it, only the widest tier surely covers it too. Where
    nothing is known of either party it leaves as it was decided.
    """
    merchant, platform = merchants.get(merchant_id), platforms.get(platform_id)
    known = [row for row in (merchant, platform) if row is not None]
    if not known:
        return None
    # The merchant's where both say the same, as a release has it.
    tier, _, _, current_id = min(known, key=lambda row: row[0])
    if tier == Tier.OPTED_OUT:
        return Reason.MERCHANT_OPTED_OUT
    if tier == Tier.NONE or (current_id != consent_id and tier != Tier.ENHANCED):
        return Reason.MERCHANT_CONSENT_MISSING
    return None


class ConsentStore(Protocol):
    """The registry. Its epoch rises with each act. Raises ConsentRefused, ConsentStoreUnavailable."""

    def epoch(self) -> int: ...

    def put(self, settings: Sequence[Setting], *, actor: str, reason: str) -> int:
        """Checked settings, all or none, in force with the epoch that is returned."""
        ...

    def said(self, party: Party, party_id: str) -> list[Said]:
        """All that the party ever said, the newest last."""
        ...

    def changes(self, after: tuple[int, int], most: int) -> tuple[list[Said], tuple[int, int]]:
        """What was said behind a place, in order, and the place of its last. (0, 0) is before all."""
        ...

    def start_import(self, *, actor: str, reason: str) -> int:
        """An import that is to be filled; nothing of it is in force."""
        ...

    def stage(self, import_id: int, settings: Sequence[Setting]) -> None: ...

    def finish_import(self, import_id: int) -> int:
        """Everything staged is in force at once; its epoch."""
        ...

    def abandon_import(self, import_id: int) -> None:
        """Nothing of it ever was."""
        ...
