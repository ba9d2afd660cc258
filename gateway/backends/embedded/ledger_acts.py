"""Administrative acts as their stores keep them: switches and consents by epoch, the others by number."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from gateway.backends.embedded import key_acts, token_keys
from gateway.backends.embedded.identity_acts import IdentityVerb
from gateway.ledger.entry import Act
from gateway.ledger.ports import LedgerUnavailable
from gateway.programs.approvals import Kind
from gateway.programs.consent_packs import HASH_BITS, columns_of, hash_of

BUSY_TIMEOUT_S: Final = 1.0
"""Readers of a WAL wait for nobody but a recovery."""

SWITCHES: Final = "switches"
SNAPSHOTS: Final = "snapshots"
CONSENTS: Final = "consents"
APPROVALS: Final = "approvals"
RESTORES: Final = "restores"
ENROLMENTS: Final = "enrolments"
IDENTITIES: Final = "identities"

_VERBS: Final = {"killed": "kill", "paused": "pause", "resumed": "resume", "revived": "revive"}
_SWITCH_EVENTS = """select epoch, program, issuer_id, verb, actor, reason, at_ms from switch_events
    where epoch > ? order by epoch limit ?"""
_SNAPSHOTS = """select s.version, s.files, s.actor, s.reason, s.at_ms, coalesce(o.restored_from, 0)
    from snapshots s left join snapshot_origins o using (version)
    where s.version > ? order by s.version limit ?"""
_CONSENT_ACTS = """select act_id, epoch, kind, actor, reason, at_ms from acts
    where epoch > ? order by epoch limit ?"""
# That it was carried out is, of a revival, an act of the switches; of an enrolment or a key, one of its own.
_APPROVALS = """select e.event_id, e.verb, e.actor, e.at_ms, a.approval_id, a.kind, a.subject, a.reason,
    a.requested_by, a.requested_at_ms from approval_events e join approvals a using (approval_id)
    where e.event_id > ? and not (e.verb = 'done' and a.kind in ('revive', 'enrol_issuer', 'destroy_key'))
    order by e.event_id limit ?"""
_RESTORES = """select restore_id, actor, at_ms, began_at_ms, files, bytes, first_free_seq from restores
    where restore_id > ? order by restore_id limit ?"""
_ENROLMENTS = """select event_id, verb, recipient_id, subject_id, actor, reason, thumbprints, at_ms
    from enrolment_events where event_id > ? order by event_id limit ?"""
_IDENTITIES = """select event_id, verb, subject_id, principal_id, role, proofs, actor, reason, at_ms
    from identity_events where event_id > ? order by event_id limit ?"""
_KNOWN = "select 1 from sqlite_master where type = 'table' and name = ?"
_TABLES = {
    APPROVALS: "approval_events",
    RESTORES: "restores",
    ENROLMENTS: "enrolment_events",
    key_acts.KEYS: key_acts.TABLE,
    token_keys.TOKEN_KEYS: token_keys.TABLE,
    IDENTITIES: "identity_events",
}
"""Of sources whose first act makes their table."""

_APPROVAL_VERBS: Final = {"asked": "ask", "approved": "approve", "refused": "refuse", "alone": "alone"}
_CONSENT_VERBS: Final = {
    "put": "consent", "import": "import_consents", "objection": "objection", "erasure": "erasure",
    "objection upheld": "uphold_objection", "objection refused": "refuse_objection",
    "erasure certified": "certify_erasure", "erasure told": "tell_erasure",
}  # fmt: skip
_CASES_OF_ACT = """select e.case_id, e.kind, e.state, hex(k.unit_key) from case_events e
    left join case_keys k using (case_id) where e.act_id = ? order by e.event_id, k.unit_key"""
_TOLD_OF_ACT = "select case_id, recipient_id, evidence from case_told where act_id = ?"
_SETTINGS_OF_ACT = """select party, party_id, tier, terms_version, evidence, valid_from_ms, valid_until_ms
    from settings where act_id = ? order by row_id"""
_PACKS_OF_ACT = "select last_row, row_count, low, high, rows from packs where act_id = ? order by last_row"


class StoredActs:
    """Implements `ActSource` over the files of the policy store and of the registry of consents.

    Not for several threads at once.
    """

    def __init__(self, policy_db: Path, consents_db: Path) -> None:
        self._paths = {
            SWITCHES: policy_db, SNAPSHOTS: policy_db, CONSENTS: consents_db, APPROVALS: policy_db,
            RESTORES: policy_db, ENROLMENTS: policy_db, key_acts.KEYS: policy_db,
            token_keys.TOKEN_KEYS: policy_db, IDENTITIES: policy_db,
        }  # fmt: skip
        self._raw: dict[Path, sqlite3.Connection] = {}

    def sources(self) -> Sequence[str]:
        return tuple(self._paths)

    def after(self, source: str, position: int, max_acts: int) -> list[Act]:
        try:
            db = self._connection(self._paths[source])
            if source == SWITCHES:
                return [
                    _switched(*row) for row in db.execute(_SWITCH_EVENTS, (position, max_acts)).fetchall()
                ]
            if source == SNAPSHOTS:
                return [_applied(*row) for row in db.execute(_SNAPSHOTS, (position, max_acts)).fetchall()]
            if source == CONSENTS:
                rows = db.execute(_CONSENT_ACTS, (position, max_acts)).fetchall()
                return [_said(db, *row) for row in rows]
            if not db.execute(_KNOWN, (_TABLES[source],)).fetchone():
                return []
            statement, made = _READ[source]
            return [made(*row) for row in db.execute(statement, (position, max_acts)).fetchall()]
        except sqlite3.Error:
            self.close()
            raise LedgerUnavailable("a store of acts does not answer the ledger: check its disk") from None

    def close(self) -> None:
        for raw in self._raw.values():
            raw.close()
        self._raw.clear()

    def _connection(self, path: Path) -> sqlite3.Connection:
        if path not in self._raw:
            self._raw[path] = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S,
            )  # fmt: skip
        return self._raw[path]


def _switched(
    epoch: int, program: str, issuer_id: str, verb: str, actor: str, reason: str, at_ms: int
) -> Act:
    # What follows the first word names people, and stays in the row.
    word = verb.partition(",")[0]
    return Act(
        source=SWITCHES, position=epoch, verb=_VERBS.get(word, "other"), at_ms=at_ms, program=program,
        issuer_id=issuer_id,
        row={
            "epoch": epoch, "program": program, "issuer_id": issuer_id, "verb": verb, "actor": actor,
            "reason": reason, "at_ms": at_ms,
        },
    )  # fmt: skip


def _applied(version: int, files: str, actor: str, reason: str, at_ms: int, restored_from: int) -> Act:
    return Act(
        source=SNAPSHOTS, position=version, verb="rollback" if restored_from else "apply", at_ms=at_ms,
        policy_version=version,
        row={
            "version": version, "actor": actor, "reason": reason, "at_ms": at_ms,
            "restored_from": restored_from, "files_sha256": sha256(files.encode()).hexdigest(),
        },
    )  # fmt: skip


def _said(
    db: sqlite3.Connection, act_id: int, epoch: int, kind: str, actor: str, reason: str, at_ms: int
) -> Act:
    row: dict[str, object] = {"epoch": epoch, "kind": kind, "actor": actor, "reason": reason, "at_ms": at_ms}
    # What a cardholder asked for has cases in place of settings.
    if kind in ("put", "import"):
        about, rows = "settings", _settings_of(db, act_id)
    elif kind == "erasure told":
        about, rows = "told", db.execute(_TOLD_OF_ACT, (act_id,))
    else:
        about, rows = "cases", db.execute(_CASES_OF_ACT, (act_id,))
    row[about], row[f"{about}_sha256"] = _digest(rows)
    return Act(source=CONSENTS, position=epoch, at_ms=at_ms, verb=_CONSENT_VERBS.get(kind, "other"), row=row)


def _settings_of(db: sqlite3.Connection, act_id: int) -> Iterator[object]:
    """Of an import those of its packs, or, where it is from before there were packs, rows of their own."""
    yield from db.execute(_SETTINGS_OF_ACT, (act_id,))
    if db.execute(_KNOWN, ("packs",)).fetchone():
        count = 0
        for *found_by, text in db.execute(_PACKS_OF_ACT, (act_id,)):
            rows = 0
            low, high = 1 << HASH_BITS, -1
            try:
                for columns in columns_of(text):
                    rows += 1
                    of_party = hash_of(columns[1])
                    low, high = min(low, of_party), max(high, of_party)
                    yield columns
            except ValueError:
                yield text  # edited into what is no pack
            count += rows
            # What follows from the rows is in the digest where it does not: workers pass over such rows.
            if found_by != [count, rows, low, high]:
                yield found_by


def _digest(rows: Iterable[object]) -> tuple[int, str]:
    """Number and hash of the rows of an act, taken one after the other: an import may have a million."""
    digest, count = sha256(), 0
    for one in rows:
        digest.update(json.dumps(one, ensure_ascii=False).encode() + b"\n")
        count += 1
    return count, digest.hexdigest()


def _decided(
    event_id: int, verb: str, actor: str, at_ms: int, approval_id: int, kind: str, subject: str, reason: str,
    requested_by: str, requested_at_ms: int,
) -> Act:  # fmt: skip
    about = json.loads(subject) if kind == Kind.REVIVE else {}
    word = kind if verb == "done" else f"{_APPROVAL_VERBS.get(verb, 'other')}_{kind}"
    return Act(
        source=APPROVALS, position=event_id, at_ms=at_ms, program=about.get("program", ""),
        issuer_id=about.get("issuer_id", ""), verb=word if kind in set(Kind) else "other",
        row={
            "event_id": event_id, "verb": verb, "actor": actor, "at_ms": at_ms, "approval_id": approval_id,
            "kind": kind, "subject": subject, "reason": reason, "requested_by": requested_by,
            "requested_at_ms": requested_at_ms,
        },
    )  # fmt: skip


def _restored(
    restore_id: int,
    actor: str,
    at_ms: int,
    began_at_ms: int,
    files: int,
    size_bytes: int,
    first_free_seq: int,
) -> Act:
    return Act(
        source=RESTORES, position=restore_id, at_ms=at_ms, verb="restore",
        row={
            "restore_id": restore_id, "actor": actor, "at_ms": at_ms, "began_at_ms": began_at_ms,
            "files": files, "bytes": size_bytes, "first_free_seq": first_free_seq,
        },
    )  # fmt: skip


def _enrolled(
    event_id: int, verb: str, recipient_id: str, subject_id: int, actor: str, reason: str, thumbprints: str,
    at_ms: int,
) -> Act:  # fmt: skip
    return Act(
        source=ENROLMENTS, position=event_id, at_ms=at_ms, verb=verb if verb in _ENROLMENT_VERBS else "other",
        row={
            "event_id": event_id, "verb": verb, "recipient_id": recipient_id, "subject_id": subject_id,
            "actor": actor, "reason": reason, "thumbprints": thumbprints, "at_ms": at_ms,
        },
    )  # fmt: skip


def _identified(
    event_id: int, verb: str, subject_id: str, principal_id: str, role: str, proofs: str, actor: str,
    reason: str, at_ms: int,
) -> Act:  # fmt: skip
    return Act(
        source=IDENTITIES, position=event_id, at_ms=at_ms, verb=verb if verb in _IDENTITY_VERBS else "other",
        row={
            "event_id": event_id, "verb": verb, "subject_id": subject_id, "principal_id": principal_id,
            "role": role, "proofs": proofs, "actor": actor, "reason": reason, "at_ms": at_ms,
        },
    )  # fmt: skip


_IDENTITY_VERBS: Final = frozenset(map(str, IdentityVerb))
_ENROLMENT_VERBS: Final = frozenset(
    ("invite", "withdraw_invite", "submit_keys", "prove_keys", "enrol", "rotate_keys", "revoke_keys")
)
_READ: Final[dict[str, tuple[str, Callable[..., Act]]]] = {
    APPROVALS: (_APPROVALS, _decided),
    RESTORES: (_RESTORES, _restored),
    ENROLMENTS: (_ENROLMENTS, _enrolled),
    key_acts.KEYS: (key_acts.EVENTS, key_acts.act_of),
    token_keys.TOKEN_KEYS: (token_keys.EVENTS, token_keys.act_of),
    IDENTITIES: (_IDENTITIES, _identified),
}
