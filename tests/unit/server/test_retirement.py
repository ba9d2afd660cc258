"""Keys that are retired: what a store that ends none of them holds up, and what the ledger is told by."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.backends.embedded.in_file import InFile
from gateway.backends.embedded.keyfiles import KeyFiles
from gateway.backends.embedded.ledger import SqliteLedgerStore
from gateway.ledger.ports import KeptHead, LedgerUnavailable
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.keys import KeyStoreFault
from gateway.server.feeds.own_keys import Retirement
from gateway.server.oauth.access_tokens import LIFE_S, SKEW_S
from gateway.server.own_keys import LiveKeys
from gateway.server.policy import read_policy
from gateway.server.settings import RETIRE_MARGIN_S_MIN, FilesKeys, Settings
from gateway.server.verbs.keys import KeyDesk
from tests.kit.installation import SAMPLE_POLICY, quick_install
from tests.kit.operators import register
from tests.unit.server.test_keys_command import MARGIN_MS, Feeds
from tests.unit.server.test_operators import good


@pytest.fixture
def feeds(tmp_path: Path) -> Iterator[Feeds]:
    made = Feeds(quick_install(tmp_path, policy=read_policy(SAMPLE_POLICY), recipient_jwks={}))
    yield made
    made.close()


class Refusing(InFile):
    """A vault whose policy lets us make keys, and end none."""

    def destroy(self, kid: str) -> None:
        raise KeyStoreFault("the vault refuses our token to delete")


def test_a_store_that_ends_no_key_holds_up_no_retirement(feeds: Feeds) -> None:
    files = KeyFiles(
        feeds.settings.state.keys, stores={"vault": Refusing({}, SystemEntropy())}, make_in="vault",
        clock=feeds.clock,
    )  # fmt: skip
    feeds.live = LiveKeys(files, feeds.clock)
    feeds.desk = replace(feeds.desk, files=files)
    feeds.retirement = Retirement(feeds.live, feeds.desk, lambda kids, at_ms: None, feeds.clock)

    def refused(later_ms: int) -> None:
        with pytest.raises(KeyStoreFault, match="to delete"):
            feeds.step(later_ms)
        feeds.live.look()

    in_file, in_vault = feeds.rotate(), feeds.rotate()
    refused(MARGIN_MS)
    assert not {in_file, in_vault} & feeds.published()
    later = feeds.rotate()
    refused(10_000)
    refused(MARGIN_MS)
    assert later not in feeds.published(), "what is left of the one before is asked for in vain, and no more"


def heads(settings: Settings, number: int) -> None:
    """Has the ledger sign up to that one."""
    with closing(SqliteLedgerStore(settings.state.ledger_db)) as store:
        store.keep_head(KeptHead(number=number, line=b"{}"))


def last_head_of(feeds: Feeds) -> KeyDesk:
    """The test's desk, with what an installation's own looks at."""
    with closing(KeyDesk.of(feeds.settings, feeds.live.files, feeds.clock)) as own:
        return replace(feeds.desk, last_head=own.last_head)


def test_a_retired_key_says_which_heads_the_ledger_had_by_then(feeds: Feeds) -> None:
    feeds.desk = last_head_of(feeds)
    before_any = feeds.rotate()
    feeds.clock.advance_ms(MARGIN_MS)
    feeds.desk.retire(before_any, by="alice", reason="by hand")
    heads(feeds.settings, 7)
    old = feeds.rotate()
    feeds.clock.advance_ms(MARGIN_MS)
    feeds.desk.retire(old, by="alice", reason="by hand")
    # Read again from the file, as `ein audit verify` does.
    kept = json.loads(good(feeds.settings, "keys", "show-jwks", "--retired"))["keys"]
    told = {key["kid"]: key["retired_after_head"] for key in kept if "retired_at_ms" in key}
    assert told == {before_any: 0, old: 7}


def test_a_ledger_that_cannot_be_read_puts_a_retirement_off_and_keeps_no_stolen_key(feeds: Feeds) -> None:
    settings = feeds.settings
    feeds.desk = last_head_of(feeds)
    feeds.clock.advance_ms(-MARGIN_MS - 10_000)
    old = feeds.rotate()
    feeds.clock.advance_ms(MARGIN_MS)
    settings.state.ledger_db.write_bytes(b"no database, and as long as the first page of one" * 100)
    with pytest.raises(LedgerUnavailable):
        feeds.desk.retire(old, by="alice", reason="by hand")
    feeds.live.look()
    assert old in feeds.published()
    register(settings, "alice")
    register(settings, "bob", "approver")
    good(settings, "keys", "destroy", old, "--reason", "stolen", by="alice")
    good(settings, "approve", "1", by="bob")
    feeds.live.look()
    assert old not in feeds.published()


def test_no_margin_is_shorter_than_an_access_token_is_good() -> None:
    assert FilesKeys(retire_margin_s=RETIRE_MARGIN_S_MIN).retire_margin_s == LIFE_S + SKEW_S
    with pytest.raises(ValueError, match="retire_margin_s"):
        FilesKeys(retire_margin_s=RETIRE_MARGIN_S_MIN - 1)
