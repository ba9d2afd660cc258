"""Every registry of consents: what was said is in force whole, in order, and stays answerable."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backends.embedded.consents import IMPORT_OPEN_MAX_MS, ConsentStoreUnavailable, SqliteConsents
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.programs.consent_rows import ROW, Consent, TwinRegistered
from gateway.programs.consents import (
    SAID_A_PAGE_MAX,
    SETTINGS_A_CALL_MAX,
    ConsentRefused,
    Party,
    Setting,
)
from gateway.programs.model import FOREVER_MS, Tier
from gateway.runtime.clock import SimClock
from gateway.runtime.disk import RealDisk
from gateway.server.verbs.consents import REVOKED_TERMS, ConsentDesk


def setting(party_id: str = "m-1", tier: Tier = Tier.BASIC, **changed: Any) -> Setting:
    members: dict[str, Any] = {
        "party": Party.MERCHANT, "party_id": party_id, "tier": tier, "terms_version": "2026-1",
        "evidence": "contract 7", "valid_from_ms": 0,
    }  # fmt: skip
    return Setting(**{**members, **changed})


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "consents.sqlite3")


@pytest.fixture
def store(path: str) -> Iterator[SqliteConsents]:
    made = SqliteConsents(path, SimClock())
    yield made
    made.close()


PARTIES = [f"m-{n}" for n in range(3_000)]


def pages(store: SqliteConsents, most: int = 1000) -> list[str]:
    found: list[str] = []
    place = (0, 0)
    while page := store.changes(place, most):
        assert page.count(ROW) < most
        found.append(page)
        place = TwinRegistered().take(page)
    return found


def known(store: SqliteConsents, most: int = 1000) -> dict[str, Consent]:
    rows = TwinRegistered()
    for page in pages(store, most):
        rows.take(page)
    return {name: row for name in PARTIES if (row := rows.merchant(name)) is not None}


def test_what_is_put_is_in_force_with_its_epoch_and_another_process_sees_it(
    store: SqliteConsents, path: str
) -> None:
    other = SqliteConsents(path, SimClock())
    assert other.epoch() == 0
    epoch = store.put([setting(), setting("m-2", Tier.ENHANCED)], actor="alice", reason="signed")
    assert other.epoch() == epoch == 1
    assert known(other) == {
        "m-1": (int(Tier.BASIC), 0, FOREVER_MS, "merchant/m-1/2026-1/basic"),
        "m-2": (int(Tier.ENHANCED), 0, FOREVER_MS, "merchant/m-2/2026-1/enhanced"),
    }
    other.close()


def test_all_that_a_party_said_stays_with_who_wrote_it_and_why(store: SqliteConsents) -> None:
    store.put([setting(tier=Tier.ENHANCED)], actor="alice", reason="signed")
    store.put([setting("m-2")], actor="alice", reason="signed")
    store.put([setting(tier=Tier.NONE)], actor="bob", reason="revoked by the merchant")
    told = store.said(Party.MERCHANT, "m-1")
    assert [(one.setting.tier, one.actor, one.reason) for one in told] == [
        (Tier.NONE, "bob", "revoked by the merchant"),
        (Tier.ENHANCED, "alice", "signed"),
    ]
    assert store.said(Party.PLATFORM, "m-1") == []
    assert known(store)["m-1"][0] == int(Tier.NONE)


def test_what_a_party_said_is_read_a_page_at_a_time_the_newest_first(store: SqliteConsents) -> None:
    import_id = store.start_import(actor="alice", reason="list")
    words = [setting(evidence=f"line {number}") for number in range(SAID_A_PAGE_MAX + 3)]
    store.stage(import_id, words)
    wider = setting(tier=Tier.ENHANCED, evidence="before the list")
    store.put([wider], actor="bob", reason="form")
    store.finish_import(import_id)
    store.put([setting(evidence="after the list")], actor="bob", reason="form")
    told = store.said(Party.MERCHANT, "m-1")
    assert len(told) == SAID_A_PAGE_MAX
    told += store.said(Party.MERCHANT, "m-1", before=told[-1].place)
    lines = [f"line {number}" for number in reversed(range(SAID_A_PAGE_MAX + 3))]
    assert [one.setting.evidence for one in told] == ["after the list", *lines, "before the list"]
    assert store.said(Party.MERCHANT, "m-1", before=told[-1].place) == []
    assert [one.setting.evidence for one in store.said(Party.MERCHANT, "m-1", most=1)] == ["after the list"]
    for most in (0, SAID_A_PAGE_MAX + 1):
        with pytest.raises(ValueError, match="rows a page"):
            store.said(Party.MERCHANT, "m-1", most=most)


@pytest.mark.parametrize(
    "bad",
    [
        {"party_id": ""},
        {"party_id": "x" * 65},
        {"party_id": "a\nb"},
        {"terms_version": " "},
        {"evidence": "e" * 257},
        {"valid_from_ms": 5, "valid_until_ms": 5},
        {"valid_from_ms": -1},
        {"valid_until_ms": FOREVER_MS + 1},
        {"tier": Tier.OPTED_OUT, "valid_until_ms": 9},
    ],
)
def test_one_bad_setting_is_refused_by_name_and_nothing_of_its_call_is_kept(
    store: SqliteConsents, bad: dict[str, Any]
) -> None:
    with pytest.raises(ConsentRefused) as refused:
        store.put([setting("m-2"), setting(**bad)], actor="alice", reason="signed")
    assert "x" * 65 not in refused.value.public
    assert store.epoch() == 0
    assert known(store) == {}


def test_more_than_a_call_takes_is_refused(store: SqliteConsents) -> None:
    many = [setting(f"m-{n}") for n in range(SETTINGS_A_CALL_MAX + 1)]
    with pytest.raises(ConsentRefused, match="import"):
        store.put(many, actor="alice", reason="signed")
    for actor, reason in (("", "x"), ("x", " "), ("x", "y" * 257)):
        with pytest.raises(ConsentRefused):
            store.put(many[:1], actor=actor, reason=reason)


def test_an_import_is_in_force_whole_or_not_at_all(store: SqliteConsents, path: str) -> None:
    store.put([setting("m-1", Tier.ENHANCED)], actor="alice", reason="signed")
    import_id = store.start_import(actor="alice", reason="migration")
    for start in range(0, 3_000, SETTINGS_A_CALL_MAX):
        store.stage(import_id, [setting(f"m-{n}") for n in range(start, start + SETTINGS_A_CALL_MAX)])
    other = SqliteConsents(path, SimClock())
    assert known(other) == {"m-1": (int(Tier.ENHANCED), 0, FOREVER_MS, "merchant/m-1/2026-1/enhanced")}
    assert other.said(Party.MERCHANT, "m-7") == []
    epoch = store.finish_import(import_id).epoch
    assert epoch == other.epoch() == 2
    rows = known(other)
    assert len(rows) == 3_000
    assert rows["m-1"][0] == int(Tier.BASIC)
    with pytest.raises(ConsentRefused):
        store.stage(import_id, [setting()])
    with pytest.raises(ConsentRefused):
        store.finish_import(import_id)
    other.close()


def test_an_abandoned_import_never_was(store: SqliteConsents) -> None:
    import_id = store.start_import(actor="alice", reason="migration")
    for _ in range(3):
        store.stage(import_id, [setting(f"m-{n}") for n in range(SETTINGS_A_CALL_MAX)])
    store.abandon_import(import_id)
    assert known(store) == {}
    assert store._db.execute("select count(*) from settings").fetchone() == (0,)
    with pytest.raises(ConsentRefused):
        store.finish_import(import_id)
    with pytest.raises(ConsentRefused):
        store.finish_import(99)


@pytest.mark.parametrize("count", [0, SETTINGS_A_CALL_MAX + 1])
def test_nothing_and_too_much_to_stage_are_refused(store: SqliteConsents, count: int) -> None:
    import_id = store.start_import(actor="alice", reason="migration")
    with pytest.raises(ConsentRefused, match="stage 1 to"):
        store.stage(import_id, [setting()] * count)


def test_an_import_that_begins_gives_up_those_that_were_ended_by_force(path: str) -> None:
    clock = SimClock()
    store = SqliteConsents(path, clock)
    ended = store.start_import(actor="alice", reason="ended by force")
    for _ in range(20):
        store.stage(ended, [setting("m-1", Tier.ENHANCED)])
    half_deleted = store.start_import(actor="alice", reason="ended while it was given up")
    store.stage(half_deleted, [setting("m-2", Tier.ENHANCED)])
    store._db.execute("update acts set abandoned = 1 where act_id = ?", (half_deleted,))
    whole = store.start_import(actor="alice", reason="list")
    store.stage(whole, [setting("m-3")])
    store.finish_import(whole)
    packs = "select act_id, count(*) from packs group by act_id"
    assert store._db.execute(packs).fetchall() == [(ended, 20), (whole, 1)]
    clock.advance_ms(IMPORT_OPEN_MAX_MS - 1)
    young = store.start_import(actor="alice", reason="runs beside it")
    store.stage(young, [setting("m-4")])
    assert store._db.execute(packs).fetchall() == [(ended, 20), (whole, 1), (young, 1)]
    clock.advance_ms(1)
    store.start_import(actor="alice", reason="next")
    assert store._db.execute(packs).fetchall() == [(whole, 1), (young, 1)]
    # Not half of it: what was deleted cannot come into force.
    with pytest.raises(ConsentRefused):
        store.stage(ended, [setting("m-1")])
    with pytest.raises(ConsentRefused):
        store.finish_import(ended)
    store.finish_import(young)
    assert sorted(known(store)) == ["m-3", "m-4"]
    store.close()


def test_a_page_ends_before_an_epoch_and_acts_without_rows_hide_nothing(store: SqliteConsents) -> None:
    for number in range(4):
        store.finish_import(store.start_import(actor="alice", reason="nothing in it"))
        store.put([setting(f"m-{number}")], actor="alice", reason="signed")
    assert list(known(store, most=1)) == ["m-0", "m-1", "m-2", "m-3"]
    rows = TwinRegistered()
    assert rows.take(store.changes((0, 0), 10, before=6))[0] == 4
    assert len(rows) == 2
    assert store.changes((4, 99), 10, before=6) == ""


def test_what_an_import_stages_can_be_read_before_it_is_in_force(store: SqliteConsents, path: str) -> None:
    other = SqliteConsents(path, SimClock())
    assert other.open_import() is None
    import_id = store.start_import(actor="alice", reason="migration")
    store.put([setting("m-7", Tier.NONE)], actor="bob", reason="revoked")
    store.stage(import_id, [setting(f"m-{n}") for n in range(5)])
    assert other.open_import() == import_id
    assert other.import_epoch(import_id) is None
    rows, row = TwinRegistered(), 0
    while page := other.staged(import_id, row, 2):
        epoch, row = rows.stage(page)
        assert epoch == 0
    rows.enforce()
    assert rows.settle(5)
    assert len(rows) == 5
    assert store.finish_import(import_id).epoch == other.import_epoch(import_id) == 2
    assert other.open_import() is None
    clock = SimClock()
    later = SqliteConsents(path, clock)
    left = store.start_import(actor="alice", reason="ended by force")
    assert later.open_import() == left
    clock.advance_ms(3_600_000)
    assert later.open_import() is None
    later.close()
    abandoned = store.start_import(actor="alice", reason="migration")
    store.abandon_import(abandoned)
    assert other.open_import() == left
    assert other.import_epoch(abandoned) is None
    other.close()


def test_what_a_party_said_by_import_is_answered_in_its_order_whatever_the_order_of_the_packs(
    store: SqliteConsents,
) -> None:
    store.put([setting("m-7", Tier.ENHANCED)], actor="alice", reason="signed")
    import_id = store.start_import(actor="alice", reason="migration")
    for numbers in ([7, 1, 2], [3], [9, 7, 70], [7]):
        said = [setting(f"m-{n}", Tier.BASIC, evidence=f"page {len(numbers)}") for n in numbers]
        store.stage(import_id, [*said, setting("m-7", party=Party.PLATFORM)])
    assert [one.epoch for one in store.said(Party.MERCHANT, "m-7")] == [1], "nothing of it is in force"
    store.put([setting("m-7", Tier.OPTED_OUT)], actor="bob", reason="meanwhile")
    store.finish_import(import_id)
    told = store.said(Party.MERCHANT, "m-7")[::-1]
    assert [(one.epoch, one.setting.tier, one.setting.evidence) for one in told] == [
        (1, Tier.ENHANCED, "contract 7"),
        (2, Tier.OPTED_OUT, "contract 7"),
        *((3, Tier.BASIC, f"page {length}") for length in (3, 3, 1)),
        (3, Tier.OPTED_OUT, "contract 7"),
    ]
    assert told[-2].setting == setting("m-7", evidence="page 1")
    assert (told[-1].actor, told[-1].reason) == ("alice", "migration")
    assert len(store.said(Party.PLATFORM, "m-7")) == 4
    assert store.said(Party.MERCHANT, "m-70")[0].setting.party_id == "m-70"
    assert store.said(Party.MERCHANT, "m-") == []


def test_a_party_is_revoked_also_where_the_pack_of_what_it_said_is_damaged(
    store: SqliteConsents, tmp_path: Path
) -> None:
    import_id = store.start_import(actor="alice", reason="migration")
    store.stage(import_id, [setting("m-1", Tier.ENHANCED)])
    store.finish_import(import_id)
    store._db.execute("update packs set rows = 'CANARY m-1'")
    with pytest.raises(ConsentStoreUnavailable, match="damaged") as refused:
        store.said(Party.MERCHANT, "m-1")
    assert "CANARY" not in refused.value.public
    leases = tmp_path / "leases"
    leases.mkdir()
    board = FileLeaseBoard(RealDisk(), str(leases))
    desk = ConsentDesk(store, board, SimClock(), lambda _: None)
    assert desk.revoke(Party.MERCHANT, "m-1", actor="bob", reason="asked to").epoch == 2
    row = store._db.execute("select party_id, tier, terms_version from settings").fetchall()
    assert row == [("m-1", "NONE", REVOKED_TERMS)]


OF_BEFORE = """
create table acts (
    act_id integer primary key autoincrement, epoch integer unique, kind text not null, actor text not null,
    reason text not null, at_ms integer not null, abandoned integer not null default 0
) strict;
create table settings (
    row_id integer primary key, act_id integer not null, party text not null, party_id text not null,
    tier text not null, terms_version text not null, evidence text not null, valid_from_ms integer not null,
    valid_until_ms integer not null
) strict;
create index settings_of_act on settings (act_id, row_id);
create index settings_of_party on settings (party, party_id);
insert into acts values (1, 2, 'import', 'alice', 'migration', 5, 0), (2, 1, 'put', 'bob', 'signed', 4, 0);
insert into settings values
    (1, 1, 'merchant', 'm-1', 'BASIC', '2025', 'list', 0, 9),
    (2, 2, 'merchant', 'm-1', 'NONE', '2025', 'form', 0, 9),
    (3, 1, 'merchant', 'm-2', 'ENHANCED', '2025', 'list', 0, 9);
"""
"""A registry as it was when imports had no packs, with an import that was staged around another act."""


def test_a_registry_of_before_packs_opens_with_all_that_it_has_and_takes_more(path: str) -> None:
    with closing(sqlite3.connect(path)) as old:
        old.executescript(OF_BEFORE)
    store = SqliteConsents(path, SimClock())
    import_id = store.start_import(actor="alice", reason="more")
    store.stage(import_id, [setting("m-3")])
    store.finish_import(import_id)
    for most in (1, 2, 3, 1000):
        assert {name: row[0] for name, row in known(store, most).items()} == {
            "m-1": int(Tier.BASIC), "m-2": int(Tier.ENHANCED), "m-3": int(Tier.BASIC)
        }  # fmt: skip
    assert [one.epoch for one in store.said(Party.MERCHANT, "m-1")] == [2, 1]
    store.close()


def test_a_worker_of_before_packs_stands_still_at_a_registry_that_may_have_some(path: str) -> None:
    SqliteConsents(path, SimClock()).close()
    # As it asked then: an answer without the rows of packs would let what was revoked be shared.
    asked = "select s.party_id from acts a cross join settings s indexed by settings_of_act using (act_id)"
    with (
        closing(sqlite3.connect(path)) as old,
        pytest.raises(sqlite3.OperationalError, match="no such index"),
    ):
        old.execute(asked)


ACTS = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(list(Tier))), min_size=1, max_size=6),
    max_size=8,
)


@given(ACTS, st.integers(1, 5), st.lists(st.booleans(), min_size=8, max_size=8))
@settings(max_examples=60, deadline=None)
def test_pages_of_changes_come_to_what_was_said_last(
    acts: list[list[tuple[int, Tier]]], most: int, imported: list[bool]
) -> None:
    store = SqliteConsents(":memory:", SimClock())
    expected: dict[str, int] = {}
    for act, by_import in zip(acts, imported, strict=False):
        said = [setting(f"m-{number}", tier) for number, tier in act]
        if by_import:
            import_id = store.start_import(actor="a", reason="r")
            for start in range(0, len(said), 4):
                store.stage(import_id, said[start : start + 4])
            store.finish_import(import_id)
        else:
            store.put(said, actor="a", reason="r")
        expected.update({one.party_id: int(one.tier) for one in said})
    assert sum(page.count(ROW) + 1 for page in pages(store, most)) == sum(map(len, acts))
    assert {name: row[0] for name, row in known(store, most).items()} == expected
    store.close()
