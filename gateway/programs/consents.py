"""What merchants and platforms agreed to, as facts that change while the product runs. Pure.

What the registry knows of a party stands in place of what the documents of a policy say of it. The effective
tier is the stricter of merchant and platform, which the release table holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from gateway.programs.consent_packs import Pack
from gateway.programs.consent_rows import LAST_ROW, MERCHANT, PLATFORM, Consents, Place, Registered
from gateway.programs.model import FOREVER_MS, Tier
from gateway.programs.switches import MAX_EPOCH
from gateway.records.errors import GatewayError
from gateway.records.reasons import Reason

ID_CHARACTERS_MAX: Final = 64
"""As requests have merchants' and platforms' ids."""

TEXT_CHARACTERS_MAX: Final = 256
"""Of a version of terms, and of a reference to evidence."""

SETTINGS_A_CALL_MAX: Final = 1_000
"""In one transaction: some milliseconds, so that no kill waits for it. More go by import."""


SAID_A_PAGE_MAX: Final = 501
"""Rows that are read of a party at once: a full page of an answer, and one that says whether more follow."""

NEWEST_PLACE: Final[Place] = (MAX_EPOCH, LAST_ROW)
"""Behind all that was ever said."""


class ConsentRefused(GatewayError):
    """The setting cannot be taken as it is. Names the member and how to mend it, never its value."""

    code = "invalid_argument"


class Party(StrEnum):
    """Whose word it is."""

    MERCHANT = MERCHANT
    PLATFORM = PLATFORM


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


@dataclass(frozen=True, slots=True)
class Said:
    """A setting in force, with who wrote it down, why and when. `epoch` orders all of them."""

    setting: Setting
    epoch: int
    actor: str
    reason: str
    at_ms: int
    row_number: int = 0
    """Orders what was said in one act."""

    @property
    def place(self) -> Place:
        return self.epoch, self.row_number


@dataclass(frozen=True, slots=True)
class Imported:
    """A finished import: from which epoch on it holds, and how many parties kept what they said meanwhile."""

    epoch: int
    parties_kept: int


def check_text(name: str, text: str, longest: int) -> None:
    """Raises ConsentRefused, which names the member."""
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise ConsentRefused(f"{name}: takes 1 to {longest} printable characters")


def check_setting(setting: Setting) -> Setting:
    """The setting itself. Raises ConsentRefused."""
    check_text(f"{setting.party}_id", setting.party_id, ID_CHARACTERS_MAX)
    check_text("terms_version", setting.terms_version, TEXT_CHARACTERS_MAX)
    check_text("evidence", setting.evidence, TEXT_CHARACTERS_MAX)
    if not 0 <= setting.valid_from_ms < setting.valid_until_ms <= FOREVER_MS:
        raise ConsentRefused("valid_until: it is not after valid_from; correct one of them")
    if setting.tier is Tier.OPTED_OUT and setting.valid_until_ms != FOREVER_MS:
        raise ConsentRefused("valid_until: an opt-out does not run out by itself; leave it empty")
    return setting


def lapsed(
    known: Consents | Registered, *, merchant_id: str, platform_id: str, consent_id: str, now_ms: int
) -> tuple[Reason | None, int]:
    """Why what was shared under a consent may not leave any more, or None and until when it may.

    Under another consent than the one that covered it, only the widest tier surely covers it too. Outside its
    dates a word covers nothing, as in a release. Who is known to neither registry nor documents agrees to
    nothing; where there are no documents (`Registered`), it may be they that know it: it leaves as decided.
    """
    merchant, platform = known.merchant(merchant_id), known.platform(platform_id)
    said = [row for row in (merchant, platform) if row is not None]
    if not said:
        if isinstance(known, Consents):
            return Reason.MERCHANT_CONSENT_MISSING, now_ms
        return None, FOREVER_MS
    # The merchant's where both say the same, as a release has it.
    tier, _, _, current_id = min(said, key=lambda row: row[0])
    if tier == Tier.OPTED_OUT:
        return Reason.MERCHANT_OPTED_OUT, now_ms
    if tier == Tier.NONE or (current_id != consent_id and tier != Tier.ENHANCED):
        return Reason.MERCHANT_CONSENT_MISSING, now_ms
    until_ms = min(row[2] for row in said)
    if now_ms >= until_ms or any(now_ms < row[1] for row in said):
        return Reason.MERCHANT_CONSENT_MISSING, now_ms
    return None, until_ms


class ConsentStore(Protocol):
    """The registry. Its epoch rises with each act. Raises ConsentRefused, ConsentStoreUnavailable."""

    def epoch(self) -> int: ...

    def put(self, settings: Sequence[Setting], *, actor: str, reason: str) -> int:
        """Checked settings, all or none, in force with the epoch that is returned."""
        ...

    def said(
        self, party: Party, party_id: str, *, most: int = SAID_A_PAGE_MAX, before: Place = NEWEST_PLACE
    ) -> list[Said]:
        """What a party said before a place, the newest first: 1 to SAID_A_PAGE_MAX rows, else ValueError."""
        ...

    def changes(self, after: Place, most: int, before: int | None = None) -> str:
        """A page for `Registered.take`: what was said behind a place and before an epoch, in order.

        Empty where there is nothing more; (0, 0) is before all. Who reads it goes on running meanwhile.
        """
        ...

    def open_import(self) -> int | None:
        """The newest that is neither finished nor abandoned, nor open for so long that it never will be."""
        ...

    def import_epoch(self, import_id: int) -> int | None:
        """Of a finished one."""
        ...

    def import_after(self, epoch: int, before: int) -> tuple[int, int] | None:
        """The next one with packs that came into force between two epochs: its number and its epoch."""
        ...

    def staged(self, import_id: int, after: int, most: int) -> str:
        """A page for `Registered.stage`: what is staged of an import behind a row, as of epoch 0."""
        ...

    def start_import(self, *, actor: str, reason: str) -> int:
        """An import that is to be filled; nothing of it is in force."""
        ...

    def stage(self, import_id: int, settings: Sequence[Setting]) -> None:
        """Adds settings to an import that is open."""
        ...

    def stage_pack(self, import_id: int, pack: Pack) -> None:
        """Adds checked rows to an import that is open. Looked through are packs of parties of like hashes."""
        ...

    def finish_import(self, import_id: int) -> Imported:
        """Everything staged is in force at once.

        What a party put since `start_import` stays where it is stricter: it is the last row of the import of
        it. ConsentRefused, and nothing holds, where nobody can tell which is stricter.
        """
        ...

    def abandon_import(self, import_id: int) -> None:
        """Nothing of it ever was."""
        ...
