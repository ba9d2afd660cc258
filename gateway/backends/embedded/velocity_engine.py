"""The velocity store in Rust (native/src/velocity/mod.rs), to the count the twin of `EmbeddedVelocity`."""

from collections.abc import Iterator, Sequence
from typing import Any

from enrichment.velocity import OTHERS
from gateway.backends.embedded.velocity import MAX_KEYS
from gateway.backends.embedded.velocity_snapshot import FrozenVelocity, open_snapshot
from gateway.runtime.disk import Disk
from gateway.runtime.native import engines
from gateway.sharing.velocity_port import Counts, Touch
from issuernetwork.storage.v1.journal_pb2 import Evaluation


class EngineVelocity:
    """As `EmbeddedVelocity` says, which describes what is counted and what is kept. At most 2^26 - 1 keys."""

    __slots__ = ("_engine",)

    def __init__(self, *, max_keys: int = MAX_KEYS, others: Sequence[int | None] = OTHERS) -> None:
        self._engine: Any = engines.Velocity(max_keys, others)

    @property
    def ready(self) -> bool:
        """Whether counts are whole: the snapshot is loaded and the journal's tail replayed."""
        whole: bool = self._engine.ready
        return whole

    def caught_up(self) -> None:
        """Says that replay has reached the end of the journal; from now on `touch` counts."""
        self._engine.caught_up()

    def __len__(self) -> int:
        return len(self._engine)

    def touch(self, batch: Sequence[Touch]) -> list[tuple[Counts | None, ...] | None]:
        """As the port says. An answer is to Python the tuple that the port speaks of, in all but its type:
        made where somebody asks. Steps of the engine read its numbers (native/src/velocity/counted.rs)."""
        answers: list[tuple[Counts | None, ...] | None] = self._engine.touch(batch)
        return answers

    def replay(self, keys: Sequence[bytes | None], payment_time_ms: int) -> None:
        """Counts an attempt read back from the journal."""
        self._engine.replay(keys, payment_time_ms)

    def replay_records(self, records: list[bytes]) -> None:
        """Counts the attempts of journal records, in order. Raises DecodeError where one is none."""
        counted = self._engine.replay_records(records)
        while counted < len(records):
            # What the engine does not know of the wire, the library does.
            evaluation = Evaluation.FromString(records[counted])
            self.replay(evaluation.velocity_keys, evaluation.initiated_at_ms)
            records = records[counted + 1 :]
            counted = self._engine.replay_records(records)

    def freeze(self) -> FrozenVelocity | None:
        """The state as it is now; None while an earlier one is still being written."""
        frozen = self._engine.freeze()
        return None if frozen is None else _FrozenEngine(frozen)

    def snapshot(self, disk: Disk, path: str, *, position: int) -> None:
        """Freezes and writes at once; where a pause matters, `freeze()` here, `write()` on another thread."""
        frozen = self.freeze()
        if frozen is not None:
            frozen.write(disk, path, position=position)

    def load(self, disk: Disk, path: str) -> int | None:
        """Takes up a snapshot of either twin and returns the journal position that it covers.

        None where there is no snapshot. Raises VelocitySnapshotUnusable, and then holds what it held.
        """
        snapshot = open_snapshot(disk, path)
        if snapshot is None:
            return None
        self._engine.clear()
        for rows in snapshot.rows():
            self._engine.load(rows)
        self._engine.set_hand(snapshot.hand)
        return snapshot.position


class _FrozenEngine(FrozenVelocity):
    __slots__ = ("_frozen",)

    def __init__(self, frozen: Any) -> None:
        self._frozen = frozen

    @property
    def released(self) -> bool:
        done: bool = self._frozen.released
        return done

    def release(self) -> None:
        self._frozen.release()

    def sizes(self) -> tuple[int, int]:
        found: tuple[int, int] = self._frozen.sizes()
        return found

    def body(self) -> Iterator[bytes]:
        while rows := self._frozen.next_piece():
            yield rows
