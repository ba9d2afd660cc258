"""Restores are acts with numbers that rise, also from a backup of what was restored before."""

from contextlib import closing
from pathlib import Path

from gateway.backends.embedded.ledger_acts import StoredActs
from gateway.ledger.entry import Act
from gateway.runtime.disk import RealDisk
from gateway.server.backup.backup import back_up
from gateway.server.backup.restore import restore_state
from tests.kit.installation import Installation
from tests.unit.server.test_backup import NOW_MS, fresh, write


def test_every_restore_is_an_act_with_a_number_of_its_own_behind_those_of_before(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    state = Installation(tmp_path / "first").state
    write(state, 3)
    before: list[Act] = []
    for number in range(3):
        archive = tmp_path / f"archive-{number}"
        back_up(state, archive, RealDisk(), now_ms=NOW_MS + number, with_passphrase=False)
        settings = fresh(tmp_path / f"restored-{number}")
        restored = restore_state(settings, archive, RealDisk(), now_ms=NOW_MS + 50 + number)
        state = settings.state
        with closing(StoredActs(state.policy_db, state.consents_db)) as stored:
            acts = stored.after("restores", 0, 10)
        assert acts[:-1] == before, "those of before came along"
        made = acts[-1]
        assert (made.verb, made.position, made.at_ms) == ("restore", number + 1, NOW_MS + 50 + number)
        assert made.row["began_at_ms"] == NOW_MS + number
        assert made.row["first_free_seq"] == restored.first_free_seq
        assert str(made.row["actor"]).startswith("os:")
        before = acts
