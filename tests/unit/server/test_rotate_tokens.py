"""`ein keys rotate-tokens`: who changes when, what is refused, and that all of it or nothing is done."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.backends.embedded.ledger_acts import StoredActs
from gateway.backends.embedded.token_keys import TOKEN_KEYS, SqliteTokenKeys
from gateway.records.errors import GatewayError
from gateway.runtime.clock import SimClock
from gateway.sealing.keys import KeyRefused
from gateway.sealing.token_epochs import EPOCHS_MAX, EpochChange, TokenEpochs, first_free_epoch
from gateway.server.cli.keys import keys_command
from gateway.server.install import install
from gateway.server.own_keys import key_files
from gateway.server.policy import read_policy
from gateway.server.settings import Settings
from gateway.server.verbs.token_epochs import TokenEpochDesk
from tests.kit.installation import SAMPLE_POLICY
from tests.unit.sharing.kit import sample_pairs

BANK, OTHER = "harbor-federal", "northgate-bank"
NOW_MS, DAY_MS = 1_790_000_000_000, 24 * 3_600_000


class Rig:
    def __init__(self, folder: Path) -> None:
        jwks = {name: json.dumps({"keys": [sample_pairs()[name][0]]}) for name in (BANK, OTHER)}
        self.settings: Settings = install(
            folder, policy=read_policy(SAMPLE_POLICY), recipient_jwks=jwks, scrypt_log2_n=4
        )
        self.clock = SimClock(wall_ms=NOW_MS)
        self.files = key_files(self.settings, self.clock)
        self.events = SqliteTokenKeys(str(self.settings.state.policy_db), self.clock)
        self.desk = TokenEpochDesk(self.files, self.events, self.clock)

    def schedule(self, *recipient_ids: str, **changed: Any) -> Any:
        asked: dict[str, Any] = {
            "ahead_ms": DAY_MS, "overlap_ms": 7 * DAY_MS, "by": "ops", "reason": "regular"
        }  # fmt: skip
        return self.desk.schedule(recipient_ids, **{**asked, **changed})

    def epochs(self) -> dict[str, tuple[EpochChange, ...]]:
        return dict(self.files.load().token_epochs.changes)

    def acts(self) -> list[dict[str, Any]]:
        state = self.settings.state
        with closing(StoredActs(state.policy_db, state.consents_db)) as acts:
            return [dict(one.row) for one in acts.after(TOKEN_KEYS, 0, 99)]

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(keys_command, [*arguments, "--config", str(self.settings.source)])


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.events.close()


def test_an_epoch_is_written_into_the_key_file_and_into_the_ledgers_source_with_who_and_why(rig: Rig) -> None:
    change = EpochChange(2, NOW_MS + DAY_MS, NOW_MS + 8 * DAY_MS)
    assert rig.schedule(BANK).changes == {BANK: change}
    assert rig.epochs() == {BANK: (change,)}
    (act,) = rig.acts()
    assert (act["verb"], act["recipient_id"], act["epoch"], act["from_ms"], act["both_until_ms"]) == (
        "schedule_token_epoch", BANK, 2, change.from_ms, change.both_until_ms,
    )  # fmt: skip
    assert (act["actor"], act["reason"], act["recipient_kid"]) == ("ops", "regular", "")


@pytest.mark.parametrize(
    "asked",
    [
        {"ahead_ms": 4_999}, {"ahead_ms": 401 * DAY_MS}, {"overlap_ms": -1}, {"overlap_ms": 401 * DAY_MS},
        {"reason": " "},
    ],
    ids=str,
)  # fmt: skip
def test_what_nobody_means_is_refused_and_nothing_is_changed(rig: Rig, asked: dict[str, Any]) -> None:
    with pytest.raises(KeyRefused):
        rig.schedule(BANK, **asked)
    assert rig.epochs() == {}
    assert rig.acts() == []


def test_nobody_changes_to_two_epochs_at_once_and_who_is_left_out_of_all_is_named(rig: Rig) -> None:
    rig.schedule(BANK)
    with pytest.raises(KeyRefused, match="changing to one already"):
        rig.schedule(OTHER, BANK)
    assert set(rig.epochs()) == {BANK}
    assert len(rig.acts()) == 1
    done = rig.schedule(OTHER, BANK, skip_changing=True)
    assert (set(done.changes), done.changing) == ({OTHER}, (BANK,))
    rig.clock.jump_wall_ms(8 * DAY_MS)
    assert rig.schedule(BANK).changes[BANK].epoch == 3


def test_the_command_schedules_for_one_or_for_all_and_says_when(rig: Rig) -> None:
    done = rig.run("rotate-tokens", BANK, "--ahead", "2d", "--overlap", "3d")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{BANK}: epoch 2 from ")
    (change,) = rig.epochs()[BANK]
    assert change.both_until_ms - change.from_ms == 3 * DAY_MS
    done = rig.run("rotate-tokens", "--all", "--reason", "yearly")
    assert f"{OTHER}: epoch 2 from " in done.output
    assert f"{BANK}: changing already, left as it is" in done.output
    assert [act["reason"] for act in rig.acts()] == ["regular change", "yearly"]


@pytest.mark.parametrize("under_way", ["nothing", "an overlap", "a change that is planned"])
def test_a_lost_key_is_of_no_use_seconds_later_whatever_was_under_way(rig: Rig, under_way: str) -> None:
    if under_way != "nothing":
        rig.schedule(BANK)
    if under_way == "an overlap":
        rig.clock.jump_wall_ms(2 * DAY_MS)
    before = rig.epochs().get(BANK, ())
    last, now_ms = len(before) + 1, rig.clock.wall_ms()
    rig.schedule(BANK, ahead_ms=10_000, overlap_ms=0, lost=True)
    epochs = rig.files.load().token_epochs
    held = epochs.of(BANK, now_ms + 9_999)
    planned = under_way == "a change that is planned"
    assert (held.epoch, held.previous) == {"nothing": (1, 0), "an overlap": (2, 1)}.get(under_way, (1, 0))
    assert (epochs.of(BANK, now_ms + 10_000).epoch, epochs.of(BANK, now_ms + 10_000).previous) == (
        last + 1,
        0,
    )
    # A planned epoch whose key was handed out ahead is passed over: it was lost with the other.
    assert [one.from_ms for one in epochs.changes[BANK]][-2:].count(now_ms + 10_000) == (2 if planned else 1)
    assert epochs.of(BANK, now_ms + 400 * DAY_MS).epoch == last + 1


def test_a_lost_key_has_no_overlap_and_a_reason(rig: Rig) -> None:
    with pytest.raises(KeyRefused, match="none where the key is lost"):
        rig.schedule(BANK, lost=True)
    assert "--lost needs --reason" in rig.run("rotate-tokens", BANK, "--lost").output
    rig.run("rotate-tokens", BANK)
    done = rig.run("rotate-tokens", BANK, "--lost", "--reason", "laptop stolen")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{BANK}: epoch 3 from ")
    assert "both tokens" not in done.output
    assert rig.acts()[-1]["reason"] == "laptop stolen"


def test_behind_a_restore_the_next_epoch_is_one_whose_key_nobody_ever_had(rig: Rig) -> None:
    # A change of after the backup, which the restore took back: its key was handed out.
    leaked = rig.schedule(BANK).changes[BANK].epoch
    rig.files.change_epochs(lambda epochs: TokenEpochs())
    rig.settings.state.restored.write_text(json.dumps({"restored_at_ms": NOW_MS}))
    done = rig.run("rotate-tokens", BANK, "--lost", "--reason", "stolen, done again after the restore")
    assert done.exit_code == 0, done.output
    (change,) = rig.epochs()[BANK]
    assert change.epoch == first_free_epoch(NOW_MS) > leaked
    own = rig.files.load().mac_keys
    assert own.token(BANK, change.epoch).secret != own.token(BANK, leaked).secret
    assert [act["epoch"] for act in rig.acts()] == [leaked, change.epoch]


def test_a_lost_key_is_changed_by_who_has_used_up_all_regular_changes(rig: Rig) -> None:
    def all_used_up(epochs: TokenEpochs) -> TokenEpochs:
        for number in range(2, EPOCHS_MAX + 1):
            at_ms = NOW_MS - DAY_MS + number
            epochs = epochs.changed(BANK, now_ms=at_ms, from_ms=at_ms, both_until_ms=at_ms)
        return epochs

    rig.files.change_epochs(all_used_up)
    with pytest.raises(KeyRefused, match="at most 128"):
        rig.schedule(BANK)
    done = rig.schedule(BANK, ahead_ms=10_000, overlap_ms=0, lost=True)
    assert done.changes[BANK].epoch == EPOCHS_MAX + 1
    assert rig.epochs()[BANK][-1] == done.changes[BANK]


def test_the_epochs_of_each_recipient_are_shown_with_whether_it_has_fetched_the_key(rig: Rig) -> None:
    now = rig.run("token-epochs")
    assert now.output.splitlines() == [
        f"{name:<24} epoch 1  in use; key not fetched yet" for name in (BANK, OTHER)
    ]
    rig.events.hand_out(BANK, [1], recipient_kid="enc")
    rig.run("rotate-tokens", BANK, "--ahead", "9d", "--overlap", "0s")
    (change,) = rig.epochs()[BANK]
    told = json.loads(rig.run("token-epochs", "--json").output)["token_epochs"]
    assert [one for one in told if one["recipient_id"] == BANK] == [
        {
            "recipient_id": BANK, "epoch": 1, "from_ms": 0, "until_ms": change.from_ms, "in_use": True,
            "fetched": True,
        },
        {
            "recipient_id": BANK, "epoch": 2, "from_ms": change.from_ms, "until_ms": 0, "in_use": False,
            "fetched": False,
        },
    ]  # fmt: skip
    shown = rig.run("token-epochs").output
    assert "epoch 1  in use until " in shown
    assert shown.count("key fetched") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give a RECIPIENT_ID, or --all"),
        ([BANK, "--all"], "give a RECIPIENT_ID, or --all"),
        (["no-bank"], "it has no keys here"),
        ([BANK, "--overlap", "a week"], "overlap: a whole number"),
        ([BANK, "--ahead", "1s"], "ahead: 5s to 400d"),
    ],
)
def test_the_command_says_what_is_wrong_and_how_to_mend_it(rig: Rig, arguments: list[str], says: str) -> None:
    done = rig.run("rotate-tokens", *arguments)
    assert done.exit_code != 0
    refused = done.exception.public if isinstance(done.exception, GatewayError) else done.output
    assert says in refused
    assert rig.epochs() == {}
