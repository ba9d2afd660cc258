"""What a party says itself while an import is staged is not undone by the import."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.embedded import consents_meanwhile
from gateway.backends.embedded.consents import ConsentStoreUnavailable, SqliteConsents
from gateway.programs.consent_meanwhile import stricter
from gateway.programs.consents import ConsentRefused, Imported, Party
from gateway.programs.model import FOREVER_MS, Tier
from gateway.runtime.clock import SimClock
from tests.conformance.test_consents import known, path, setting, store

__all__ = ["path", "store"]

NOW_MS = SimClock().wall_ms()


def test_a_revocation_that_came_while_an_import_was_staged_stays_and_is_told(
    store: SqliteConsents, path: str
) -> None:
    import_id = store.start_import(actor="alice", reason="migration")
    store.stage(import_id, [setting(f"m-{n}", Tier.ENHANCED) for n in range(600)])
    other = SqliteConsents(path, SimClock())
    other.put([setting("m-2", Tier.NONE, evidence="revocation")], actor="bob", reason="asked to")
    other.put([setting("m-599", Tier.BASIC)], actor="bob", reason="form")
    other.put([setting("m-900", Tier.NONE)], actor="bob", reason="not in the file")
    # The platform of this name said nothing.
    store.stage(import_id, [setting("m-2", Tier.ENHANCED), setting("m-2", Tier.BASIC, party=Party.PLATFORM)])
    assert store.finish_import(import_id) == Imported(4, 2)
    tiers = {name: row[0] for name, row in known(other).items()}
    assert [tiers[f"m-{n}"] for n in (1, 2, 599, 900)] == [Tier.ENHANCED, Tier.NONE, Tier.BASIC, Tier.NONE]
    told = other.said(Party.MERCHANT, "m-2")
    assert [(one.epoch, one.setting.tier, one.actor) for one in told] == [
        (4, Tier.NONE, "alice"), (4, Tier.ENHANCED, "alice"), (4, Tier.ENHANCED, "alice"),
        (1, Tier.NONE, "bob"),
    ]  # fmt: skip
    assert told[0].setting.evidence == "revocation"
    assert other.said(Party.PLATFORM, "m-2")[0].setting.tier is Tier.BASIC
    # What is said behind it holds as ever.
    other.put([setting("m-2", Tier.ENHANCED)], actor="bob", reason="signed again")
    assert known(other)["m-2"][0] == Tier.ENHANCED
    other.close()


@pytest.mark.parametrize("when", ["before", "other import"])
def test_an_import_goes_before_what_was_said_before_it_began_or_by_another_import(
    store: SqliteConsents, when: str
) -> None:
    if when == "before":
        store.put([setting("m-1", Tier.NONE)], actor="bob", reason="revoked")
    import_id = store.start_import(actor="alice", reason="migration")
    store.stage(import_id, [setting("m-1", Tier.ENHANCED)])
    if when == "other import":
        second = store.start_import(actor="alice", reason="list")
        store.stage(second, [setting("m-1", Tier.NONE)])
        store.finish_import(second)
    assert store.finish_import(import_id) == Imported(2, 0)
    assert known(store)["m-1"][0] == Tier.ENHANCED


def test_of_what_a_party_said_meanwhile_the_last_word_counts_and_a_stricter_file_goes_before_it(
    store: SqliteConsents,
) -> None:
    import_id = store.start_import(actor="alice", reason="migration")
    said = {"m-1": Tier.ENHANCED, "m-2": Tier.NONE, "m-3": Tier.BASIC}
    store.stage(import_id, [setting(name, tier) for name, tier in said.items()])
    for tier in (Tier.NONE, Tier.ENHANCED):
        store.put([setting(name, tier) for name in said], actor="bob", reason="form")
    assert store.finish_import(import_id) == Imported(3, 1)
    assert {name: row[0] for name, row in known(store).items()} == said


def test_where_nobody_can_tell_which_word_is_stricter_nothing_of_the_import_holds(
    store: SqliteConsents,
) -> None:
    import_id = store.start_import(actor="alice", reason="migration")
    store.stage(import_id, [setting("m-1"), setting("m-2")])
    until_ms = NOW_MS + 1
    store.put([setting("m-1", Tier.ENHANCED, valid_until_ms=until_ms)], actor="bob", reason="form")
    with pytest.raises(ConsentRefused, match="1 parties said something") as refused:
        store.finish_import(import_id)
    assert "m-1" not in refused.value.public
    assert (store.epoch(), list(known(store))) == (1, ["m-1"])


def test_more_parties_than_an_import_looks_up_are_refused(
    store: SqliteConsents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consents_meanwhile, "PARTIES_MEANWHILE_MAX", 3)
    import_id = store.start_import(actor="alice", reason="migration")
    store.stage(import_id, [setting("m-1", Tier.ENHANCED)])
    store.put([setting(f"m-{n}", Tier.NONE) for n in range(3)], actor="bob", reason="form")
    assert store.finish_import(import_id) == Imported(2, 1)
    import_id = store.start_import(actor="alice", reason="migration")
    store.put([setting(f"m-{n}", Tier.NONE) for n in range(4)], actor="bob", reason="form")
    with pytest.raises(ConsentRefused, match="more than 3 parties"):
        store.finish_import(import_id)


def test_many_who_said_something_meanwhile_are_found_by_the_last_row_of_each(
    store: SqliteConsents, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = store.start_import(actor="alice", reason="migration")
    for tier in (Tier.NONE, Tier.BASIC):
        store.stage(import_id, [setting(f"m-{n}", tier) for n in range(700)])
    looked_up: list[int] = []
    look_up: Any = store._look_up

    def watched(*arguments: Any) -> int:
        looked_up.append(look_up(*arguments))
        if looked_up == [700]:  # somebody comes in between
            store.put([setting("m-0", Tier.OPTED_OUT)], actor="carol", reason="form")
        return looked_up[-1]

    monkeypatch.setattr(store, "_look_up", watched)
    store.put([setting(f"m-{n}", Tier.NONE) for n in range(700)], actor="bob", reason="form")
    assert store.finish_import(import_id) == Imported(3, 700)
    assert looked_up == [700, 0]
    tiers = [row[0] for row in known(store).values()]
    assert tiers == [Tier.OPTED_OUT, *([Tier.NONE] * 699)]


def test_an_import_whose_pack_is_damaged_does_not_end_where_its_word_is_asked_for(
    store: SqliteConsents,
) -> None:
    import_id = store.start_import(actor="alice", reason="migration")
    store.stage(import_id, [setting("m-1", Tier.ENHANCED)])
    store.put([setting("m-1", Tier.NONE)], actor="bob", reason="form")
    store._db.execute("update packs set rows = 'CANARY m-1'")
    with pytest.raises(ConsentStoreUnavailable) as refused:
        store.finish_import(import_id)
    assert "CANARY" not in refused.value.public
    assert store.epoch() == 1


WORDS = st.builds(
    lambda tier, from_ms, days: setting(
        tier=tier, valid_from_ms=from_ms, valid_until_ms=FOREVER_MS if days is None else from_ms + days
    ),
    st.sampled_from(list(Tier)),
    st.integers(NOW_MS - 3, NOW_MS + 3),
    st.none() | st.integers(1, 5),
)


@given(WORDS, WORDS)
def test_the_stricter_word_covers_at_no_time_more_than_the_other(said: Any, imported: Any) -> None:
    def covers(word: Any, at_ms: int) -> int:
        held = word.tier if word.valid_from_ms <= at_ms < word.valid_until_ms else Tier.NONE
        return max(int(held), int(Tier.NONE))

    holds = stricter(said, imported, NOW_MS)
    times = [*range(NOW_MS, NOW_MS + 10), FOREVER_MS - 1]
    less = [covers(said, at) <= covers(imported, at) for at in times]
    more = [covers(said, at) >= covers(imported, at) for at in times]
    if holds is None:
        assert not (all(less) and said.tier <= Tier.NONE)
        assert not (all(less) and all(more))
    else:
        assert all(less if holds is said else more)
