"""A worker knows the registry whole before it says so, and relies on what it knows no longer than a lease."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded.consents import ConsentStoreUnavailable, SqliteConsents
from gateway.programs.consents import Party, Said, Setting, lapsed
from gateway.programs.documents import load_policy
from gateway.programs.model import Tier
from gateway.programs.subjects import CaseEvent
from gateway.programs.switches import LEASE_MS
from gateway.programs.table import compile_table
from gateway.records.reasons import Reason
from gateway.runtime.clock import SimClock
from gateway.server import consent_follower
from gateway.server.consent_follower import ConsentFollower
from gateway.server.policy import read_policy
from tests.kit.installation import SAMPLE_POLICY


class NoCases:
    """No cardholder ever asked for anything."""

    def events(self, after: int, most: int) -> tuple[list[CaseEvent], int]:
        return [], after


POLICY = load_policy(read_policy(SAMPLE_POLICY), version=1)


def setting(party_id: str, tier: Tier, party: Party = Party.MERCHANT) -> Setting:
    return Setting(party, party_id, tier, "2026", "form", 0)


def following(store: SqliteConsents, clock: SimClock) -> ConsentFollower:
    return ConsentFollower(store, NoCases(), clock)


@pytest.fixture
def clock() -> SimClock:
    return SimClock()


@pytest.fixture
def store(tmp_path: Path, clock: SimClock) -> Any:
    made = SqliteConsents(str(tmp_path / "consents.sqlite3"), clock)
    yield made
    made.close()


def test_a_page_after_the_other_is_taken_before_the_epoch_is_told(
    store: SqliteConsents, clock: SimClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent_follower, "PAGE_ROWS", 2)
    follower = following(store, clock)
    table = follower.use(compile_table(POLICY))
    store.put([setting(f"x-{n}", Tier.BASIC) for n in range(5)], actor="a", reason="r")
    told: list[tuple[int, int]] = []
    pages: Callable[..., Any] = store.changes

    def watched(*arguments: Any) -> tuple[list[Said], tuple[int, int]]:
        told.append((follower.epoch(), sum(name.startswith("x-") for name in table.merchants)))
        found: tuple[list[Said], tuple[int, int]] = pages(*arguments)
        return found

    monkeypatch.setattr(store, "changes", watched)
    assert follower.step()
    assert told == [(0, 0), (0, 2), (0, 4), (0, 5)]
    assert follower.epoch() == 1
    assert not follower.step()


def test_a_new_table_has_what_the_registry_knows_and_so_has_the_one_before_it(
    store: SqliteConsents, clock: SimClock
) -> None:
    follower = following(store, clock)
    before = follower.use(compile_table(POLICY))
    store.put([setting("plat-1", Tier.OPTED_OUT, Party.PLATFORM)], actor="a", reason="r")
    follower.step()
    after = follower.use(compile_table(POLICY))
    store.put([setting("m-1", Tier.NONE)], actor="a", reason="r")
    follower.step()
    for table in (before, after):
        assert table.platforms["plat-1"][0] == int(Tier.OPTED_OUT)
        assert table.merchants["m-1"][0] == int(Tier.NONE)


def test_every_entry_of_a_table_asks_the_rows_that_the_follower_changes(
    store: SqliteConsents, clock: SimClock
) -> None:
    table = following(store, clock).use(compile_table(POLICY))
    entries = [one for issuer in table.issuers.values() for one in issuer.programs + issuer.after]
    enrolled = [one for one in entries if one.enrolment_id]
    assert enrolled
    assert all(one.merchants is table.merchants for one in enrolled)
    assert all(one.platforms is table.platforms for one in enrolled)


def test_an_epoch_is_told_only_when_what_it_changes_is_carried_out(
    store: SqliteConsents, clock: SimClock
) -> None:
    seen: list[int] = []
    follower = following(store, clock)

    def failing() -> None:
        seen.append(follower.epoch())
        if len(seen) == 2:
            raise ConsentStoreUnavailable("the disk is full")

    follower.on_change = failing
    follower.step()
    store.put([setting("m-1", Tier.NONE)], actor="a", reason="r")
    with pytest.raises(ConsentStoreUnavailable):
        follower.step()
    assert follower.epoch() == 0
    follower.step()
    assert (follower.epoch(), seen) == (1, [0, 0, 0])


ROWS = {
    "wide": (int(Tier.ENHANCED), 0, 9, "wide/1"),
    "narrow": (int(Tier.BASIC), 0, 9, "narrow/1"),
    "none": (int(Tier.NONE), 0, 9, "none/1"),
    "out": (int(Tier.OPTED_OUT), 0, 9, "out/1"),
}


@pytest.mark.parametrize(
    ("merchant", "platform", "consent_id", "reason"),
    [
        ("", "", "x", None),
        ("wide", "", "wide/1", None),
        ("wide", "", "wide/0", None),
        ("narrow", "", "narrow/1", None),
        ("narrow", "", "narrow/0", Reason.MERCHANT_CONSENT_MISSING),
        ("none", "", "none/1", Reason.MERCHANT_CONSENT_MISSING),
        ("out", "wide", "out/1", Reason.MERCHANT_OPTED_OUT),
        ("wide", "none", "wide/1", Reason.MERCHANT_CONSENT_MISSING),
        ("", "out", "wide/1", Reason.MERCHANT_OPTED_OUT),
        ("wide", "narrow", "wide/1", Reason.MERCHANT_CONSENT_MISSING),
        ("narrow", "wide", "narrow/1", None),
    ],
)
def test_what_was_shared_under_a_consent_leaves_while_the_stricter_word_still_covers_it(
    merchant: str, platform: str, consent_id: str, reason: Reason | None
) -> None:
    found = lapsed(ROWS, ROWS, merchant_id=merchant, platform_id=platform, consent_id=consent_id)
    assert found is reason


def test_a_registry_that_does_not_answer_is_not_relied_on_longer_than_a_lease(
    store: SqliteConsents, clock: SimClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = following(store, clock)
    assert not follower.fresh(), "before the first look nothing is known"
    follower.step()
    clock.advance_ms(LEASE_MS - 1)
    assert follower.fresh()

    def down() -> int:
        raise ConsentStoreUnavailable("down")

    monkeypatch.setattr(store, "epoch", down)
    with pytest.raises(ConsentStoreUnavailable):
        follower.step()
    clock.advance_ms(1)
    assert not follower.fresh()
    monkeypatch.undo()
    follower.step()
    assert follower.fresh()
