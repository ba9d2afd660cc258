"""What operators do to our signing keys, and what the feeds do by themselves: each act is recorded first."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from gateway.backends.embedded.key_acts import KeyAct, KeyVerb, SqliteKeyActs
from gateway.backends.embedded.key_uses import StoredKeyUses
from gateway.backends.embedded.keyfiles import KeyFiles
from gateway.backends.embedded.ledger import SqliteLedgerReader
from gateway.ledger.ports import LedgerUnavailable
from gateway.programs.approvals import Approval, ApprovalStore, Kind
from gateway.runtime.clock import Clock
from gateway.sealing.jwk import thumbprint
from gateway.sealing.key_ring import (
    IN_FILE,
    NOT_USED,
    Hold,
    KeyRing,
    KeyState,
    KeyUse,
    RetiredKey,
    RingKey,
    Wait,
    added_from_ms,
    check_destroy,
    holds,
    use_from_ms,
)
from gateway.sealing.keys import KeyRefused, SignatureAlgorithm
from gateway.server.operators import read_operators
from gateway.server.settings import Settings
from gateway.server.state import StateDir
from gateway.server.verbs.approvals import check_registered

BY_ITSELF: Final = "feeds:retirement"
"""Who retires a key that nothing waits for any more; operators' names have no colon."""

DUE: Final = "superseded, and none of its tokens is open any more"


@dataclass(frozen=True, slots=True)
class Listed:
    """A key of the JWK Set, and what holds up its retirement."""

    key: RingKey
    state: KeyState
    superseded_at_ms: int
    """0 where no other takes over from it."""
    holds: tuple[Hold, ...]


@dataclass(frozen=True, slots=True)
class KeyDesk:
    """The keys of an installation, with every process up or down. Calls block: keep them off event loops."""

    files: KeyFiles
    acts: SqliteKeyActs
    uses: StoredKeyUses
    clock: Clock
    margin_ms: int
    max_age_ms: int
    last_head: Callable[[], int] = lambda: 0
    """Number of the ledger's newest head; 0 for none. Raises LedgerUnavailable."""

    @staticmethod
    def of(settings: Settings, files: KeyFiles, clock: Clock) -> "KeyDesk":
        state, own = settings.state, settings.keys
        return KeyDesk(
            files, SqliteKeyActs(str(state.policy_db), clock), StoredKeyUses(state.feeds_db), clock,
            margin_ms=own.retire_margin_s * 1000, max_age_ms=own.jwks_max_age_s * 1000,
            last_head=partial(_last_head, state.ledger_db),
        )  # fmt: skip

    def close(self) -> None:
        self.acts.close()

    def add(self, alg: SignatureAlgorithm, *, by: str, reason: str) -> RingKey | None:
        """Makes a key for an algorithm that has none; None where there is one. Raises KeyRefused."""

        def when(ring: KeyRing) -> int | None:
            return added_from_ms(ring, alg, now_ms=self.clock.wall_ms())

        return self._make(KeyVerb.ADD, alg, when, by=by, reason=reason)

    def rotate(
        self, alg: SignatureAlgorithm, *, ahead_ms: int, at_once: bool = False, by: str, reason: str
    ) -> RingKey:
        """Makes a key that takes over from the one in use. Raises KeyRefused."""

        def when(ring: KeyRing) -> int:
            return use_from_ms(
                ring, alg, now_ms=self.clock.wall_ms(), ahead_ms=ahead_ms, max_age_ms=self.max_age_ms,
                at_once=at_once,
            )  # fmt: skip

        made = self._make(KeyVerb.ROTATE, alg, when, by=by, reason=reason)
        assert made is not None
        return made

    def _make(
        self, verb: KeyVerb, alg: SignatureAlgorithm, when: Callable[[KeyRing], int | None], *, by: str,
        reason: str,
    ) -> RingKey | None:  # fmt: skip
        acts: list[KeyAct] = []

        def plan(ring: KeyRing, kid: str) -> int | None:
            from_ms = when(ring)
            if from_ms is not None:
                acts.append(KeyAct(verb=verb, kid=kid, alg=alg, by=by, reason=reason, use_from_ms=from_ms))
                self.acts.begin(acts[-1])
            return from_ms

        made = self.files.add_key(alg, plan)
        for act in acts:
            self.acts.done(act)
        return made

    def retire(self, kid: str, *, by: str, reason: str) -> RetiredKey:
        """Raises KeyRefused, which says what it waits for."""
        # Before looking: what signs no more by then has no token that the look does not find.
        now_ms = self.clock.wall_ms()
        key = self.files.load().ring.key(kid)
        use = self.uses.of([key]).get(kid, NOT_USED)
        act = KeyAct(verb=KeyVerb.RETIRE, kid=kid, alg=key.alg, by=by, reason=reason)

        def check(ring: KeyRing) -> None:
            waits = holds(ring, kid, now_ms=now_ms, margin_ms=self.margin_ms, use=use)
            if waits:
                raise KeyRefused("kid: it is not to be retired yet: " + "; ".join(map(hold_text, waits)))
            self.acts.begin(act)

        gone = self.files.retire_key(kid, check, self.last_head())
        self.acts.done(act)
        return gone

    def end_left(self) -> None:
        """Ends what is left in stores of keys that are retired already. Raises KeyStoreFault.

        Whose ends were not written to be done are now, under the names of those who began them.
        """
        self.files.end_retired()
        begun = self.acts.endings()
        ended = {one.kid for one in self.files.load().ring.retired if one.store == IN_FILE} if begun else ()
        for act in begun:
            if act.kid in ended:
                self.acts.done(act)

    def listed(self) -> list[Listed]:
        """All keys of the JWK Set, by algorithm in the order of their use."""
        ring, now_ms = self.files.load().ring, self.clock.wall_ms()
        uses = self.uses.of(ring.keys)
        return [
            self._listed(ring, key, uses, now_ms) for alg in sorted(ring.algorithms) for key in ring.of(alg)
        ]

    def _listed(self, ring: KeyRing, key: RingKey, uses: Mapping[str, KeyUse], now_ms: int) -> Listed:
        waits = holds(
            ring, key.kid, now_ms=now_ms, margin_ms=self.margin_ms, use=uses.get(key.kid, NOT_USED)
        )  # fmt: skip
        return Listed(key, ring.state(key, now_ms), ring.superseded_at_ms(key) or 0, waits)

    def ask_destroy(
        self, state: StateDir, approvals: ApprovalStore, kid: str, *, by: str, reason: str
    ) -> Approval:
        """Asks to end a key whatever waits for it. Raises KeyRefused, OperatorRefused, ApprovalRefused."""
        check_registered(read_operators(state.operators), by)
        key = self.check_destroy(kid)
        subject = {"alg": str(key.alg), "kid": kid, "thumbprints": thumbprint(key.public)}
        return approvals.request(Kind.DESTROY_KEY, subject, by=by, reason=reason)

    def check_destroy(self, kid: str) -> RingKey:
        return check_destroy(self.files.load().ring, kid, now_ms=self.clock.wall_ms())

    def is_retired(self, kid: str) -> bool:
        return any(one.kid == kid for one in self.files.load().ring.retired)

    def destroy(self, approved: Approval, *, approver: str) -> None:
        """Ends the private half: what is still signed by it is refused. A second time nothing changes.

        Where the store did not answer, or the process died on its way, that writes what is missing.
        """
        kid, alg = approved.subject["kid"], SignatureAlgorithm(approved.subject["alg"])
        act = KeyAct(
            verb=KeyVerb.DESTROY, kid=kid, alg=alg, by=approved.requested_by, reason=approved.reason,
            approver=approver,
        )  # fmt: skip

        def check(ring: KeyRing) -> None:
            check_destroy(ring, kid, now_ms=self.clock.wall_ms())
            self.acts.begin(act)

        retired = {one.kid: one for one in self.files.load().ring.retired}
        if kid not in retired:
            try:
                after_head = self.last_head()
            except LedgerUnavailable:
                # A ledger that is damaged keeps no stolen key.
                after_head = 0
            self.files.retire_key(kid, check, after_head)
            self.acts.done(act)
            return
        verbs = {one.kid: one.verb for one in self.acts.endings()}
        if retired[kid].store != IN_FILE and verbs.get(kid) is not KeyVerb.DESTROY:
            # It was retired while two people decided, and its store still has its private half.
            self.acts.begin(act)
        self.end_left()


def _last_head(ledger_db: Path) -> int:
    if not ledger_db.exists():
        return 0
    with closing(SqliteLedgerReader(ledger_db)) as reader:
        kept = reader.kept_head()
    return 0 if kept is None else kept.number


def hold_text(hold: Hold) -> str:
    """One thing that a retirement waits for, in words."""
    at = f"{datetime.fromtimestamp(hold.until_ms // 1000, UTC):%Y-%m-%d %H:%M:%S}Z" if hold.until_ms else ""
    if hold.wait is Wait.IN_USE:
        return f"in use until {at}" if at else "in use"
    if hold.wait is Wait.NOT_USED_YET:
        return f"to be used from {at}"
    if hold.wait is Wait.MARGIN:
        return f"margin until {at}"
    return f"{hold.count:,} open {'token' if hold.count == 1 else 'tokens'}"
