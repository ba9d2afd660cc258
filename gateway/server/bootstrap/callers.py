"""Everybody who may call a process that has our keys, by whatever proves it."""

from gateway.runtime.clock import Clock
from gateway.server.identity import Authenticator
from gateway.server.oauth.access_tokens import AccessTokens
from gateway.server.operators import Operators
from gateway.server.own_keys import LiveKeys
from gateway.server.state import StateDir


def authenticator_of(state: StateDir, issuer_url: str, clock: Clock, keys: LiveKeys) -> Authenticator:
    """Bearer tokens, operators, clients and their certificates; followed as their files change."""
    tokens = AccessTokens(issuer=issuer_url, jwks=keys.jwks, clock=clock)
    return Authenticator(state, Operators(state, issuer_url, clock), tokens)
