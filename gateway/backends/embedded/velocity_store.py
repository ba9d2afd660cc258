"""The velocity store of one process: in Rust where that is built, else in Python, with the same counts."""

from gateway.backends.embedded.velocity import MAX_KEYS, EmbeddedVelocity
from gateway.backends.embedded.velocity_engine import EngineVelocity
from gateway.runtime.native import engines

LocalVelocity = EmbeddedVelocity | EngineVelocity


def make_velocity(*, max_keys: int = MAX_KEYS) -> LocalVelocity:
    """An empty store, warming until `caught_up`."""
    if hasattr(engines, "Velocity"):
        return EngineVelocity(max_keys=max_keys)
    return EmbeddedVelocity(max_keys=max_keys)
