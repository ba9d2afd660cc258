"""A worker knows the registry whole before it says so, and relies on what it knows no longer than a lease."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded.consents import ConsentStoreUnavailable, SqliteConsents
from gateway.programs.consent_rows import Consents
from gateway.programs.consents import Party, Setting, lapsed
from gateway.programs.documents import load_policy
from gateway.programs.model import FOREVER_MS, Tier
from gateway.programs.subjects import CaseEvent
from gateway.programs.switches import LEASE_MS
from gateway.programs.table import compile_table
from gateway.records.reasons import Reason
from gateway.runtime.clock import SimClock
from gateway.server import consent_follower
from gateway.server.consent_follower import (
    ConsentFollower,
    RegistryUnreadable,
)
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
    pages: Callable[..., str] = store.changes

    def watched(*arguments: Any) -> str:
        known = sum(table.consents.merchant(f"x-{n}") is not None for n in range(5))
        told.append((follower.epoch(), known))
        return pages(*arguments)

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
        assert table.consents.platform("plat-1") == (
            int(Tier.OPTED_OUT), 0, FOREVER_MS, "platform/plat-1/2026/opted_out"
        )  # fmt: skip
        assert table.consents.merchant("m-1") == (int(Tier.NONE), 0, FOREVER_MS, "merchant/m-1/2026/none")


def test_every_entry_of_a_table_asks_the_rows_that_the_follower_changes(
    store: SqliteConsents, clock: SimClock
) -> None:
    table = following(store, clock).use(compile_table(POLICY))
    entries = [one for issuer in table.issuers.values() for one in issuer.programs + issuer.after]
    enrolled = [one for one in entries if one.enrolment_id]
    assert enrolled
    assert all(one.consents is table.consents for one in enrolled)


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


def test_a_registry_that_cannot_be_taken_in_lets_nothing_be_shared_until_it_can(
    store: SqliteConsents, clock: SimClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = following(store, clock)
    follower.step()
    store.put([setting("m-1", Tier.NONE)], actor="a", reason="r")
    monkeypatch.setattr(store, "changes", lambda *_: "merchant CANARY-m-1")
    with pytest.raises(RegistryUnreadable) as refused:
        follower.step()
    assert "CANARY" not in str(refused.value)
    assert not follower.fresh()
    monkeypatch.undo()
    follower.step()
    assert follower.fresh()


ROWS = {
    "wide": (int(Tier.ENHANCED), 0, 9, "wide/1"),
    "narrow": (int(Tier.BASIC), 0, 9, "narrow/1"),
    "none": (int(Tier.NONE), 0, 9, "none/1"),
    "out": (int(Tier.OPTED_OUT), 0, 9, "out/1"),
}


@pytest.mark.parametrize(
    ("merchant", "platform", "consent_id", "reason"),
    [
        ("", "", "x", Reason.MERCHANT_CONSENT_MISSING),
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
    found, until_ms = lapsed(
        Consents(ROWS, ROWS), merchant_id=merchant, platform_id=platform, consent_id=consent_id, now_ms=8
    )
    assert found is reason
    assert until_ms == (8 if reason else 9)


def test_who_stands_in_no_document_any_more_agrees_to_nothing_and_without_documents_nobody_can_say(
    store: SqliteConsents, clock: SimClock
) -> None:
    follower = following(store, clock)
    follower.step()
    assert follower.lapsed("m-0001", "", "x") is None, "there may be documents that know it"
    said = replace(next(iter(POLICY.merchants.values())), tier=Tier.BASIC, valid_from_ms=0)
    follower.use(compile_table(replace(POLICY, merchants={"m-0001": said})))
    assert follower.lapsed("m-0001", "", said.consent_id) is None
    follower.use(compile_table(replace(POLICY, merchants={"m-0002": said})))
    assert follower.lapsed("m-0001", "", said.consent_id) is Reason.MERCHANT_CONSENT_MISSING


@pytest.mark.parametrize(
    ("merchant", "platform", "now_ms", "until_ms"),
    [
        ((5, 20), None, 4, None),
        ((5, 20), None, 5, 20),
        ((5, 20), None, 19, 20),
        ((5, 20), None, 20, None),
        (None, (5, 20), 20, None),
        ((5, 20), (5, 30), 20, None),
        ((5, 30), (5, 20), 19, 20),
        ((5, 30), (5, 20), 20, None),
        ((5, 30), (10, 40), 9, None),
    ],
)
def test_outside_the_dates_of_either_party_nothing_is_covered(
    merchant: tuple[int, int] | None, platform: tuple[int, int] | None, now_ms: int, until_ms: int | None
) -> None:
    def rows(dates: tuple[int, int] | None) -> dict[str, Any]:
        return {} if dates is None else {"x": (int(Tier.ENHANCED), *dates, "x/1")}

    found = lapsed(
        Consents(rows(merchant), rows(platform)), merchant_id="x", platform_id="x", consent_id="x/1",
        now_ms=now_ms,
    )  # fmt: skip
    assert found == ((None, until_ms) if until_ms else (Reason.MERCHANT_CONSENT_MISSING, now_ms))


def ending(party_id: str, until_ms: int) -> Setting:
    return Setting(Party.MERCHANT, party_id, Tier.ENHANCED, "2026", "form", 0, until_ms)


def test_a_date_that_passes_by_itself_is_carried_out_as_a_change_is(
    store: SqliteConsents, clock: SimClock
) -> None:
    now_ms = clock.wall_ms()
    follower = following(store, clock)
    store.put([ending("m-1", now_ms + 5_000), ending("m-2", now_ms + 60_000)], actor="a", reason="r")
    rounds: list[list[Reason | None]] = []

    def asked() -> None:
        rounds.append([follower.lapsed(f"m-{n}", "", "x") for n in (1, 2)])

    follower.on_change = asked
    follower.step()
    clock.advance_ms(4_999)
    follower.step()
    assert rounds == [[None, None]], "nothing has ended yet"
    clock.advance_ms(1)
    assert not follower.step(), "no row has changed"
    assert rounds[1:] == [[Reason.MERCHANT_CONSENT_MISSING, None]]
    clock.advance_ms(54_999)
    follower.step()
    assert len(rounds) == 2
    clock.advance_ms(1)
    follower.step()
    follower.step()
    assert rounds[2:] == [[Reason.MERCHANT_CONSENT_MISSING] * 2]


def test_an_end_that_could_not_be_carried_out_is_tried_again_and_many_ends_share_a_round(
    store: SqliteConsents, clock: SimClock
) -> None:
    now_ms = clock.wall_ms()
    follower = following(store, clock)
    store.put([ending(f"m-{n}", now_ms + 100 * n) for n in range(1, 31)], actor="a", reason="r")
    rounds: list[int] = []

    def asked() -> None:
        rounds.append(clock.wall_ms() - now_ms)
        if len(rounds) == 2:
            raise ConsentStoreUnavailable("the disk is full")
        for n in range(1, 31):
            follower.lapsed(f"m-{n}", "", "x")

    follower.on_change = asked
    follower.step()
    failed = 0
    for _ in range(100):
        clock.advance_ms(50)
        try:
            follower.step()
        except ConsentStoreUnavailable:
            failed += 1
    assert failed == 1
    assert rounds == [0, 100, 1_100, 2_100, 3_100]


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


def test_who_agrees_to_less_under_the_same_terms_takes_back_what_was_shared_under_more(
    store: SqliteConsents, clock: SimClock
) -> None:
    follower = following(store, clock)
    follower.use(compile_table(POLICY))
    store.put([setting("m-9", Tier.ENHANCED)], actor="a", reason="r")
    follower.step()
    assert follower.lapsed("m-9", "", "merchant/m-9/2026/enhanced") is None
    store.put([setting("m-9", Tier.BASIC)], actor="a", reason="r")
    follower.step()
    assert follower.lapsed("m-9", "", "merchant/m-9/2026/enhanced") is Reason.MERCHANT_CONSENT_MISSING
    assert follower.lapsed("m-9", "", "merchant/m-9/2026/basic") is None
