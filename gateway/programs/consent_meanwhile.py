"""What a party said itself while an import was staged, against what the import says of it. Pure.

A file knows nothing of what was said after it was written. Where both say something, the stricter one holds.
"""

from gateway.programs.consents import Setting
from gateway.programs.model import FOREVER_MS, Tier


def stricter(said: Setting, imported: Setting, now_ms: int) -> Setting | None:
    """Of two words of one party the one that covers nothing which the other does not; `said` where both do.

    None where each covers something that the other does not: a wider tier for fewer days.
    """
    if _within(said, imported, now_ms):
        return said
    return imported if _within(imported, said, now_ms) else None


def _within(one: Setting, other: Setting, now_ms: int) -> bool:
    tier, from_ms, until_ms = _covers(one, now_ms)
    of_tier, of_from_ms, of_until_ms = _covers(other, now_ms)
    return tier <= of_tier and of_from_ms <= from_ms and until_ms <= of_until_ms


def _covers(one: Setting, now_ms: int) -> tuple[Tier, int, int]:
    """From now on: days that are over count for nothing, and so do the days of who shares nothing."""
    if one.tier <= Tier.NONE or one.valid_until_ms <= now_ms:
        return min(one.tier, Tier.NONE), FOREVER_MS, 0
    return one.tier, max(one.valid_from_ms, now_ms), one.valid_until_ms
