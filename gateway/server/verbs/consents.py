"""Writing down what merchants and platforms said, and waiting until every worker acts on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.programs.consents import ConsentStore, Party, Setting
from gateway.programs.model import Tier
from gateway.programs.switches import KILL_TIMEOUT_MS, LeaseBoard, Stopped, await_epoch
from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock, MonotonicNs

REVOKED_TERMS = "revoked"
"""In place of a version of terms, where a party is revoked that never agreed to any, or where nobody can
read to which."""


@dataclass(frozen=True, slots=True)
class ConsentDesk:
    """The registry, and the leases by which workers say what they act on. `wait_s` waits so many seconds."""

    store: ConsentStore
    board: LeaseBoard
    clock: Clock
    wait_s: Callable[[float], None]

    def say(self, settings: Sequence[Setting], *, actor: str, reason: str) -> Stopped:
        """Writes them down, all or none, and waits until every worker acts on it. Raises ConsentRefused."""
        since_ns = self.clock.monotonic_ns()
        return self.in_effect(self.store.put(settings, actor=actor, reason=reason), since_ns)

    def revoke(self, party: Party, party_id: str, *, actor: str, reason: str) -> Stopped:
        """Takes back what a party said, and returns when no worker shares under it any more."""
        try:
            said = self.store.said(party, party_id, most=1)
        except GatewayError:
            said = []  # what was said before cannot be read: it is taken back all the same
        terms_version = said[0].setting.terms_version if said else REVOKED_TERMS
        now_ms = self.clock.wall_ms()
        setting = Setting(party, party_id, Tier.NONE, terms_version, "revocation", now_ms)
        return self.say([setting], actor=actor, reason=reason)

    def in_effect(self, epoch: int, since_ns: MonotonicNs, *, timeout_ms: int = KILL_TIMEOUT_MS) -> Stopped:
        """Returns when every worker acts on `epoch`, or its lease has run out, or the time is over."""
        return await_epoch(
            self.board,
            self.clock,
            self.wait_s,
            epoch,
            since_ns=since_ns,
            timeout_ms=timeout_ms,
            of_consents=True,
        )


def only_stops(setting: Setting) -> bool:
    """Whether it takes away and gives nothing: nobody is held up in that."""
    return setting.tier <= Tier.NONE
