"""The ledger's thread: heads, restarts, crashes, another owner."""

import json
from math import inf
from pathlib import Path

import pytest

from gateway.ledger.heads import parse_claims, parse_line
from gateway.ledger.merkle import Tree, leaf_hash, verify_consistency
from gateway.ledger.ports import KeptHead, LedgerUnavailable
from gateway.server.cli.audit import NotProven, proof_of
from gateway.server.feeds.ledger import HEAD_INTERVAL_MS, HeadsAhead
from tests.unit.ledger.kit import CHAIN, Ledger


def test_a_head_is_signed_on_change_and_not_more_often_than_the_interval(ledger: Ledger) -> None:
    ledger.step()
    assert ledger.heads.last_line() is None, "of nothing there is no head"
    ledger.share(1)
    ledger.send(2)
    ledger.keeper.step()
    assert len(ledger.lines()) == 1
    ledger.clock.advance_ms(HEAD_INTERVAL_MS)
    ledger.keeper.step()
    assert len(ledger.lines()) == 2
    ledger.step()
    assert len(ledger.lines()) == 2, "nothing has changed"
    assert HEAD_INTERVAL_MS < 10_000


def test_a_head_can_be_checked_from_its_line_and_the_entries_alone(ledger: Ledger) -> None:
    ledger.share(1, 2, 3)
    claims, _ = parse_line(ledger.lines()[0])
    [chain] = claims["chains"]
    assert (chain["chain"], chain["size"], claims["size"]) == (CHAIN, 3, 3)
    hashes = [leaf_hash(data) for data in ledger.entries()]
    assert chain["root"] == Tree(hashes).root().hex()
    assert chain["last"] == hashes[-1].hex()


def test_each_head_is_consistent_with_those_before_it(ledger: Ledger) -> None:
    for number in range(1, 8):
        ledger.share(number)
    heads = [parse_claims(parse_line(line)[0]).chains[0] for line in ledger.lines()]
    for old in heads:
        for new in heads[old.size - 1 :]:
            tree = Tree([leaf_hash(data) for data in ledger.entries()[: new.size]])
            verify_consistency(old.size, new.size, old.root, new.root, tree.consistency(old.size))


def test_a_restart_goes_on_where_it_was(ledger: Ledger) -> None:
    ledger.share(1, 2)
    ledger.keeper.close()
    ledger.start()
    ledger.step()
    assert len(ledger.lines()) == 1, "a head of what was signed already says nothing new"
    ledger.share(3)
    assert ledger.verify().intact
    assert ledger.verify().heads == 2


@pytest.mark.parametrize("rest", [b"", b'{"at_ms":17'])
def test_a_crash_between_store_and_file_of_the_heads_is_mended_at_the_start(
    ledger: Ledger, rest: bytes
) -> None:
    ledger.share(1)
    ledger.share(2)
    ledger.rewrite_heads(lambda lines: lines[:1])
    with ledger.state.ledger_heads.open("ab") as file:
        file.write(rest)
    ledger.keeper.close()
    ledger.start()
    ledger.share(3)
    assert ledger.verify().intact
    assert ledger.verify().heads == 3


def test_a_store_that_is_behind_its_heads_signs_no_second_history(ledger: Ledger) -> None:
    ledger.share(1)
    ledger.share(2)
    ledger.keeper.close()
    ledger.sql("update head set number = 1, line = ?", ledger.lines()[0])
    ledger.start()
    ledger.evaluate(3)
    ledger.send(3)
    with pytest.raises(HeadsAhead):
        ledger.step()
    assert len(ledger.lines()) == 2
    assert len(ledger.entries()) == 3, "what left goes into the ledger all the same"


def test_a_second_owner_is_refused_and_the_first_once_it_lost_the_store(ledger: Ledger) -> None:
    with pytest.raises(LedgerUnavailable):
        ledger.start()
    ledger.sql("update owner set fence = fence + 1")
    ledger.evaluate(1)
    with pytest.raises(LedgerUnavailable):
        ledger.step()


def test_the_lag_is_the_time_since_all_that_was_durable_was_in_the_ledger(ledger: Ledger) -> None:
    assert ledger.keeper.lag_s() == inf, "it has read nothing yet: nobody may take it for caught up"
    ledger.step()
    ledger.clock.advance_ms(1500)
    assert ledger.keeper.lag_s() == pytest.approx(1.5)
    ledger.keeper.step()
    assert ledger.keeper.lag_s() == 0


def test_a_proof_leads_from_an_entry_to_a_signed_head(ledger: Ledger) -> None:
    ledger.share(*range(10))
    proof = proof_of(ledger.state, "share-3")
    [entry] = proof["entries"]
    assert (entry["chain"], entry["seq"], entry["entry"]["share"]["share_id"]) == (CHAIN, 3, "share-3")
    assert json.loads(ledger.lines()[-1]) == entry["head"]
    with pytest.raises(NotProven):
        proof_of(ledger.state, "share-11")
    ledger.evaluate(11)
    ledger.send(11)
    ledger.keeper.follow()
    with pytest.raises(NotProven, match="not signed yet"):
        proof_of(ledger.state, "share-11")


def test_a_kept_head_is_of_the_number_that_its_line_says(ledger: Ledger) -> None:
    ledger.share(1)
    kept = ledger.store.kept_head()
    assert kept == KeptHead(number=1, line=ledger.lines()[0])


def test_the_files_of_the_ledger_are_their_owners_alone(ledger: Ledger) -> None:
    ledger.share(1)
    for path in Path(ledger.state.ledger_db.parent).iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name
