"""An import is read while it is staged, and holds whole with the step that sees its end."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.backends.embedded.consents import ConsentStoreUnavailable, SqliteConsents
from gateway.programs.model import Tier
from gateway.records.reasons import Reason
from gateway.runtime.clock import SimClock
from gateway.server import consent_follower, consent_read_ahead
from gateway.server.consent_follower import (
    AHEAD_INTERVAL_S,
    FOLLOW_INTERVAL_S,
    ConsentFollower,
)
from tests.unit.server.test_consent_follower import (
    clock,
    following,
    setting,
    store,
)

__all__ = ["clock", "store"]


def staged(store: SqliteConsents, count: int, tier: Tier) -> int:
    import_id = store.start_import(actor="a", reason="r")
    store.stage(import_id, [setting(f"m-{n}", tier) for n in range(count)])
    return import_id


def tiers(follower: ConsentFollower, count: int) -> set[int | None]:
    """What is known of so many merchants."""
    found = [follower._registered.merchant(f"m-{n}") for n in range(count)]
    return {None if row is None else row[0] for row in found}


def test_an_import_is_read_while_it_is_staged_and_holds_whole_with_the_step_that_sees_its_end(
    store: SqliteConsents, clock: SimClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = following(store, clock)
    store.put([setting("m-1", Tier.ENHANCED)], actor="a", reason="r")
    follower.step()
    import_id = staged(store, 900, Tier.NONE)
    for _ in range(5):
        assert not follower.step(), "nothing of it is in force"
    assert tiers(follower, 900) == {int(Tier.ENHANCED), None}
    store.stage(import_id, [setting("m-900", Tier.NONE)])
    before = store.put([setting("m-2", Tier.ENHANCED)], actor="a", reason="r")
    store.finish_import(import_id)
    after = store.put([setting("m-3", Tier.ENHANCED)], actor="a", reason="r")
    read: list[str] = []
    pages: Callable[..., str] = store.staged

    def watched(*arguments: Any) -> str:
        read.append(pages(*arguments))
        return read[-1]

    monkeypatch.setattr(store, "staged", watched)
    assert follower.step()
    assert [page.count("m-") for page in read] == [1, 0], "all else had been read before"
    assert follower.epoch() == after == before + 2
    # What was said before the import is finished gives way to it, and what was said after it stands.
    assert follower.lapsed("m-2", "", "x") is Reason.MERCHANT_CONSENT_MISSING
    assert follower.lapsed("m-3", "", "x") is None
    for _ in range(3):
        assert not follower.step()
        assert tiers(follower, 901) == {int(Tier.NONE), int(Tier.ENHANCED)}


@pytest.mark.parametrize("left", ["abandoned", "open"])
def test_an_import_that_ends_otherwise_leaves_nothing_and_the_next_one_is_read(
    store: SqliteConsents, clock: SimClock, left: str
) -> None:
    follower = following(store, clock)
    follower.step()
    first = staged(store, 5, Tier.ENHANCED)
    follower.step()
    if left == "abandoned":
        store.abandon_import(first)
        follower.step()
    second = staged(store, 3, Tier.NONE)
    for _ in range(3):
        follower.step()
    store.finish_import(second)
    follower.step()
    assert tiers(follower, 3) == {int(Tier.NONE)}
    assert follower._registered.merchant("m-4") is None
    if left == "open":
        store.finish_import(first)
        follower.step()
        assert tiers(follower, 5) == {int(Tier.ENHANCED)}


def test_a_store_that_fails_while_an_import_is_read_is_asked_no_more_often_than_any_other(
    store: SqliteConsents, clock: SimClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = following(store, clock)
    follower.step()
    staged(store, 900, Tier.ENHANCED)
    waited_s: list[float] = []

    class Few:
        """Lets three steps be made; the store is down from the second on."""

        def wait(self, timeout_s: float) -> bool:
            waited_s.append(timeout_s)
            if len(waited_s) == 2:
                monkeypatch.setattr(store, "staged", down)
            return len(waited_s) > 3

    def down(*_: object) -> str:
        raise ConsentStoreUnavailable("down")

    stop: Any = Few()
    follower.follow(stop)
    assert waited_s == [FOLLOW_INTERVAL_S, AHEAD_INTERVAL_S, FOLLOW_INTERVAL_S, FOLLOW_INTERVAL_S]


def test_an_import_that_is_over_between_two_looks_is_taken_in_its_order(
    store: SqliteConsents, clock: SimClock
) -> None:
    follower = following(store, clock)
    follower.step()
    store.finish_import(staged(store, 5, Tier.ENHANCED))
    store.put([setting("m-1", Tier.NONE)], actor="a", reason="r")
    store.finish_import(store.start_import(actor="a", reason="nothing in it"))
    follower.step()
    assert tiers(follower, 2) == {int(Tier.ENHANCED), int(Tier.NONE)}
    assert follower.epoch() == 3


@pytest.mark.parametrize("read_ahead", [True, False])
def test_there_is_no_moment_at_which_an_import_gives_back_what_was_revoked_meanwhile(
    store: SqliteConsents, clock: SimClock, monkeypatch: pytest.MonkeyPatch, read_ahead: bool
) -> None:
    monkeypatch.setattr(consent_follower, "PAGE_ROWS", 2)
    monkeypatch.setattr(consent_read_ahead, "PAGE_ROWS", 2)
    follower = following(store, clock)
    store.put([setting("m-1", Tier.ENHANCED)], actor="a", reason="r")
    follower.step()
    import_id = staged(store, 9, Tier.ENHANCED)
    for _ in range(6 if read_ahead else 0):
        follower.step()
    store.put([setting("m-1", Tier.NONE)], actor="b", reason="revoked")
    follower.step()
    seen: list[int | None] = []

    def watched(pages: Callable[..., str]) -> Callable[..., str]:
        def page(*arguments: Any) -> str:
            seen.append((follower._registered.merchant("m-1") or (None,))[0])
            return pages(*arguments)

        return page

    monkeypatch.setattr(store, "staged", watched(store.staged))
    monkeypatch.setattr(store, "changes", watched(store.changes))
    if not read_ahead:
        # Of two at once a worker reads the newer one ahead.
        store.start_import(actor="a", reason="another")
    store.finish_import(import_id)
    follower.step()
    assert set(seen) == {int(Tier.NONE)}
    assert tiers(follower, 1) == {int(Tier.ENHANCED)}
    assert follower.lapsed("m-1", "", "x") is Reason.MERCHANT_CONSENT_MISSING
    assert follower.epoch() == 3


def test_an_import_whose_rows_were_never_there_to_be_read_ahead_is_taken_in_whole(
    store: SqliteConsents, clock: SimClock
) -> None:
    follower = following(store, clock)
    import_id = store.start_import(actor="a", reason="by a command of before packs")
    for _ in range(3):
        follower.step()
    assert store.staged(import_id, 0, 10) == ""
    store._db.execute(
        "insert into settings values (null, ?, 'merchant', 'm-1', 'NONE', '1', 'list', 0, 9)", (import_id,)
    )
    store.finish_import(import_id)
    store.put([setting("m-2", Tier.NONE)], actor="a", reason="r")
    follower.step()
    assert tiers(follower, 3) == {int(Tier.NONE), None}
    assert follower._registered.merchant("m-1") is not None
    assert follower.epoch() == 2
    staged(store, 3, Tier.BASIC)
    follower.step()
    follower.step()
    assert follower._ahead._row == 3, "the next one is read ahead"
