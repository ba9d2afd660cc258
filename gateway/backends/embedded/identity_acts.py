"""Acts about machines that may call, in the policy's SQLite file: what was meant, before it is done."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from gateway.backends.embedded.policy import MAX_TEXT_CHARACTERS, PolicyStoreUnavailable
from gateway.backends.embedded.shared_database import SharedDatabase
from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock

_SCHEMA: Final = """
create table if not exists identity_events (
    event_id integer primary key autoincrement, verb text not null, subject_id text not null,
    principal_id text not null, role text not null, proofs text not null, actor text not null,
    reason text not null, at_ms integer not null
) strict;
"""


class IdentityVerb(StrEnum):
    """What is done. As the ledger names it."""

    ISSUE_TOKEN = "issue_token"  # noqa: S105 - a word
    REVOKE_TOKENS = "revoke_tokens"
    ADD_CLIENT = "add_client"
    REMOVE_CLIENT = "remove_client"


class IdentityActRefused(GatewayError):
    """The act cannot be written down as it is."""

    code = "identity_act_refused"


class SqliteIdentityActs(SharedDatabase):
    """Rows are never changed. Threads may share one; calls take turns."""

    UNAVAILABLE = PolicyStoreUnavailable
    NAME = "the policy store"
    SCHEMA = _SCHEMA
    NEWEST_TABLE = "identity_events"

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        super().__init__(path)

    def write(
        self,
        verb: IdentityVerb,
        subject_id: str,
        *,
        principal_id: str,
        role: str = "",
        proofs: Sequence[str] = (),
        by: str,
        reason: str = "",
    ) -> None:
        """`proofs`: what a client proves itself by, as thumbprints and words; never a secret or its hash."""
        if len(reason) > MAX_TEXT_CHARACTERS or not reason.isprintable():
            raise IdentityActRefused(f"reason takes up to {MAX_TEXT_CHARACTERS} printable characters")
        with self._write() as db:
            db.execute(
                "insert into identity_events values (null, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    str(verb), subject_id, principal_id, role, " ".join(proofs), by, reason,
                    self._clock.wall_ms(),
                ),
            )  # fmt: skip
