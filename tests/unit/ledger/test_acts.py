"""Acts of people are in the ledger, and rows that were touched behind its back are named."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded.approvals import SqliteApprovals
from gateway.backends.embedded.key_acts import KeyAct, KeyVerb, SqliteKeyActs
from gateway.backends.embedded.restores import RestoreNote, SqliteRestores
from gateway.backends.embedded.subjects import SqliteSubjects
from gateway.ledger.acts import PAGE_ACTS
from gateway.ledger.entry import PREFIX
from gateway.programs.approvals import Kind
from gateway.programs.consents import Party, Setting
from gateway.programs.model import Tier
from gateway.programs.subjects import CaseKind, CaseState
from gateway.runtime.clock import SimClock
from gateway.sealing.keys import KeyRefused, SignatureAlgorithm
from tests.unit.ledger.kit import Ledger

SCOPE = {"program": "risk-score", "issuer_id": "northgate-bank"}
ONA = {"principal_id": "CANARY-ona", "role": "operator", "key": "{}"}


@pytest.fixture
def approvals(ledger: Ledger) -> Iterator[SqliteApprovals]:
    with closing(SqliteApprovals(str(ledger.state.policy_db), ledger.clock)) as store:
        yield store


def acts(ledger: Ledger) -> list[dict[str, Any]]:
    return [json.loads(data[PREFIX.size :]) for data in ledger.entries("acts")]


def policy_sql(ledger: Ledger, statement: str, *parameters: object) -> None:
    """Changes the policy store behind its back."""
    with closing(sqlite3.connect(ledger.state.policy_db, isolation_level=None)) as other:
        other.execute(statement, parameters)


def test_who_asked_and_what_became_of_it_are_acts_without_a_name_or_a_reason(
    ledger: Ledger, approvals: SqliteApprovals
) -> None:
    ledger.policy.kill(**SCOPE, actor="CANARY-ops", reason="CANARY")
    asked = approvals.request(Kind.REVIVE, SCOPE, by="CANARY-ops", reason="CANARY mended")
    approvals.decide(asked.approval_id, by="CANARY-boss", approve=True)
    ledger.policy.revive(**SCOPE, actor="CANARY-ops", approver="CANARY-boss", reason="CANARY mended")
    approvals.done(asked.approval_id)
    other = approvals.request(Kind.ADD_OPERATOR, ONA, by="CANARY-ops", reason="CANARY")
    approvals.decide(other.approval_id, by="CANARY-boss", approve=False)
    third = approvals.request(Kind.ADD_OPERATOR, ONA, by="CANARY-ops", reason="CANARY")
    approvals.decide(third.approval_id, by="CANARY-boss", approve=True)
    approvals.done(third.approval_id)
    approvals.alone(Kind.REMOVE_OPERATOR, {"principal_id": "CANARY-ona"}, by="CANARY-ops", reason="CANARY")
    ledger.step()
    told = [(one["source"], one["act"]) for one in acts(ledger)]
    assert [act for source, act in told if source == "switches"] == ["kill", "revive"]
    assert [act for source, act in told if source == "approvals"] == [
        "ask_revive", "approve_revive", "ask_add_operator", "refuse_add_operator", "ask_add_operator",
        "approve_add_operator", "add_operator", "alone_remove_operator",
    ]  # fmt: skip
    revival = next(one for one in acts(ledger) if one["act"] == "approve_revive")
    assert {name: revival[name] for name in SCOPE} == SCOPE
    assert b"CANARY" not in b"".join(ledger.entries("acts"))
    assert ledger.step() == 0, "each is in the ledger once"
    assert ledger.verify().intact
    assert ledger.verify().acts_compared == len(told)


def test_what_is_done_a_second_time_is_no_second_act(ledger: Ledger, approvals: SqliteApprovals) -> None:
    asked = approvals.request(Kind.ADD_OPERATOR, ONA, by="ops", reason="x")
    approvals.decide(asked.approval_id, by="boss", approve=True)
    # A process ended between the verdict and the act: the same person approves again.
    approvals.decide(asked.approval_id, by="boss", approve=True)
    approvals.done(asked.approval_id)
    approvals.done(asked.approval_id)
    ledger.step()
    assert [one["act"] for one in acts(ledger)] == [
        "ask_add_operator",
        "approve_add_operator",
        "add_operator",
    ]


def test_a_restore_is_an_act(ledger: Ledger) -> None:
    with closing(SqliteRestores(str(ledger.state.policy_db))) as restores:
        for number in range(2):
            restores.add(
                RestoreNote(
                    actor="CANARY", at_ms=7 + number, began_at_ms=3, files=2, size_bytes=9, first_free_seq=70
                )
            )
    ledger.step()
    assert [(one["act"], one["source"], one["position"], one["at_ms"]) for one in acts(ledger)] == [
        ("restore", "restores", 1, 7), ("restore", "restores", 2, 8)
    ]  # fmt: skip
    assert b"CANARY" not in b"".join(ledger.entries("acts"))
    assert ledger.verify().acts_compared == 2


def test_requests_of_a_file_without_events_become_acts_in_the_order_of_their_times(tmp_path: Path) -> None:
    path = tmp_path / "policy.sqlite3"
    clock = SimClock()
    with closing(SqliteApprovals(str(path), clock)) as store:
        first = store.request(Kind.REVIVE, SCOPE, by="ops", reason="x")
        clock.advance_ms(10)
        store.alone(Kind.REMOVE_OPERATOR, {"principal_id": "ona"}, by="ops", reason="x")
        clock.advance_ms(10)
        store.decide(first.approval_id, by="boss", approve=True)
        clock.advance_ms(10)
        store.done(first.approval_id)
        events = "select approval_id, verb, actor, at_ms from approval_events order by event_id"
        before = store._db.execute(events).fetchall()
        store._db.execute("drop table approval_events")
    for _ in range(2):
        with closing(SqliteApprovals(str(path), clock)) as store:
            assert store._db.execute(events).fetchall() == before


@pytest.fixture
def told(ledger: Ledger, approvals: SqliteApprovals) -> Ledger:
    """Some of each act, more than a page of one."""
    for number in range(PAGE_ACTS + 6):
        ledger.policy.pause("risk-score", "", actor="ops", reason=f"pause {number}")
    ledger.policy.apply({"programs/risk-score.yaml": "x"}, actor="ops", reason="first")
    said = Setting(Party.MERCHANT, "m-1", Tier.BASIC, "2026", "form", 0)
    ledger.consents.put([said], actor="ops", reason="signed")
    approvals.request(Kind.REVIVE, SCOPE, by="ops", reason="x")
    ledger.step()
    assert ledger.verify().intact
    return ledger


@pytest.mark.parametrize(
    ("statement", "source", "position"),
    [
        ("update switch_events set reason = 'better' where epoch = 66", "switches", 66),
        ("update switch_events set actor = 'somebody else' where epoch = 1", "switches", 1),
        ("update snapshots set files = '{}' where version = 1", "snapshots", 1),
        ("update approvals set requested_by = 'somebody else'", "approvals", 1),
        ('update approvals set subject = \'{"program": "risk-score", "issuer_id": ""}\'', "approvals", 1),
        ("update approval_events set verb = 'approved'", "approvals", 1),
    ],
)
def test_a_row_that_was_edited_is_named(told: Ledger, statement: str, source: str, position: int) -> None:
    policy_sql(told, statement)
    assert told.found() == [("edited", f"acts/{source}", position, position)]


@pytest.mark.parametrize("column", ["party_id = 'm-2'", "tier = 'ENHANCED'", "evidence = 'none'"])
def test_a_setting_that_was_edited_is_named_by_its_act(told: Ledger, column: str) -> None:
    with closing(sqlite3.connect(told.state.consents_db, isolation_level=None)) as other:
        other.execute(f"update settings set {column}")
    assert told.found() == [("edited", "acts/consents", 1, 1)]


@pytest.mark.parametrize(
    "change",
    [
        "rows = replace(rows, 'm-3', 'm-4')",
        "rows = replace(rows, 'BASIC', 'ENHANCED')",
        "rows = replace(rows, 'form', '')",
        "rows = 'x'",
        "low = low + 1",
        "high = high - 1",
        "row_count = row_count - 1",
        "last_row = last_row - 1",
    ],
)
def test_a_row_of_an_import_that_was_edited_is_named_by_its_act(ledger: Ledger, change: str) -> None:
    import_id = ledger.consents.start_import(actor="ops", reason="list")
    rows = [Setting(Party.MERCHANT, f"m-{n}", Tier.BASIC, "2026", "form", 0) for n in range(5)]
    ledger.consents.stage(import_id, rows)
    ledger.consents.finish_import(import_id)
    ledger.step()
    assert ledger.verify().intact
    with closing(sqlite3.connect(ledger.state.consents_db, isolation_level=None)) as other:
        other.execute(f"update packs set {change}")
    assert ledger.found() == [("edited", "acts/consents", 1, 1)]


def test_what_an_import_restates_of_those_who_said_something_meanwhile_is_of_its_act(ledger: Ledger) -> None:
    import_id = ledger.consents.start_import(actor="ops", reason="list")
    ledger.consents.stage(import_id, [Setting(Party.MERCHANT, "m-1", Tier.ENHANCED, "2026", "form", 0)])
    ledger.consents.put([Setting(Party.MERCHANT, "m-1", Tier.NONE, "2026", "x", 0)], actor="ops", reason="r")
    ledger.step()
    ledger.consents.finish_import(import_id)
    ledger.step()
    assert [one["act"] for one in acts(ledger)] == ["consent", "import_consents"]
    assert ledger.verify().intact
    with closing(sqlite3.connect(ledger.state.consents_db, isolation_level=None)) as other:
        other.execute("delete from packs where last_row = 2")
    assert ledger.found() == [("edited", "acts/consents", 2, 2)]


@pytest.mark.parametrize("epoch", [1, 40, PAGE_ACTS + 6])
def test_a_row_that_was_deleted_is_named(told: Ledger, epoch: int) -> None:
    policy_sql(told, "delete from switch_events where epoch = ?", epoch)
    assert told.found() == [("deleted", "acts/switches", epoch, epoch)]


@pytest.mark.parametrize("epoch", [0, -3])
def test_a_row_that_was_slipped_in_before_all_others_is_named(told: Ledger, epoch: int) -> None:
    policy_sql(told, "insert into switch_events values (?, 'a', '', 'resumed', 'ops', 'x', 5)", epoch)
    assert told.found() == [("inserted", "acts/switches", epoch, epoch)]


def test_a_row_of_which_the_ledger_has_no_entry_while_it_has_later_ones_is_named(told: Ledger) -> None:
    policy_sql(told, "insert into switch_events values (80, 'risk-score', '', 'killed', 'ops', 'x', 5)")
    assert told.verify().intact, "the ledger may not have read it yet"
    told.step()
    policy_sql(told, "insert into switch_events values (75, 'risk-score', '', 'killed', 'ops', 'x', 5)")
    assert told.found() == [("inserted", "acts/switches", 75, 75)]


def test_a_policy_store_that_was_put_back_to_a_copy_of_before_is_found(told: Ledger) -> None:
    """A kill that is taken back by taking back the file."""
    told.policy.kill(**SCOPE, actor="ops", reason="stop")
    told.step()
    policy_sql(told, "delete from switch_events where epoch > ?", PAGE_ACTS + 6)
    policy_sql(told, "delete from switches where state = 'killed'")
    assert told.found() == [("deleted", "acts/switches", PAGE_ACTS + 7, PAGE_ACTS + 7)]


def test_no_word_of_a_row_is_in_a_finding(told: Ledger) -> None:
    policy_sql(told, "update switch_events set reason = 'CANARY' where epoch = 1")
    assert "CANARY" not in str(told.verify().as_json())


def test_a_copy_of_the_ledger_without_the_stores_is_verified_as_far_as_it_goes(told: Ledger) -> None:
    for path in told.state.root.glob("*.sqlite3*"):
        path.rename(path.with_suffix(".elsewhere"))
    report = told.verify()
    assert (report.intact, report.acts_compared) == (True, 0)


def test_what_cardholders_asked_for_are_acts_of_their_own_and_their_cases_are_held_against_them(
    ledger: Ledger,
) -> None:
    cards = [b"CANARY-card-%04d" % number for number in range(3)]
    with closing(SqliteSubjects(str(ledger.state.consents_db), ledger.clock)) as cases:
        (first,), _ = cases.open([CaseKind.OBJECTION], cards, actor="CANARY", reason="CANARY letter")
        (_, erasure), _ = cases.open(
            [CaseKind.OBJECTION, CaseKind.ERASURE], cards[:1], actor="ops", reason="art. 17"
        )
        cases.move(first, CaseState.REFUSED, actor="ops", reason="not the cardholder")
        cases.tell(erasure, "CANARY-bank", "CANARY letter", actor="CANARY", reason="CANARY")
        cases.move(erasure, CaseState.CERTIFIED, actor="feeds", reason="gone")
    ledger.step()
    assert [one["act"] for one in acts(ledger)] == [
        "objection", "erasure", "refuse_objection", "tell_erasure", "certify_erasure"
    ]  # fmt: skip
    written = b"".join(ledger.entries("acts"))
    assert b"CANARY" not in written
    assert cards[0].hex().upper().encode() not in written.upper()
    assert ledger.verify().intact
    for number, statement in enumerate(
        (
            "update case_events set state = 'refused' where act_id = 2 and kind = 'objection'",
            "delete from case_keys where case_id = 1 and unit_key = x'%s'" % cards[2].hex(),  # noqa: UP031
            "update case_told set evidence = 'another letter'",
        )
    ):
        with closing(sqlite3.connect(ledger.state.consents_db, isolation_level=None)) as other:
            other.execute(statement)
        named = [(kind, place, first) for kind, place, first, _ in ledger.found()]
        assert ("edited", "acts/consents", (2, 1, 4)[number]) in named


def test_what_was_done_to_our_keys_is_an_act_before_and_after_without_a_name_or_a_reason(
    ledger: Ledger,
) -> None:
    with closing(SqliteKeyActs(str(ledger.state.policy_db), ledger.clock)) as store:
        act = KeyAct(
            verb=KeyVerb.ROTATE, kid="sig-1", alg=SignatureAlgorithm.ES256, by="CANARY-ops", reason="CANARY"
        )
        store.begin(act)
        store.done(act)
        with pytest.raises(KeyRefused, match="reason"):
            store.begin(replace(act, reason=" "))
    ledger.step()
    assert [(one["source"], one["act"]) for one in acts(ledger)] == [
        ("keys", "begin_rotate_key"), ("keys", "rotate_key"),
    ]  # fmt: skip
    assert b"CANARY" not in b"".join(ledger.entries("acts"))
    assert ledger.verify().intact
    policy_sql(ledger, "update key_events set actor = 'somebody else' where event_id = 1")
    assert ledger.found() == [("edited", "acts/keys", 1, 1)]
