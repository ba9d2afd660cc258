"""Whose act the end of a key is said to be, where it did not end at once."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.backends.embedded.key_acts import KEYS, SqliteKeyActs
from gateway.backends.embedded.keyfiles import KeyFiles
from gateway.backends.embedded.ledger_acts import StoredActs
from gateway.programs.approvals import Approval, Kind, Verdict
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.keys import KeyStoreFault
from gateway.server.feeds.own_keys import Retirement
from gateway.server.own_keys import LiveKeys
from gateway.server.policy import read_policy
from gateway.server.verbs.keys import BY_ITSELF, DUE
from tests.kit.installation import SAMPLE_POLICY, quick_install
from tests.unit.server.test_keys_command import MARGIN_MS, Feeds, Module, acts


@pytest.fixture
def feeds(tmp_path: Path) -> Iterator[Feeds]:
    made = Feeds(quick_install(tmp_path, policy=read_policy(SAMPLE_POLICY), recipient_jwks={}))
    yield made
    made.close()


def approved(kid: str) -> Approval:
    """As two people left it."""
    return Approval(
        1, Kind.DESTROY_KEY, {"alg": "ES256", "kid": kid}, "disk sold", "alice", 1, Verdict.APPROVED, "bob", 2
    )  # fmt: skip


def test_a_destruction_whose_process_died_before_it_was_written_is_written_by_the_next_approval(
    feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = feeds.rotate()
    with monkeypatch.context() as patch:
        patch.setattr(SqliteKeyActs, "done", lambda self, act: (_ for _ in ()).throw(KeyStoreFault("died")))
        with pytest.raises(KeyStoreFault):
            feeds.desk.destroy(approved(old), approver="bob")
    assert feeds.desk.is_retired(old)
    assert acts(feeds.settings)[-1] == ("begin_destroy_key", "alice")
    for _ in range(2):
        feeds.desk.destroy(approved(old), approver="bob")
        told = acts(feeds.settings)
        assert told[-1] == ("destroy_key", "alice")
        assert told.count(("destroy_key", "alice")) == told.count(("begin_destroy_key", "alice")) == 1


def test_a_key_that_was_retired_while_two_people_decided_is_said_to_be_destroyed_by_nobody(
    feeds: Feeds,
) -> None:
    old = feeds.rotate()
    assert feeds.step(MARGIN_MS) == 1
    before = acts(feeds.settings)
    feeds.desk.destroy(approved(old), approver="bob")
    assert acts(feeds.settings) == before


def with_a_module(feeds: Feeds) -> tuple[Module, str]:
    """The feeds with new keys in a module, and the first of those, which signs no more."""
    module = Module({}, SystemEntropy())
    files = KeyFiles(
        feeds.settings.state.keys, stores={"module": module}, make_in="module", clock=feeds.clock
    )
    feeds.live = LiveKeys(files, feeds.clock)
    feeds.desk = replace(feeds.desk, files=files)
    feeds.retirement = Retirement(feeds.live, feeds.desk, lambda kids, at_ms: None, feeds.clock)
    feeds.rotate()
    return module, feeds.rotate()


@pytest.mark.parametrize("begun", ["nothing", "retirement"])
def test_what_two_people_destroyed_is_said_of_them_though_the_feeds_end_it_when_the_store_answers(
    feeds: Feeds, begun: str
) -> None:
    module, old = with_a_module(feeds)
    module.down = True
    if begun == "retirement":
        feeds.clock.advance_ms(MARGIN_MS)
        with pytest.raises(KeyStoreFault):
            feeds.step()
    for _ in range(2):
        with pytest.raises(KeyStoreFault):
            feeds.desk.destroy(approved(old), approver="bob")
    feeds.live.look()
    module.down = False
    feeds.step()
    assert old not in module.private
    with closing(StoredActs(feeds.settings.state.policy_db, feeds.settings.state.consents_db)) as stored:
        told = [
            (one.verb, one.row["actor"], one.row["approver"], one.row["reason"])
            for one in stored.after(KEYS, 0, 100)
            if one.row["kid"] == old and ("retire" in one.verb or "destroy" in one.verb)
        ]
    retired = [("begin_retire_key", BY_ITSELF, "", DUE)] if begun == "retirement" else []
    by_them = ("alice", "bob", "disk sold")
    assert told == [*retired, ("begin_destroy_key", *by_them), ("destroy_key", *by_them)]
