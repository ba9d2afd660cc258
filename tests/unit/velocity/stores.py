"""Both twins of the embedded velocity store, and what their tests look at in them."""

from array import array
from collections.abc import Callable
from typing import Any

import pytest

from gateway.backends.embedded.velocity import EmbeddedVelocity
from gateway.backends.embedded.velocity_engine import EngineVelocity
from gateway.backends.embedded.velocity_snapshot import ROW, open_snapshot
from gateway.backends.embedded.velocity_store import LocalVelocity
from gateway.runtime.native import engines
from gateway.runtime.simdisk import SimDisk

PATH = "/state/velocity.snapshot"
MakeStore = Callable[..., LocalVelocity]

needs_engine = pytest.mark.skipif(
    not hasattr(engines, "Velocity"), reason="the engines of native/ are not built here"
)
both_twins = pytest.mark.parametrize(
    "make",
    [
        pytest.param(EmbeddedVelocity, id="python"),
        pytest.param(EngineVelocity, id="rust", marks=needs_engine),
    ],
)


def count_by_engine(kit: Any) -> None:
    """From here on the engine counts what comes to this gateway of the kit."""
    store = EngineVelocity(max_keys=4_096)
    store.caught_up()
    kit.gateway.counting.store = store


def empty_disk() -> SimDisk:
    disk = SimDisk(0)
    disk.make_dirs("/state")
    return disk


def snapshot_of(store: LocalVelocity, *, position: int = 41) -> SimDisk:
    disk = empty_disk()
    store.snapshot(disk, PATH, position=position)
    return disk


def snapshot_bytes(disk: SimDisk) -> bytes:
    return disk.read_at(PATH, 0, disk.size(PATH))


def records(store: LocalVelocity) -> list[tuple[int, list[int]]]:
    """Every key with its record, in order of generation and touch."""
    found = open_snapshot(snapshot_of(store), PATH)
    assert found is not None
    return [
        (short, list(array("H", record))) for rows in found.rows() for short, record in ROW.iter_unpack(rows)
    ]
