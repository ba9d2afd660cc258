"""Acts on token keys, in the policy's SQLite file: epochs that were scheduled, keys that were handed out."""

from collections.abc import Sequence
from typing import Final

from gateway.backends.embedded.policy import MAX_TEXT_CHARACTERS, PolicyStoreUnavailable
from gateway.backends.embedded.shared_database import SharedDatabase
from gateway.ledger.entry import Act
from gateway.runtime.clock import Clock
from gateway.sealing.keys import KeyRefused
from gateway.sealing.token_epochs import EpochChange

TOKEN_KEYS: Final = "token_keys"  # noqa: S105 - the name of the source
TABLE: Final = "token_key_events"
EVENTS: Final = """select event_id, verb, recipient_id, epoch, from_ms, both_until_ms, recipient_kid, actor,
    reason, at_ms from token_key_events where event_id > ? order by event_id limit ?"""

HAND_OUT: Final = "hand_out_token_key"
SCHEDULE: Final = "schedule_token_epoch"

# A key that is handed out again, sealed to the same key, is no other disclosure.
_SCHEMA: Final = f"""
create table if not exists token_key_events (
    event_id integer primary key autoincrement, verb text not null, recipient_id text not null,
    epoch integer not null, from_ms integer not null, both_until_ms integer not null,
    recipient_kid text not null, actor text not null, reason text not null, at_ms integer not null
) strict;
create unique index if not exists token_keys_handed_out
    on token_key_events (recipient_id, epoch, recipient_kid) where verb = '{HAND_OUT}';
"""
_KNOWN: Final = "select epoch from token_key_events where recipient_id = ? and recipient_kid = ? and verb = ?"
_ALL: Final = "select distinct recipient_id, epoch from token_key_events where verb = ?"
_INSERT: Final = """insert or ignore into token_key_events
    (verb, recipient_id, epoch, from_ms, both_until_ms, recipient_kid, actor, reason, at_ms)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?)"""


class SqliteTokenKeys(SharedDatabase):
    """Written before anything leaves or changes: the ledger says at least what did. Threads may share one."""

    UNAVAILABLE = PolicyStoreUnavailable
    NAME = "the policy store"
    SCHEMA = _SCHEMA
    NEWEST_TABLE = TABLE

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        super().__init__(path)

    def hand_out(self, recipient_id: str, epochs: Sequence[int], *, recipient_kid: str) -> None:
        """Writes down what is not written yet of keys that are about to leave, sealed to `recipient_kid`."""
        with self._lock, self._faults():
            known = {row[0] for row in self._db.execute(_KNOWN, (recipient_id, recipient_kid, HAND_OUT))}
        new = [epoch for epoch in epochs if epoch not in known]
        if not new:
            return
        now_ms = self._clock.wall_ms()
        with self._write() as db:
            # Another process may have been first: its row stays.
            db.executemany(
                _INSERT,
                [(HAND_OUT, recipient_id, epoch, 0, 0, recipient_kid, "", "", now_ms) for epoch in new],
            )

    def handed_out(self) -> frozenset[tuple[str, int]]:
        """(recipient, epoch) of every key that was handed out."""
        with self._lock, self._faults():
            rows = self._db.execute(_ALL, (HAND_OUT,)).fetchall()
        return frozenset((row[0], row[1]) for row in rows)

    def schedule(self, recipient_id: str, change: EpochChange, *, by: str, reason: str) -> None:
        """Raises KeyRefused for a reason that is none."""
        if not reason.strip() or len(reason) > MAX_TEXT_CHARACTERS:
            raise KeyRefused(f"reason takes 1 to {MAX_TEXT_CHARACTERS} characters")
        row = (SCHEDULE, recipient_id, change.epoch, change.from_ms, change.both_until_ms, "", by, reason)
        with self._write() as db:
            db.execute(_INSERT, (*row, self._clock.wall_ms()))


def act_of(
    event_id: int, verb: str, recipient_id: str, epoch: int, from_ms: int, both_until_ms: int,
    recipient_kid: str, actor: str, reason: str, at_ms: int,
) -> Act:  # fmt: skip
    """A row of `EVENTS` as the ledger has it."""
    known = verb if verb in (HAND_OUT, SCHEDULE) else "other"
    return Act(
        source=TOKEN_KEYS, position=event_id, at_ms=at_ms, verb=known,
        row={
            "event_id": event_id, "verb": verb, "recipient_id": recipient_id, "epoch": epoch,
            "from_ms": from_ms, "both_until_ms": both_until_ms, "recipient_kid": recipient_kid,
            "actor": actor, "reason": reason, "at_ms": at_ms,
        },
    )  # fmt: skip
