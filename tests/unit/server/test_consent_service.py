"""Consents by gRPC: written whole or not at all, told when in effect, told who waits where not."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.backends.embedded.consents import SqliteConsents
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.programs.consents import SETTINGS_A_CALL_MAX, Party
from gateway.programs.model import FOREVER_MS, Tier
from gateway.programs.switches import LEASE_MS, MAX_EPOCH, Lease
from gateway.runtime.clock import MS, SystemClock
from gateway.server.policy import read_policy
from issuernetwork.v1 import consents_pb2 as v1
from tests.kit.installation import SAMPLE_POLICY, quick_install
from tests.kit.operator_calls import Desk, desk

MERCHANT = {"party": v1.CONSENT_PARTY_MERCHANT, "party_id": "m-1"}


class Lagging(FileLeaseBoard):
    """One worker renews without end, and acts on every switch and on no consent."""

    looks = threading.Semaphore(0)

    def fence(self, worker_id: str) -> bool:
        return False

    def read_all(self) -> list[Lease]:
        self.looks.release()
        until_ns = SystemClock().monotonic_ns() + LEASE_MS * MS
        return [Lease("rogue-7", MAX_EPOCH, until_ns, consent_epoch=0)]


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    return quick_install(tmp_path, policy=read_policy(SAMPLE_POLICY), recipient_jwks={})


@pytest.fixture
def calls(settings: Any) -> Iterator[Desk]:
    with desk(settings) as running:
        yield running


def setting(party_id: str = "m-1", **members: Any) -> v1.ConsentSetting:
    given = {
        "party": v1.CONSENT_PARTY_MERCHANT, "party_id": party_id, "tier": v1.CONSENT_TIER_BASIC,
        "terms_version": "2026-11", "evidence": "form 7", **members,
    }  # fmt: skip
    return v1.ConsentSetting(**given)


def test_what_was_said_is_kept_as_it_was_sent_with_who_and_why(calls: Desk) -> None:
    began_ms = SystemClock().wall_ms()
    told = calls.call("SetConsent", "ops", setting=setting(), reason="signed up").effect
    assert told.consent_epoch == 1
    (said,) = calls.stores.consents.said(Party.MERCHANT, "m-1")
    assert (said.setting.tier, said.setting.terms_version, said.setting.evidence) == (
        Tier.BASIC, "2026-11", "form 7"
    )  # fmt: skip
    assert began_ms <= said.setting.valid_from_ms <= SystemClock().wall_ms()
    assert said.setting.valid_until_ms == FOREVER_MS
    got = calls.call("GetConsent", "audrey", **MERCHANT).consent
    assert (got.setting.tier, got.setting.valid_until_ms, got.actor, got.reason, got.consent_epoch) == (
        v1.CONSENT_TIER_BASIC, 0, "ops", "signed up", 1
    )  # fmt: skip


def test_a_revocation_keeps_the_terms_that_were_agreed_to(calls: Desk) -> None:
    calls.call("SetConsent", "ops", setting=setting(), reason="signed up")
    assert calls.call("RevokeConsent", "boss", **MERCHANT, reason="asked to").effect.consent_epoch == 2
    last = calls.call("GetConsent", "audrey", **MERCHANT).consent
    assert (last.setting.tier, last.setting.terms_version, last.actor) == (
        v1.CONSENT_TIER_NONE, "2026-11", "boss"
    )  # fmt: skip


def test_of_a_party_that_said_nothing_there_is_nothing(calls: Desk) -> None:
    assert not calls.call("GetConsent", "audrey", **MERCHANT).HasField("consent")
    assert not calls.call("ListConsents", "audrey", **MERCHANT).consents


def test_pages_of_what_a_party_said_go_back_to_the_first_word(calls: Desk) -> None:
    for number in range(5):
        calls.call("SetConsent", "ops", setting=setting(), reason=f"word {number}")
    calls.call("SetConsent", "ops", setting=setting("m-2"), reason="another's")
    first = calls.call("ListConsents", "audrey", **MERCHANT, limit=2)
    # What is said between two pages belongs to neither.
    calls.call("SetConsent", "ops", setting=setting(), reason="word 5")
    told, page = list(first.consents), first
    while page.next_cursor:
        page = calls.call("ListConsents", "audrey", **MERCHANT, limit=2, cursor=page.next_cursor)
        told += page.consents
    assert [one.reason for one in told] == [f"word {number}" for number in (4, 3, 2, 1, 0)]


def test_a_page_reads_no_more_of_the_registry_than_it_shows(
    calls: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [setting(evidence=f"form {number}") for number in range(SETTINGS_A_CALL_MAX)]
    calls.call("BatchSetConsents", "ops", settings=batch, reason="one party, over and over")
    read: list[int] = []
    said: Any = SqliteConsents.said

    def counted(*arguments: Any, **limits: Any) -> Any:
        found = said(*arguments, **limits)
        read.append(len(found))
        return found

    monkeypatch.setattr(SqliteConsents, "said", counted)
    last = calls.call("GetConsent", "audrey", **MERCHANT).consent
    assert last.setting.evidence == f"form {SETTINGS_A_CALL_MAX - 1}"
    page = calls.call("ListConsents", "audrey", **MERCHANT, limit=500)
    told = list(page.consents)
    page = calls.call("ListConsents", "audrey", **MERCHANT, limit=500, cursor=page.next_cursor)
    told += page.consents
    assert not page.next_cursor
    assert [one.setting.evidence for one in told] == [one.evidence for one in reversed(batch)]
    calls.call("RevokeConsent", "boss", **MERCHANT, reason="asked to")
    assert read == [1, 501, 500, 1]


def test_a_batch_is_in_force_under_one_epoch(calls: Desk) -> None:
    batch = [setting(f"m-{number}") for number in range(SETTINGS_A_CALL_MAX)]
    assert calls.call("BatchSetConsents", "ops", settings=batch, reason="list").effect.consent_epoch == 1
    assert calls.stores.consents.said(Party.MERCHANT, "m-999")[0].epoch == 1


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"party": 0}, "settings[2].party"),
        ({"party": 9}, "settings[2].party"),
        ({"tier": 0}, "settings[2].tier"),
        ({"tier": 7731}, "settings[2].tier"),
        ({"party_id": ""}, "settings[2].party_id"),
        ({"party_id": "secret-7731\n"}, "settings[2].party_id"),
        ({"terms_version": ""}, "settings[2].terms_version"),
        ({"evidence": "7731" * 100}, "settings[2].evidence"),
        ({"valid_from_ms": 20, "valid_until_ms": 10}, "settings[2].valid_until"),
        ({"valid_from_ms": -7731}, "settings[2].valid_until"),
        ({"tier": v1.CONSENT_TIER_OPTED_OUT, "valid_until_ms": FOREVER_MS - 1}, "settings[2].valid_until"),
    ],
)
def test_one_bad_setting_of_a_batch_is_named_and_none_is_written(
    calls: Desk, members: dict[str, Any], named: str
) -> None:
    batch = [setting("m-1"), setting("m-2"), setting(**{"party_id": "m-3", **members}), setting("m-4")]
    code, text = calls.refused("BatchSetConsents", "ops", settings=batch, reason="list")
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith(named)
    assert "7731" not in text
    assert calls.stores.consents.epoch() == 0


@pytest.mark.parametrize("count", [0, SETTINGS_A_CALL_MAX + 1])
def test_a_batch_of_none_or_of_too_many_is_refused(calls: Desk, count: int) -> None:
    batch = [setting(f"m-{number}") for number in range(count)]
    code, text = calls.refused("BatchSetConsents", "ops", settings=batch, reason="list")
    assert (code, text.startswith("settings")) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    assert calls.stores.consents.epoch() == 0


@pytest.mark.parametrize("reason", ["", "   ", "x" * 257, "two\nlines"])
def test_an_act_without_a_reason_is_no_act(calls: Desk, reason: str) -> None:
    for method, members in (
        ("SetConsent", {"setting": setting()}),
        ("BatchSetConsents", {"settings": [setting()]}),
        ("RevokeConsent", MERCHANT),
    ):
        code, text = calls.refused(method, "ops", **members, reason=reason)
        assert (code, text.startswith("reason")) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    assert calls.stores.consents.epoch() == 0


def test_a_revocation_that_a_worker_does_not_act_on_is_no_success_and_names_the_worker(settings: Any) -> None:
    with desk(settings, board=Lagging) as calls:
        code, text = calls.refused("RevokeConsent", "ops", **MERCHANT, reason="asked to")
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "rogue-7" in text
        assert "epoch 1" in text
        said = calls.stores.consents.said(Party.MERCHANT, "m-1")
        assert [one.setting.tier for one in said] == [Tier.NONE], "the revocation is written"


def test_a_kill_does_not_wait_behind_consents_that_wait(settings: Any) -> None:
    with desk(settings, board=Lagging) as calls, ThreadPoolExecutor(8) as callers:
        waiting = [
            callers.submit(calls.refused, "SetConsent", "ops", setting=setting(f"m-{n}"), reason="crowd")
            for n in range(6)
        ]
        assert Lagging.looks.acquire(timeout=20), "consents are being waited for"
        killed = calls.call("KillProgram", "boss", program="risk-score", reason="drill")
        assert killed.workers_acknowledged == 1
        assert not all(one.done() for one in waiting), "the kill was first"
        assert {one.result()[0] for one in waiting} == {grpc.StatusCode.DEADLINE_EXCEEDED}
