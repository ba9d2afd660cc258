"""What was done to our signing keys, by whom and why: events in the policy's SQLite file, for the ledger.

Each act has two, before it is done (`begin_...`) and after: what a process that died left undone is seen.
A key is made once and ends once: whoever finds it done later writes what is missing, nobody writes it twice.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.backends.embedded.policy import MAX_TEXT_CHARACTERS, PolicyStoreUnavailable
from gateway.backends.embedded.shared_database import SharedDatabase
from gateway.ledger.entry import Act
from gateway.runtime.clock import Clock
from gateway.sealing.keys import KeyRefused, SignatureAlgorithm

KEYS: Final = "keys"
TABLE: Final = "key_events"
EVENTS: Final = """select event_id, verb, kid, alg, use_from_ms, actor, approver, reason, at_ms
    from key_events where event_id > ? order by event_id limit ?"""

_SCHEMA: Final = """
create table if not exists key_events (
    event_id integer primary key autoincrement, verb text not null, kid text not null, alg text not null,
    use_from_ms integer not null, actor text not null, approver text not null, reason text not null,
    at_ms integer not null
) strict;
"""


class KeyVerb(StrEnum):
    """What may be done to a key; `REWRAP` is of the file that all are in."""

    ADD = "add_key"
    ROTATE = "rotate_key"
    RETIRE = "retire_key"
    DESTROY = "destroy_key"
    REWRAP = "rewrap"


BEGIN: Final = "begin_"
VERBS: Final = frozenset((*KeyVerb, *(BEGIN + verb for verb in KeyVerb)))

_DONE: Final = "select 1 from key_events where verb = ? and kid = ?"
_ENDS: Final = f"'{KeyVerb.RETIRE}', '{KeyVerb.DESTROY}'"
_BEGINS: Final = f"'{BEGIN}{KeyVerb.RETIRE}', '{BEGIN}{KeyVerb.DESTROY}'"
# Of two acts that began the later one is meant: two people may destroy what the feeds could not end.
_ENDINGS: Final = f"""select verb, kid, alg, actor, approver, reason from key_events
    where event_id in (select max(event_id) from key_events where verb in ({_BEGINS}) group by kid)
    and kid not in (select kid from key_events where verb in ({_ENDS})) order by event_id"""  # noqa: S608  our own words


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAct:
    """Who does what to which key, and why. `use_from_ms` of a new one: when it signs.

    What is done to the file of all of them has neither `kid` nor `alg`.
    """

    verb: KeyVerb
    kid: str = ""
    alg: SignatureAlgorithm | None = None
    by: str
    reason: str
    approver: str = ""
    use_from_ms: int = 0


class SqliteKeyActs(SharedDatabase):
    """Threads may share one; calls take turns."""

    UNAVAILABLE = PolicyStoreUnavailable
    NAME = "the policy store"
    SCHEMA = _SCHEMA
    NEWEST_TABLE = TABLE

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        super().__init__(path)

    def begin(self, act: KeyAct) -> None:
        """Durable before the key changes. Raises KeyRefused for a reason that is none."""
        if not act.reason.strip() or len(act.reason) > MAX_TEXT_CHARACTERS:
            raise KeyRefused(f"reason takes 1 to {MAX_TEXT_CHARACTERS} characters")
        self._keep(BEGIN + act.verb, act)

    def done(self, act: KeyAct) -> None:
        """After the key changed; where that is written already nothing happens."""
        self._keep(act.verb, act, once=bool(act.kid))

    def endings(self) -> list[KeyAct]:
        """Of each key whose end began, and is not written to be done: the act that began it last."""
        with self._lock, self._faults():
            rows = self._db.execute(_ENDINGS).fetchall()
        return [
            KeyAct(
                verb=KeyVerb(verb.removeprefix(BEGIN)), kid=kid, alg=SignatureAlgorithm(alg), by=actor,
                approver=approver, reason=reason,
            )
            for verb, kid, alg, actor, approver, reason in rows
        ]  # fmt: skip

    def _keep(self, verb: str, act: KeyAct, *, once: bool = False) -> None:
        row = (verb, act.kid, str(act.alg or ""), act.use_from_ms, act.by, act.approver, act.reason)
        with self._write() as db:
            if once and db.execute(_DONE, (verb, act.kid)).fetchone():
                return
            db.execute(
                "insert into key_events values (null, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, self._clock.wall_ms())
            )


def act_of(
    event_id: int, verb: str, kid: str, alg: str, use_from_ms: int, actor: str, approver: str, reason: str,
    at_ms: int,
) -> Act:  # fmt: skip
    """A row of `EVENTS` as the ledger has it."""
    return Act(
        source=KEYS, position=event_id, at_ms=at_ms, verb=verb if verb in VERBS else "other",
        row={
            "event_id": event_id, "verb": verb, "kid": kid, "alg": alg, "use_from_ms": use_from_ms,
            "actor": actor, "approver": approver, "reason": reason, "at_ms": at_ms,
        },
    )  # fmt: skip
