"""What is done with token keys is in the ledger, and a row of it that was touched is named."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from gateway.backends.embedded.token_keys import SqliteTokenKeys
from gateway.ledger.entry import PREFIX
from gateway.sealing.keys import KeyRefused
from gateway.sealing.token_epochs import EpochChange
from tests.unit.ledger.kit import Ledger

BANK = "northgate-bank"


@pytest.fixture
def events(ledger: Ledger) -> Iterator[SqliteTokenKeys]:
    with closing(SqliteTokenKeys(str(ledger.state.policy_db), ledger.clock)) as store:
        yield store


def acts(ledger: Ledger) -> list[dict[str, Any]]:
    return [json.loads(data[PREFIX.size :]) for data in ledger.entries("acts")]


def test_a_schedule_and_each_first_handing_out_are_acts_without_a_name_or_a_reason(
    ledger: Ledger, events: SqliteTokenKeys
) -> None:
    events.schedule(BANK, EpochChange(2, 5, 9), by="CANARY-ops", reason="CANARY")
    for _ in range(2):
        events.hand_out(BANK, [1, 2], recipient_kid="enc-1")
    events.hand_out(BANK, [1, 2, 3], recipient_kid="enc-1")
    ledger.step()
    told = acts(ledger)
    assert [(one["source"], one["act"]) for one in told] == [
        ("token_keys", "schedule_token_epoch"),
        *[("token_keys", "hand_out_token_key")] * 3,
    ]
    assert "CANARY" not in json.dumps(told)
    assert ledger.found() == []


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("update token_key_events set recipient_id = 'other-bank' where event_id = 2", "edited"),
        ("update token_key_events set epoch = 9 where event_id = 2", "edited"),
        ("delete from token_key_events where event_id = 2", "deleted"),
    ],
)
def test_a_handing_out_that_somebody_takes_back_is_named(
    ledger: Ledger, events: SqliteTokenKeys, statement: str, kind: str
) -> None:
    events.hand_out(BANK, [1, 2, 3], recipient_kid="enc-1")
    ledger.step()
    with closing(sqlite3.connect(ledger.state.policy_db, isolation_level=None)) as other:
        other.execute(statement)
    assert ledger.found() == [(kind, "acts/token_keys", 2, 2)]


@pytest.mark.parametrize("reason", ["", " ", "x" * 257])
def test_a_schedule_without_a_reason_is_refused(events: SqliteTokenKeys, reason: str) -> None:
    with pytest.raises(KeyRefused, match="reason"):
        events.schedule(BANK, EpochChange(2, 5, 9), by="ops", reason=reason)
