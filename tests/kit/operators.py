"""Operators with keys of their own, registered as `ein operator add` does."""

from pathlib import Path

from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.operator_token import make_token
from gateway.server.operators import (
    OperatorRole,
    make_key,
    read_key,
    read_operators,
    with_operator,
    write_operators,
)
from gateway.server.settings import Settings


def key_of(settings: Settings, principal_id: str) -> Path:
    return settings.source.parent / f"{principal_id}.key"


def register(settings: Settings, principal_id: str, role: OperatorRole = "operator") -> Path:
    """Where the private key is. From the first operator on, what widens needs one."""
    state = settings.state
    state.make()
    public = make_key(key_of(settings, principal_id), SystemEntropy())
    known = read_operators(state.operators)
    write_operators(
        state.operators,
        with_operator(known, principal_id=principal_id, role=role, public=public, by="tests", now_ms=0),
    )
    return key_of(settings, principal_id)


def token_of(settings: Settings, principal_id: str) -> str:
    """A fresh token of an operator."""
    signer, now_ms = read_key(key_of(settings, principal_id)), SystemClock().wall_ms()
    return make_token(signer, audience=settings.issuer_url, jti=SystemEntropy().bytes(8).hex(), now_ms=now_ms)
