"""`ein keys` and what the feeds do by themselves: each act has its people, its entry, and its conditions."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded.delivery import SqliteDeliveryStore
from gateway.backends.embedded.in_file import InFile
from gateway.backends.embedded.key_acts import KEYS, SqliteKeyActs
from gateway.backends.embedded.key_uses import StoredKeyUses
from gateway.backends.embedded.keyfiles import KeyFiles
from gateway.backends.embedded.ledger_acts import StoredActs
from gateway.feeds.ports import Acknowledgement, DeliveryChange, FanOutChange, OutboxItem
from gateway.records.journal import EVALUATIONS
from gateway.runtime.clock import SimClock, SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.key_ring import AT_ONCE_MS, KeyState
from gateway.sealing.keys import KeyRefused, KeyStoreFault, SignatureAlgorithm, Signer
from gateway.sealing.set import sign_set
from gateway.server.feeds.own_keys import RETIRE_EVERY_S, Retirement
from gateway.server.own_keys import LiveKeys, key_files
from gateway.server.policy import read_policy
from gateway.server.settings import Settings
from gateway.server.verbs.keys import BY_ITSELF, KeyDesk
from tests.conformance.test_delivery_store import item, share
from tests.kit.installation import SAMPLE_POLICY, quick_install
from tests.kit.operators import register
from tests.unit.feeds.records import LOOKUP, SSF
from tests.unit.server.test_operators import good, refused, run

ES256 = SignatureAlgorithm.ES256
MARGIN_MS = 1_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return quick_install(tmp_path, policy=read_policy(SAMPLE_POLICY), recipient_jwks={})


def keys(settings: Settings, *more: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(good(settings, "keys", "list", "--json", *more))["keys"]
    return listed


def acts(settings: Settings) -> list[tuple[str, str]]:
    """Verb and who did it, as the ledger reads them."""
    with closing(StoredActs(settings.state.policy_db, settings.state.consents_db)) as stored:
        return [(one.verb, str(one.row["actor"])) for one in stored.after(KEYS, 0, 100)]


def test_a_key_is_published_an_hour_ahead_unless_told_otherwise(settings: Settings) -> None:
    (first,) = keys(settings)
    assert first["state"] == "in_use"
    assert "takes over" in good(settings, "keys", "rotate", "ES256")
    before, after = keys(settings)
    assert (before["state"], after["state"]) == ("in_use", "published")
    assert 3_595_000 < after["use_from_ms"] - SystemClock().wall_ms() <= 3_600_000 + AT_ONCE_MS
    assert before["superseded_at_ms"] == after["use_from_ms"]
    assert [key["kid"] for key in json.loads(good(settings, "keys", "show-jwks"))["keys"]] == [
        before["kid"], after["kid"],
    ]  # fmt: skip


@pytest.mark.parametrize("ahead", ["59s", "0s", "91d"])
def test_a_key_that_receivers_could_not_have_in_time_is_refused(settings: Settings, ahead: str) -> None:
    assert "ahead" in refused(settings, "keys", "rotate", "ES256", "--ahead", ahead)
    assert len(keys(settings)) == 1
    assert acts(settings) == []


@pytest.mark.parametrize("ahead", ["", "1", "1w", "-1s", "1.5h", "1h30m", "9999999s"])
def test_a_duration_is_a_number_and_a_unit(settings: Settings, ahead: str) -> None:
    assert "90s" in refused(settings, "keys", "rotate", "ES256", "--ahead", ahead)


def test_after_a_theft_a_key_takes_over_at_once_and_somebody_says_why(settings: Settings) -> None:
    assert run(settings, "keys", "rotate", "ES256", "--now").exit_code == 2
    good(settings, "keys", "rotate", "ES256", "--now", "--reason", "laptop lost")
    made = keys(settings)[1]
    assert made["use_from_ms"] - SystemClock().wall_ms() <= AT_ONCE_MS


def test_from_the_first_operator_on_keys_are_changed_by_operators_alone(settings: Settings) -> None:
    register(settings, "alice")
    register(settings, "audrey", "auditor")
    for words in (("rotate", "ES256"), ("add", "RS256"), ("retire", "sig-1"), ("rewrap",)):
        for by in ("", "audrey"):
            assert "operator" in refused(settings, "keys", *words, by=by)
    good(settings, "keys", "rotate", "ES256", by="alice")
    assert acts(settings) == [("begin_rotate_key", "alice"), ("rotate_key", "alice")]
    assert len(keys(settings)) == 2


def test_moving_the_key_file_is_an_act_of_somebody_for_a_reason(settings: Settings) -> None:
    register(settings, "alice")
    good(settings, "keys", "rewrap", "--reason", "new passphrase", by="alice")
    with closing(StoredActs(settings.state.policy_db, settings.state.consents_db)) as stored:
        told = [(one.verb, one.row["actor"], one.row["reason"]) for one in stored.after(KEYS, 0, 100)]
    assert told == [("begin_rewrap", "alice", "new passphrase"), ("rewrap", "alice", "new passphrase")]
    before = (settings.state.keys / "own.json").read_bytes()
    assert "reason" in refused(settings, "keys", "rewrap", "--reason", " ", by="alice")
    assert (settings.state.keys / "own.json").read_bytes() == before, "what is not recorded is not done"


def test_an_act_is_recorded_before_it_is_done_and_what_cannot_be_recorded_is_not_done(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    begin = SqliteKeyActs.begin

    def watched(self: SqliteKeyActs, act: Any) -> None:
        begin(self, act)
        seen.append((act.verb, len(key_files(settings, SystemClock()).load().ring.keys)))
        raise KeyRefused("the disk is full")

    monkeypatch.setattr(SqliteKeyActs, "begin", watched)
    refused(settings, "keys", "rotate", "ES256")
    assert seen == [("rotate_key", 1)]
    assert len(keys(settings)) == 1
    assert [verb for verb, _ in acts(settings)] == ["begin_rotate_key"]


def test_a_first_key_is_made_once_and_is_an_act(settings: Settings) -> None:
    assert "made sig-" in good(settings, "keys", "add", "EdDSA")
    assert "nothing is changed" in good(settings, "keys", "add", "EdDSA")
    assert [verb for verb, _ in acts(settings)] == ["begin_add_key", "add_key"]
    assert "ein keys add RS256" in refused(settings, "keys", "rotate", "RS256")


class Feeds:
    """A store of deliveries, our keys, and the thread that retires them, at a time that the test sets."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.clock = settings, SimClock(wall_ms=SystemClock().wall_ms())
        self.store = SqliteDeliveryStore(settings.state.feeds_db)
        files = key_files(settings, self.clock)
        self.live = LiveKeys(files, self.clock)
        path = str(settings.state.policy_db)
        self.desk = KeyDesk(
            files, SqliteKeyActs(path, self.clock), StoredKeyUses(settings.state.feeds_db), self.clock,
            margin_ms=MARGIN_MS, max_age_ms=1_000,
        )  # fmt: skip
        self.retirement = Retirement(
            self.live, self.desk, lambda kids, at_ms: self.store.note_key_uses(kids, at_ms=at_ms), self.clock
        )
        self.number = 0

    def close(self) -> None:
        self.desk.close()
        self.store.close()

    def rotate(self) -> str:
        """The key that was in use before."""
        before = self.live.default().kid
        self.desk.rotate(ES256, ahead_ms=1_000, by="alice", reason="rotation")
        self.clock.advance_ms(1_000 + AT_ONCE_MS)
        self.live.look()
        return before

    def fan_out(self, *transports: int, signer: Signer | None = None) -> list[OutboxItem]:
        number, self.number = self.number, self.number + 1
        signed = sign_set(signer or self.live.default(), {"jti": f"s{number}"})
        items = [item(number, transport, set_bytes=signed) for transport in transports]
        rows = [share(number, *transports)]
        seqs = {one.stream_id: one.stream_seq + 1 for one in items if one.stream_id}
        self.store.commit_fan_out(
            FanOutChange(
                topic=EVALUATIONS, partition=0, position=number, at_ms=self.clock.wall_ms(), shares=rows,
                items=items, next_seqs=seqs,
            )
        )  # fmt: skip
        return items

    def acknowledge(self, *items: OutboxItem) -> None:
        answers = [Acknowledgement(item=one) for one in items]
        self.store.apply(DeliveryChange(answers=answers, at_ms=self.clock.wall_ms()))

    def step(self, later_ms: int = int(RETIRE_EVERY_S * 1000)) -> int:
        self.clock.advance_ms(later_ms)
        count = self.retirement.step()
        self.live.look()
        return count

    def published(self) -> set[str]:
        return {key["kid"] for key in self.live.jwks()["keys"]}


@pytest.fixture
def feeds(settings: Settings) -> Iterator[Feeds]:
    made = Feeds(settings)
    yield made
    made.close()


def test_a_key_is_retired_by_itself_a_margin_after_it_was_superseded(feeds: Feeds) -> None:
    old = feeds.rotate()
    assert feeds.step() == 0
    assert feeds.step(MARGIN_MS) == 1
    assert old not in feeds.published()
    assert len(feeds.published()) == 1
    assert acts(feeds.settings)[-2:] == [("begin_retire_key", BY_ITSELF), ("retire_key", BY_ITSELF)]
    assert feeds.step(MARGIN_MS) == 0


@pytest.mark.parametrize("transport", [SSF, LOOKUP])
def test_an_open_token_holds_its_key_and_the_margin_counts_from_its_answer(
    feeds: Feeds, transport: int
) -> None:
    (open_one,) = feeds.fan_out(transport)
    old = feeds.rotate()
    feeds.fan_out(transport)
    assert feeds.step(3 * MARGIN_MS) == 0
    (listed, _) = feeds.desk.listed()
    assert [(hold.wait, hold.count) for hold in listed.holds] == [("open_tokens", 1), ("margin", 0)]
    with pytest.raises(KeyRefused, match="1 open token"):
        feeds.desk.retire(old, by="alice", reason="by hand")
    feeds.step()
    if transport == SSF:
        feeds.acknowledge(open_one)
    else:
        assert feeds.store._connection.rows("update outbox set open = 0 where share_id = 's0' returning 1")
    assert feeds.step(MARGIN_MS) == 0, "it may have been open until this look"
    assert feeds.step(MARGIN_MS - 1) == 0
    with pytest.raises(KeyRefused, match="margin until"):
        feeds.desk.retire(old, by="alice", reason="by hand")
    assert feeds.step() == 1
    assert old not in feeds.published()


def test_what_was_open_between_two_looks_alone_is_given_the_margin_too(feeds: Feeds) -> None:
    feeds.step()
    (open_one,) = feeds.fan_out(SSF)
    feeds.rotate()
    feeds.clock.advance_ms(5_000)
    feeds.acknowledge(open_one)
    # Nobody saw it open: the margin counts from the first look after the key was used.
    assert feeds.step(5_000) == 0
    assert feeds.step(MARGIN_MS - 1) == 0
    assert feeds.step() == 1


def test_a_restart_does_not_begin_the_margin_anew_and_does_not_forget_what_was_open(feeds: Feeds) -> None:
    (open_one,) = feeds.fan_out(SSF)
    old = feeds.rotate()
    feeds.clock.advance_ms(5 * MARGIN_MS)
    # As at a start: noted before anything can be answered.
    assert feeds.retirement.note()[old].open_tokens == 1
    feeds.acknowledge(open_one)
    again = Retirement(feeds.live, feeds.desk, lambda kids, at_ms: None, feeds.clock)
    assert again.step() == 0
    feeds.clock.advance_ms(MARGIN_MS)
    assert Retirement(feeds.live, feeds.desk, lambda kids, at_ms: None, feeds.clock).step() == 1


def test_more_open_tokens_than_a_page_are_all_counted(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.backends.embedded.key_uses.PAGE_ROWS", 3)
    for _ in range(10):
        feeds.fan_out(SSF, LOOKUP)
    old = feeds.rotate()
    feeds.fan_out(SSF, LOOKUP)
    ring = feeds.live.current.ring
    found = feeds.desk.uses.of(ring.keys)
    assert {kid: use.open_tokens for kid, use in found.items()} == {old: 20, feeds.live.default().kid: 2}


def test_a_key_in_use_or_to_come_is_not_retired_by_anybody(settings: Settings) -> None:
    good(settings, "keys", "rotate", "ES256")
    for key, why in zip(keys(settings), ("in use until", "to be used from"), strict=True):
        assert why in refused(settings, "keys", "retire", key["kid"])
    assert "no key of ours" in refused(settings, "keys", "retire", "sig-0")


def test_a_key_is_destroyed_by_two_people_whatever_still_waits_for_it(feeds: Feeds) -> None:
    settings = feeds.settings
    for name, role in (("alice", "operator"), ("bob", "approver")):
        register(settings, name, role)  # type: ignore[arg-type]
    feeds.fan_out(SSF)
    feeds.clock.advance_ms(-10_000)
    old = feeds.rotate()
    destroy = ("keys", "destroy", old, "--reason", "disk sold")
    refused(settings, *destroy)
    assert "ein approve 1" in good(settings, *destroy, by="alice")
    assert old in {key["kid"] for key in keys(settings)}
    for nobody in ("", "alice"):
        refused(settings, "approve", "1", by=nobody)
    assert "approved and done" in good(settings, "approve", "1", by="bob")
    feeds.live.look()
    assert old not in feeds.published()
    assert [key["state"] for key in keys(settings, "--all")] == ["in_use", "retired"]
    told = acts(settings)
    assert told[-2:] == [("begin_destroy_key", "alice"), ("destroy_key", "alice")]
    with closing(StoredActs(settings.state.policy_db, settings.state.consents_db)) as stored:
        assert stored.after(KEYS, 0, 100)[-1].row["approver"] == "bob"


def test_what_signs_is_not_destroyed_and_nobody_can_approve_it(settings: Settings) -> None:
    register(settings, "alice")
    register(settings, "bob", "approver")
    (only,) = keys(settings)
    assert "rotate ES256 --now" in refused(
        settings, "keys", "destroy", only["kid"], "--reason", "stolen", by="alice"
    )
    assert "no key" in refused(settings, "keys", "destroy", "sig-0", "--reason", "stolen", by="alice")
    assert json.loads(good(settings, "approvals", "--json"))["approvals"] == []
    assert KeyState(only["state"]) is KeyState.IN_USE


class Module(InFile):
    """A store of keys that does not always answer."""

    down = False

    def destroy(self, kid: str) -> None:
        if self.down:
            raise KeyStoreFault("the module does not answer")
        InFile.destroy(self, kid)


def test_a_store_that_does_not_answer_holds_a_retirement_up_and_the_end_is_told_when_it_came(
    feeds: Feeds,
) -> None:
    module = Module({}, SystemEntropy())
    files = KeyFiles(
        feeds.settings.state.keys, stores={"module": module}, make_in="module", clock=feeds.clock
    )
    feeds.live = LiveKeys(files, feeds.clock)
    feeds.desk = replace(feeds.desk, files=files)
    feeds.retirement = Retirement(feeds.live, feeds.desk, lambda kids, at_ms: None, feeds.clock)
    feeds.rotate()
    old = feeds.rotate()
    assert old in module.private
    feeds.clock.advance_ms(MARGIN_MS)
    module.down = True
    with pytest.raises(KeyStoreFault):
        feeds.step()
    feeds.live.look()
    assert old not in feeds.published(), "nothing counts on a key whose end has begun"
    module.down = False
    feeds.step()
    feeds.step()
    assert old not in module.private
    told = [(verb, actor) for verb, actor in acts(feeds.settings) if "retire" in verb]
    assert told.count(("retire_key", BY_ITSELF)) == told.count(("begin_retire_key", BY_ITSELF)) == 2
