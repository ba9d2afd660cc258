"""A lease carries the epoch of the registry of consents too, by the same rules as that of the switches."""

from gateway.programs.switches import LEASE_GRACE_MS, LEASE_MS, Lease, SwitchRunner, SwitchView, await_epoch
from gateway.runtime.clock import SimClock


class Switches:
    """Nothing is stopped."""

    def view(self) -> SwitchView:
        return SwitchView(1)

    def epoch(self) -> int:
        return 1


class Board:
    def __init__(self) -> None:
        self.leases: dict[str, Lease] = {}

    def renew(self, worker_id: str, epoch: int, expires_monotonic_ns: int, consent_epoch: int = 0) -> None:
        self.leases[worker_id] = Lease(worker_id, epoch, expires_monotonic_ns, consent_epoch=consent_epoch)

    def release(self, worker_id: str) -> None:
        self.leases.pop(worker_id, None)

    def read_all(self) -> list[Lease]:
        return list(self.leases.values())

    def fence(self, worker_id: str) -> bool:
        return False


class Registry:
    """The registry, and what one worker knows of it."""

    def __init__(self) -> None:
        self.newest = self.known = self.in_force = 1
        self.answers = True

    def epoch(self) -> int:
        return self.in_force

    def seen(self) -> int:
        return self.known

    def fresh(self) -> bool:
        return self.answers

    def stands_at(self, epoch: int) -> bool:
        return self.newest <= epoch


class Worker:
    """One worker with a lease that counts."""

    def __init__(self) -> None:
        self.clock, self.board, self.registry = SimClock(), Board(), Registry()
        self.runner = SwitchRunner(
            Switches(),
            self.board,
            self.clock,
            "w-1",
            consents=self.registry,  # type: ignore[arg-type]
        )
        self.runner.step()
        assert self.runner.fresh()

    def lose_the_lease(self) -> None:
        self.registry.answers = False
        self.clock.advance_ms(LEASE_MS + LEASE_GRACE_MS + 1)
        assert not self.runner.step()
        self.registry.answers = True

    def revoke(self) -> tuple[str, ...]:
        """Writes an act; the workers that who revoked has to wait for."""
        self.registry.newest += 1
        now_ns = self.clock.monotonic_ns()
        return await_epoch(
            self.board, self.clock, lambda wait_s: None, self.registry.newest,
            since_ns=now_ns, timeout_ms=0, of_consents=True,
        ).workers_waiting  # fmt: skip


def test_a_lease_that_had_run_out_does_not_come_back_with_a_consent_that_was_revoked_meanwhile() -> None:
    worker = Worker()
    worker.lose_the_lease()
    assert worker.revoke() == (), "who revoked has been told that it is in effect"
    worker.runner.step()
    assert not worker.runner.fresh(), "the worker does not know of the revocation yet"
    worker.registry.known = worker.registry.in_force = worker.registry.newest
    worker.runner.step()
    assert worker.runner.fresh()


def test_who_revokes_once_the_lease_is_back_waits_for_it() -> None:
    worker = Worker()
    worker.lose_the_lease()
    worker.runner.step()
    assert worker.runner.fresh()
    assert worker.revoke() == ("w-1",)


def test_a_lease_is_not_renewed_while_what_is_known_of_consents_is_not_in_force() -> None:
    worker = Worker()
    worker.revoke()
    worker.registry.known = worker.registry.newest
    for _ in range(13):
        worker.clock.advance_ms(50)
        worker.runner.step()
    assert not worker.runner.fresh(), "who revoked waits no longer than a lease"
